#include <framegrid/sandbox/hardening.hpp>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include <framegrid/host/files.hpp>

namespace framegrid::sandbox {

namespace {

Result<void> limit(__rlimit_resource resource, rlim_t value, const char* what) {
    rlimit current = {};
    ::getrlimit(resource, &current);
    const rlim_t lowered = std::min(value, current.rlim_max);
    const rlimit wanted = {.rlim_cur = lowered, .rlim_max = lowered};
    if (::setrlimit(resource, &wanted) != 0) {
        return fail(host::system_error(what, errno));
    }
    return {};
}

Result<void> process_flag(int option, unsigned long value, const char* what) {
    if (::prctl(option, value, 0, 0, 0) != 0) {
        return fail(host::system_error(what, errno));
    }
    return {};
}

// When memory runs out, the kernel takes this process and not the worker.
Result<void> volunteer_for_oom() {
    const host::UniqueFd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), "500", 3) != 3) {
        return fail(host::system_error("out-of-memory priority", errno));
    }
    return {};
}

Result<void> close_other_descriptors(int keep_fd) {
    const auto keep = static_cast<unsigned>(keep_fd);
    if ((keep > 3 && ::syscall(SYS_close_range, 3U, keep - 1, 0U) != 0) ||
        ::syscall(SYS_close_range, keep + 1, UINT_MAX, 0U) != 0) {
        return fail(host::system_error("closing of inherited descriptors", errno));
    }
    return {};
}

Result<void> drop_capabilities() {
    __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const __user_cap_data_struct none[2] = {};
    if (::syscall(SYS_capset, &header, none) != 0) {
        return fail(host::system_error("dropping of capabilities", errno));
    }
    return {};
}

}  // namespace

std::vector<std::string> harden(const SetupMessage& setup, int keep_fd) {
    std::vector<std::string> missing;
    const auto note = [&](const Result<void>& done) {
        if (!done) {
            missing.push_back(done.error().message);
        }
    };
    std::signal(
        SIGXFSZ, SIG_IGN
    );  // over the limit of file sizes: an error to the library that writes, not the end
    note(volunteer_for_oom());
    note(close_other_descriptors(keep_fd));
    note(limit(RLIMIT_CORE, 0, "limit of core dumps"));
    note(limit(RLIMIT_NOFILE, setup.gpu ? 4096 : 256, "limit of descriptors"));
    // Results go through shared mappings, which this limit does not concern. GPU drivers write small files.
    note(limit(RLIMIT_FSIZE, setup.gpu ? 256 << 20 : 0, "limit of file sizes"));
    // RLIMIT_DATA counts private writable memory, unlike RLIMIT_AS not the address space that codecs only
    // reserve.
    if (setup.memory_bytes_max > 0 && !is_sanitized()) {
        note(limit(RLIMIT_DATA, setup.memory_bytes_max, "limit of memory"));
    }
    note(process_flag(PR_SET_NO_NEW_PRIVS, 1, "no new privileges"));
    note(restrict_files(setup.readable, setup.gpu));
    note(drop_capabilities());
    note(process_flag(PR_SET_DUMPABLE, 0, "protection from debuggers"));
    note(process_flag(PR_SET_PDEATHSIG, SIGKILL, "death with the parent"));
    note(restrict_system_calls(setup.gpu));
    return missing;
}

}  // namespace framegrid::sandbox
