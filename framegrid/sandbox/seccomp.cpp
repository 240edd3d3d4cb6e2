// A deny list of system calls that no codec or model needs and that reach outside the process. It returns
// EPERM rather than killing, so that a library that merely asks goes on without.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include <framegrid/host/files.hpp>
#include <framegrid/sandbox/hardening.hpp>

namespace framegrid::sandbox {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;
#endif

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;

constexpr long kDenied[] = {
    // network
    SYS_connect,
    // other programs and processes
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_process_madvise,
    SYS_migrate_pages,
    SYS_move_pages,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
#endif
    // System V and POSIX queues and memory, shared by all processes of the user
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_semget,
    SYS_semop,
    SYS_mq_open,
    SYS_mq_unlink,
    // the system's state
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fspick,
    SYS_move_mount,
    SYS_open_tree,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
    // ways around this filter, and wide kernel surfaces
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_fanotify_init,
    SYS_personality,
    SYS_setuid,
    SYS_setgid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
};

// CUDA's driver passes descriptors between its own threads through a local socket that it listens on, and
// does not start without one. It cannot be used to reach anybody: that takes connect(), or datagrams.
constexpr long kDeniedWithoutGpu[] = {
    SYS_bind,         SYS_listen, SYS_accept, SYS_accept4,
    SYS_memfd_create,  // memory that no limit counts
};

constexpr std::uint32_t argument_at(int index) {
    // The low half: both architectures are little-endian.
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + static_cast<std::size_t>(index) * 8);
}

class Filter {
  public:
    void load(std::uint32_t offset) { code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); }
    void answer(std::uint32_t verdict) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, verdict)); }
    // Answers at once when the loaded value equals `value`.
    void if_equal(std::uint32_t value, std::uint32_t verdict) { test(BPF_JEQ, value, verdict); }
    void require_equal(std::uint32_t value, std::uint32_t otherwise) {
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
        answer(otherwise);
    }
    void if_at_least(std::uint32_t value, std::uint32_t verdict) { test(BPF_JGE, value, verdict); }
    void if_any_bit(std::uint32_t value, std::uint32_t verdict) { test(BPF_JSET, value, verdict); }

    // For the call `number`: what `rules` appends decides, and must end with an answer.
    template <class Rules>
    void for_call(long number, Rules rules) {
        const std::size_t at = code_.size();
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 0));
        rules();
        code_[at].jf = static_cast<std::uint8_t>(code_.size() - at - 1);
    }

    std::vector<sock_filter>& code() { return code_; }

  private:
    void test(std::uint16_t operation, std::uint32_t value, std::uint32_t verdict) {
        code_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | operation | BPF_K), value, 0, 1));
        answer(verdict);
    }
    std::vector<sock_filter> code_;
};

Filter make_filter(bool gpu) {
    const auto self = static_cast<std::uint32_t>(::getpid());
    Filter filter;
    filter.load(offsetof(seccomp_data, arch));
    filter.require_equal(kArchitecture, SECCOMP_RET_KILL_PROCESS);
    filter.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    filter.if_at_least(0x40000000, kDeny);  // the x32 numbers
#endif
    for (const long number : kDenied) {
        filter.if_equal(static_cast<std::uint32_t>(number), kDeny);
    }
    for (const long number : kDeniedWithoutGpu) {
        if (!gpu) {
            filter.if_equal(static_cast<std::uint32_t>(number), kDeny);
        }
    }
    for (const long number : {long{SYS_socket}, long{SYS_socketpair}}) {
        filter.for_call(number, [&] {
            if (gpu) {
                filter.load(argument_at(1));
                filter.if_any_bit(SOCK_DGRAM, kDeny);  // set in SOCK_RAW, too
                filter.load(argument_at(0));
                filter.if_equal(AF_UNIX, kAllow);
            }
            filter.answer(kDeny);
        });
    }
    // Its flags lie in memory, where a filter cannot look; the C library falls back to clone.
    filter.if_equal(SYS_clone3, kNoSuchCall);
    filter.for_call(SYS_clone, [&] {
        filter.load(argument_at(0));
        filter.if_any_bit(CLONE_THREAD, kAllow);
        filter.answer(kDeny);
    });
    for (const long number : {long{SYS_kill}, long{SYS_tgkill}}) {
        filter.for_call(number, [&] {
            filter.load(argument_at(0));
            filter.if_equal(self, kAllow);
            filter.answer(kDeny);
        });
    }
    filter.for_call(SYS_prlimit64, [&] {
        filter.load(argument_at(0));
        filter.if_equal(0, kAllow);
        filter.if_equal(self, kAllow);
        filter.answer(kDeny);
    });
    filter.for_call(SYS_ioctl, [&] {
        filter.load(argument_at(1));
        filter.if_equal(TIOCSTI, kDeny);
        filter.answer(kAllow);
    });
    filter.answer(kAllow);
    return filter;
}

}  // namespace

Result<void> restrict_system_calls(bool gpu) {
    if (kArchitecture == 0) {
        return fail(Errc::kUnsupported, "system call filter: not written for this processor");
    }
    Filter filter = make_filter(gpu);
    const sock_fprog program = {
        .len = static_cast<unsigned short>(filter.code().size()), .filter = filter.code().data()
    };
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        return fail(host::system_error("system call filter", errno));
    }
    return {};
}

}  // namespace framegrid::sandbox
