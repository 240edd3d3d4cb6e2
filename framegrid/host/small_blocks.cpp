#include <framegrid/host/small_blocks.hpp>

#include <unistd.h>

#include <cstdlib>

#include <framegrid/host/files.hpp>

namespace framegrid::host {

#ifdef __GLIBC__
void keep_small_blocks(const std::vector<std::string>& arguments) {
    constexpr const char* kVariable = "GLIBC_TUNABLES";
    if (std::getenv(kVariable) != nullptr) {
        return;
    }
    const auto program = executable_path();
    if (!program || ::setenv(kVariable, "glibc.malloc.tcache_count=1000", 1) != 0) {
        return;
    }
    std::string name = program->string();
    std::vector<std::string> copies = arguments;
    std::vector<char*> argv{name.data()};
    for (auto& argument : copies) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    (void)::execv(name.c_str(), argv.data());  // goes on as it is if that fails
}
#else
void keep_small_blocks(const std::vector<std::string>& /*arguments*/) {}
#endif

}  // namespace framegrid::host
