#include <framegrid/host/process.hpp>

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include <framegrid/base/log.hpp>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

namespace framegrid::host {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kLineMax = 8192;

// Everything the child needs between fork and exec, prepared by the parent: the child may only make system
// calls.
struct Plan {
    std::string program;
    std::vector<char*> argv;
    std::vector<char*> env;
    std::vector<std::pair<int, int>> fds;  // target, source; sources lie above every target
    const char* working_dir = nullptr;
    bool kill_with_parent = false;
    bool own_group = false;
    pid_t parent = 0;
    int report = -1;  // the write end of a pipe on which the child tells errno when it fails
};

[[noreturn]] void exec_child(const Plan& plan) {
    const auto give_up = [&] {
        const int error = errno;
        (void)!::write(plan.report, &error, sizeof error);
        ::_exit(127);
    };
    if (plan.own_group && ::setpgid(0, 0) != 0) {
        give_up();
    }
    if (plan.kill_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        give_up();
    }
    if (plan.kill_with_parent && ::getppid() != plan.parent) {
        ::_exit(127);  // the parent died before the request above was in force
    }
    if (plan.working_dir != nullptr && ::chdir(plan.working_dir) != 0) {
        give_up();
    }
    // A kernel without the call leaves the close-on-exec flags that our descriptors carry anyway.
    ::syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    for (const auto& [target, source] : plan.fds) {
        if (::dup2(source, target) < 0) {
            give_up();
        }
    }
    // Handlers go with exec, but ignored signals and the mask would be inherited.
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &standard, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(plan.program.c_str(), plan.argv.data(), plan.env.data());
    give_up();
    __builtin_unreachable();
}

// vfork: no copy of this process's page tables, however large it is. In its own function, so that no variable
// of the caller can be clobbered by the child that shares its stack.
[[gnu::noinline]] pid_t spawn(const Plan& plan) {
    const pid_t pid = ::vfork();
    if (pid == 0) {
        exec_child(plan);
    }
    return pid;
}

Result<std::string> find_program(const std::string& name) {
    if (name.empty()) {
        return fail(Errc::kInvalidArgument, "no program to start");
    }
    if (name.find('/') != std::string::npos) {
        return name;
    }
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(':'), rest.size());
        std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) {
            return candidate;
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fail(Errc::kNotFound, fmt::format("cannot start {}: not found in PATH", printable(name)));
}

// Opens what the child shall have as descriptor `target`; `reader` receives this side's end of a pipe.
Result<std::optional<UniqueFd>> open_output(const Output& output, UniqueFd& reader) {
    switch (output.kind) {
        case Output::Kind::kInherit:
            return std::nullopt;
        case Output::Kind::kNull:
            return UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        case Output::Kind::kFile: {
            UniqueFd fd(::open(output.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
            if (!fd) {
                const std::string what = fmt::format("cannot write {}", printable(output.file.string()));
                return fail(system_error(what, errno));
            }
            return fd;
        }
        case Output::Kind::kPipe: {
            int ends[2];
            if (::pipe2(ends, O_CLOEXEC) != 0) {
                return fail(system_error("cannot make a pipe", errno));
            }
            reader = UniqueFd(ends[0]);
            return UniqueFd(ends[1]);
        }
    }
    return std::nullopt;
}

// Moves every source above every target, so that no dup2() overwrites a source that is still to come.
Result<std::vector<UniqueFd>> lift_sources(Plan& plan, const std::map<int, int>& wanted) {
    const int floor = std::max(wanted.empty() ? 3 : wanted.rbegin()->first + 1, 3);
    std::vector<UniqueFd> lifted;
    for (const auto& [target, source] : wanted) {
        UniqueFd copy(::fcntl(source, F_DUPFD_CLOEXEC, floor));
        if (!copy) {
            return fail(system_error("cannot pass a file descriptor to a child process", errno));
        }
        plan.fds.emplace_back(target, copy.get());
        lifted.push_back(std::move(copy));
    }
    return lifted;
}

Result<pid_t> run_plan(Plan& plan) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return fail(system_error("cannot make a pipe", errno));
    }
    const UniqueFd reader(ends[0]);
    UniqueFd writer(::fcntl(ends[1], F_DUPFD_CLOEXEC, 256));  // out of the way of the child's own numbers
    ::close(ends[1]);
    if (!writer) {
        return fail(system_error("cannot make a pipe", errno));
    }
    plan.report = writer.get();
    const pid_t pid = spawn(plan);
    if (pid < 0) {
        return fail(system_error("cannot start a process", errno));
    }
    writer.reset();
    int error = 0;
    ssize_t got = 0;
    do {
        got = ::read(reader.get(), &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    if (got == sizeof error) {
        ::waitpid(pid, nullptr, 0);
        return fail(system_error(fmt::format("cannot start {}", printable(plan.program)), error));
    }
    return pid;
}

ExitStatus status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) {
        return {.code = info.si_status, .signal = 0};
    }
    return {.code = 0, .signal = info.si_status};
}

}  // namespace

