// Child processes: started without a shell, never outliving their parent, awaited without a SIGCHLD handler.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::host {

// Where a child's standard output or error goes.
struct Output {
    enum class Kind : std::uint8_t { kInherit, kNull, kPipe, kFile };
    Kind kind = Kind::kInherit;
    Path file = {};  // kFile: appended to, made if missing
};

struct SpawnOptions {
    // argv[0]: a path, or a name looked up in $PATH.
    std::vector<std::string> argv = {};
    // "KEY=value" each; absent: this process's own.
    std::optional<std::vector<std::string>> env = std::nullopt;
    // The child's number -> a descriptor of this process. All others are closed, except 0 to 2.
    std::map<int, int> fds = {};
    Output out = {};
    Output err = {};
    // Empty: this process's own.
    Path working_dir = {};
    // SIGKILL when the thread that started it ends: start from a thread that stays.
    bool kill_with_parent = true;
    // A process group of its own: the terminal's Ctrl-C does not reach it.
    bool own_group = true;
};

struct ExitStatus {
    int code = 0;    // exit status, when signal is 0
    int signal = 0;  // the signal that ended it, or 0
    bool ok() const { return code == 0 && signal == 0; }
    // "exited with status 1", "was killed by SIGSEGV"
    std::string describe() const;
};

// Lines of a child's standard output or error.
class LineReader {
  public:
    LineReader(const Executor& executor, UniqueFd fd);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // The next line without its end, cut into pieces of at most 8 KiB; nullopt at the end. One caller at a
    // time.
    Task<std::optional<std::string>> next();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A running or ended child. Single-threaded, on the executor given to start(). The destructor kills the child
// (with its group) and waits for it.
class ChildProcess {
  public:
    // kNotFound / kForbidden / kIo when the program cannot be started; the message names it.
    static Result<ChildProcess> start(const Executor& executor, SpawnOptions options);
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    ~ChildProcess();

    pid_t pid() const;
    // Waits until the child has ended; at once when it already has. Any number of callers. Keep the object
    // alive.
    Task<ExitStatus> wait();
    // The status if it has ended by now.
    std::optional<ExitStatus> poll();
    // To the child alone, or to its whole group. Nothing happens when it has ended.
    void signal(int number, bool group = false);
    // Present when the option was kPipe.
    LineReader* out();
    LineReader* err();

  private:
    struct Impl;
    explicit ChildProcess(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// "SIGSEGV", or "signal 77".
std::string signal_name(int number);

}  // namespace framegrid::host
