// Loads FFmpeg's libraries when the first of their functions is called, for programs that link the
// trampolines made by tools/lazy_symbols.py instead of the libraries: a gateway or orchestrator that never
// touches media then needs none of FFmpeg's 150 dependencies in memory.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// Made by tools/lazy_symbols.py: the jump table, and the functions' names in its order, ended by an empty
// one.
extern "C" {
extern void* fg_ffmpeg_table[];
extern const char fg_ffmpeg_names[];
// Called by the trampolines. Ends the process when a library is missing: the caller cannot be told.
void fg_ffmpeg_load();
}

namespace {

// In the order of their dependencies, so that symbols that several define come from the lowest.
constexpr const char* kLibraries[] = {FG_FFMPEG_SONAMES};

[[noreturn]] void give_up(const char* what, const char* why) {
    std::fprintf(
        stderr, "framegrid: FFmpeg cannot be used: %s: %s; install the FFmpeg this was built for\n", what, why
    );
    std::_Exit(1);
}

bool fill_table() {
    constexpr std::size_t kCount = sizeof kLibraries / sizeof kLibraries[0];
    void* handles[kCount];
    for (std::size_t i = 0; i < kCount; ++i) {
        handles[i] = dlopen(kLibraries[i], RTLD_NOW | RTLD_LOCAL);
        if (handles[i] == nullptr) {
            give_up(kLibraries[i], dlerror());
        }
    }
    std::size_t slot = 0;
    for (const char* name = fg_ffmpeg_names; *name != '\0'; name += std::strlen(name) + 1) {
        void* found = nullptr;
        for (std::size_t i = 0; i < kCount && found == nullptr; ++i) {
            found = dlsym(handles[i], name);
        }
        if (found == nullptr) {
            give_up(name, "no library defines it");
        }
        fg_ffmpeg_table[slot++] = found;
    }
    return true;
}

}  // namespace

void fg_ffmpeg_load() {
    [[maybe_unused]] static const bool loaded = fill_table();
}