std::string signal_name(int number) {
    const char* name = ::sigabbrev_np(number);
    return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

std::string ExitStatus::describe() const {
    return signal != 0 ? "was killed by " + signal_name(signal) : fmt::format("exited with status {}", code);
}

struct LineReader::Impl {
    Impl(const Executor& executor, int fd) : stream(executor, fd) {}
    asio::posix::stream_descriptor stream;
    std::string buffer;
    bool ended = false;
};

LineReader::LineReader(const Executor& executor, UniqueFd fd)
    : impl_(std::make_unique<Impl>(executor, fd.release())) {}
LineReader::~LineReader() = default;

Task<std::optional<std::string>> LineReader::next() {
    while (true) {
        const std::size_t end = impl_->buffer.find('\n');
        const bool cut = end == std::string::npos && (impl_->ended || impl_->buffer.size() >= kLineMax);
        if (end != std::string::npos || (cut && !impl_->buffer.empty())) {
            std::string line = impl_->buffer.substr(0, std::min(end, kLineMax));
            impl_->buffer.erase(0, line.size() + (line.size() == end ? 1 : 0));
            co_return line;
        }
        if (impl_->ended) {
            co_return std::nullopt;
        }
        boost::system::error_code code;
        char chunk[4096];
        const std::size_t got = co_await impl_->stream.async_read_some(
            asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, code)
        );
        if (code == asio::error::operation_aborted) {
            throw boost::system::system_error(code);
        }
        impl_->ended = static_cast<bool>(code);
        impl_->buffer.append(chunk, got);
    }
}

struct ChildProcess::Impl {
    Impl(const Executor& executor, pid_t p, int pidfd, bool group)
        : pid(p), exit(executor, pidfd), own_group(group) {}

    std::optional<ExitStatus> reap(int flags) {
        siginfo_t info = {};
        if (!status && ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | flags) == 0 &&
            info.si_pid == pid) {
            status = status_of(info);
        }
        return status;
    }

    pid_t pid;
    asio::posix::stream_descriptor exit;  // a pidfd: readable once the child has ended
    bool own_group;
    std::optional<ExitStatus> status;
    std::unique_ptr<LineReader> out;
    std::unique_ptr<LineReader> err;
};

ChildProcess::ChildProcess(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChildProcess::ChildProcess(ChildProcess&& other) noexcept = default;
ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(impl_, other.impl_);
    return *this;
}

ChildProcess::~ChildProcess() {
    if (impl_ && !impl_->status) {
        signal(SIGKILL, impl_->own_group);
        impl_->reap(0);
    }
}

Result<ChildProcess> ChildProcess::start(const Executor& executor, SpawnOptions options) {
    if (options.argv.empty()) {
        return fail(Errc::kInvalidArgument, "no program to start");
    }
    Plan plan;
    FG_TRY(program, find_program(options.argv[0]));
    plan.program = std::move(program);
    for (auto& arg : options.argv) {
        plan.argv.push_back(arg.data());
    }
    plan.argv.push_back(nullptr);
    if (options.env) {
        for (auto& entry : *options.env) {
            plan.env.push_back(entry.data());
        }
    } else {
        for (char** entry = environ; *entry != nullptr; ++entry) {
            plan.env.push_back(*entry);
        }
    }
    plan.env.push_back(nullptr);
    plan.working_dir = options.working_dir.empty() ? nullptr : options.working_dir.c_str();
    plan.kill_with_parent = options.kill_with_parent;
    plan.own_group = options.own_group;
    plan.parent = ::getpid();

    UniqueFd out_reader;
    UniqueFd err_reader;
    FG_TRY(out, open_output(options.out, out_reader));
    FG_TRY(err, open_output(options.err, err_reader));
    std::map<int, int> wanted = options.fds;
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    wanted.try_emplace(0, null.get());
    if (out) {
        wanted[1] = out->get();
    }
    if (err) {
        wanted[2] = err->get();
    }
    FG_TRY(lifted, lift_sources(plan, wanted));
    FG_TRY(pid, run_plan(plan));

    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
        const int error = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return fail(system_error("cannot watch a child process (Linux 5.3 is needed)", error));
    }
    auto impl = std::make_unique<Impl>(executor, pid, pidfd, options.own_group);
    if (out_reader) {
        impl->out = std::make_unique<LineReader>(executor, std::move(out_reader));
    }
    if (err_reader) {
        impl->err = std::make_unique<LineReader>(executor, std::move(err_reader));
    }
    return ChildProcess(std::move(impl));
}

pid_t ChildProcess::pid() const {
    return impl_->pid;
}

Task<ExitStatus> ChildProcess::wait() {
    while (!impl_->reap(WNOHANG)) {
        co_await impl_->exit.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    }
    co_return *impl_->status;
}

std::optional<ExitStatus> ChildProcess::poll() {
    return impl_->reap(WNOHANG);
}

void ChildProcess::signal(int number, bool group) {
    // The child is not reaped before `status` is set, so its number cannot have been given to another
    // process.
    if (!impl_->reap(WNOHANG)) {
        ::kill(group && impl_->own_group ? -impl_->pid : impl_->pid, number);
    }
}

LineReader* ChildProcess::out() {
    return impl_->out.get();
}
LineReader* ChildProcess::err() {
    return impl_->err.get();
}

}  // namespace framegrid::host
