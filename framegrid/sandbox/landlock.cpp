// Files: everything is out of reach except the system's libraries, what describes the machine, and the listed
// paths. The constants are the kernel's ABI, repeated because the build system's headers may be older than
// the kernel.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <framegrid/host/files.hpp>
#include <framegrid/sandbox/hardening.hpp>

namespace framegrid::sandbox {

namespace {

constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;

constexpr std::uint64_t kWriteFile = 1U << 1U;
constexpr std::uint64_t kReadFile = 1U << 2U;
constexpr std::uint64_t kReadDir = 1U << 3U;
constexpr std::uint64_t kTruncate = 1U << 14U;
constexpr std::uint64_t kIoctlDevice = 1U << 15U;
constexpr std::uint64_t kFileRights =
    kWriteFile | kReadFile | 1U | kTruncate | kIoctlDevice;  // what a file rule may name

struct RulesetAttributes {
    std::uint64_t handled_files;
    std::uint64_t handled_network;  // from ABI 4
    std::uint64_t scoped;           // from ABI 6
};

struct [[gnu::packed]] PathAttributes {
    std::uint64_t allowed;
    std::int32_t parent_fd;
};

// What all executors may read: libraries, and how many processors there are.
constexpr const char* kSystemReadable[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/self/maps",
    "/proc/self/status",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
};
constexpr const char* kGpuReadable[] = {"/sys",        "/proc/driver", "/proc/devices", "/proc/modules",
                                        "/proc/self",  "/proc/sys",    "/etc/OpenCL",   "/etc/vulkan",
                                        "/etc/nvidia", "/run/nvidia"};

RulesetAttributes attributes_for(long abi) {
    RulesetAttributes out = {.handled_files = (1U << 13U) - 1, .handled_network = 0, .scoped = 0};
    out.handled_files |= abi >= 2 ? 1U << 13U : 0;
    out.handled_files |= abi >= 3 ? kTruncate : 0;
    out.handled_files |= abi >= 5 ? kIoctlDevice : 0;
    out.handled_network = abi >= 4 ? 3 : 0;  // bind and connect of TCP
    out.scoped = abi >= 6 ? 3 : 0;           // abstract sockets and signals stay inside
    return out;
}

std::size_t attributes_size(long abi) {
    return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

// Paths that do not exist are skipped: there is nothing to allow.
Result<void> allow(int ruleset, const std::string& path, std::uint64_t rights) {
    const host::UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat info = {};
    if (!fd || ::fstat(fd.get(), &info) != 0) {
        return {};
    }
    if (!S_ISDIR(info.st_mode)) {
        rights &= kFileRights;
    }
    const PathAttributes rule = {.allowed = rights, .parent_fd = fd.get()};
    if (::syscall(kAddRule, ruleset, 1, &rule, 0) != 0) {
        return fail(host::system_error("file restrictions: cannot allow " + path, errno));
    }
    return {};
}

std::vector<std::string> gpu_devices() {
    std::vector<std::string> out = {"/dev/dri", "/dev/kfd", "/dev/shm"};
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/dev", ignored)) {
        if (entry.path().filename().string().starts_with("nvidia")) {
            out.push_back(entry.path().string());
        }
    }
    return out;
}

}  // namespace

Result<void> restrict_files(const std::vector<std::string>& readable, bool gpu) {
    const long abi = ::syscall(kCreateRuleset, nullptr, 0, 1U);
    if (abi < 1) {
        return fail(host::system_error("file restrictions (Landlock)", errno));
    }
    const RulesetAttributes attributes = attributes_for(abi);
    const host::UniqueFd ruleset(
        static_cast<int>(::syscall(kCreateRuleset, &attributes, attributes_size(abi), 0U))
    );
    if (!ruleset) {
        return fail(host::system_error("file restrictions (Landlock)", errno));
    }
    const std::uint64_t read = kReadFile | kReadDir;
    const std::uint64_t write = (read | kWriteFile | kIoctlDevice) & attributes.handled_files;
    for (const char* path : kSystemReadable) {
        FG_CHECK(allow(ruleset.get(), path, read));
    }
    for (const auto& path : readable) {
        FG_CHECK(allow(ruleset.get(), path, read));
    }
    FG_CHECK(allow(ruleset.get(), "/dev/null", write));
    if (gpu) {
        for (const char* path : kGpuReadable) {
            FG_CHECK(allow(ruleset.get(), path, read));
        }
        // CUDA's driver names its threads there, and gives up when it may not.
        const std::uint64_t rewrite = (read | kWriteFile | kTruncate) & attributes.handled_files;
        FG_CHECK(allow(ruleset.get(), "/proc/self/task", rewrite));
        for (const auto& path : gpu_devices()) {
            FG_CHECK(allow(ruleset.get(), path, write));
        }
    }
    if (::syscall(kRestrictSelf, ruleset.get(), 0U) != 0) {
        return fail(host::system_error("file restrictions (Landlock)", errno));
    }
    return {};
}

}  // namespace framegrid::sandbox
