// Opens CUDA's driver under each protection of an executor process and says what it answers: which of them is
// in its way, on a machine with an NVIDIA GPU. Exit status 0: it opens under all of them.
#include <dlfcn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <framegrid/sandbox/hardening.hpp>

namespace {

using framegrid::sandbox::SetupMessage;

template <class Function>
Function symbol(void* library, const char* name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

// 0, or the driver's error number; -1: there is no driver.
int open_cuda() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) {
        std::printf("  %s\n", dlerror());
        return -1;
    }
    void* context = nullptr;
    unsigned long long memory = 0;
    if (const int error = symbol<int (*)(unsigned)>(library, "cuInit")(0); error != 0) {
        return error;
    }
    if (const int error = symbol<int (*)(void**, int)>(library, "cuDevicePrimaryCtxRetain")(&context, 0);
        error != 0) {
        return error;
    }
    symbol<int (*)(void*)>(library, "cuCtxSetCurrent")(context);
    return symbol<int (*)(unsigned long long*, std::size_t)>(library, "cuMemAlloc_v2")(&memory, 64U << 20U);
}

bool works(const char* name, const std::function<void()>& protect) {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        protect();
        const int error = open_cuda();
        std::printf("%-28s cuda answers %d\n", name, error);
        std::fflush(stdout);
        std::_Exit(error == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<std::string> library_folders() {
    std::vector<std::string> out;
    const char* list = std::getenv("LD_LIBRARY_PATH");
    std::istringstream in(list == nullptr ? "" : list);
    for (std::string folder; std::getline(in, folder, ':');) {
        out.push_back(folder);
    }
    return out;
}

}  // namespace

int main() {
    using namespace framegrid::sandbox;
    const auto readable = library_folders();
    works("no protection", [] {});
    works("no dumps", [] { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); });
    works("files", [&] { (void)restrict_files(readable, true); });
    works("system calls", [] { (void)restrict_system_calls(true); });
    works("all but memory", [&] {
        (void)harden({.memory_bytes_max = 0, .gpu = true, .readable = readable}, 3);
    });
    const bool all = works("all", [&] {
        for (const auto& missing :
             harden({.memory_bytes_max = 4'000'000'000, .gpu = true, .readable = readable}, 3)) {
            std::printf("  missing: %s\n", missing.c_str());
        }
    });
    return all ? 0 : 1;
}
