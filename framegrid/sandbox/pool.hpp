// api::WorkExecutor as a pool of child processes, locked in, that are replaced when they die. A process does
// one task at a time; those of AI pipelines may share one, so that they can share models and calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/sandbox/model_book.hpp>

namespace framegrid::sandbox {

struct ExecutorSettings {
    // Processes at the same time.
    std::size_t executors = 1;
    // AI tasks in one process at the same time, at most kSlotsMax; 1: they are alone like all others. A
    // process that dies with several tasks inside is not held against any of them: each is tried once more,
    // alone.
    std::size_t share_max = 1;
    // Processes that AI tasks share: one for each device.
    std::size_t sharing_executors = 1;
    // Starts one; it finds its parent on descriptor kExecutorFd and calls serve_executor().
    std::vector<std::string> argv = {"/proc/self/exe", "executor"};
    // The environment variables that it gets, if they are set; nothing else of the environment reaches it.
    std::vector<std::string> env_allowed = {
        "LANG",
        "LC_ALL",
        "TZ",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES"
    };
    // Absolute paths of files and directories (with content) that it may read, for example models.
    std::vector<std::string> readable = {};
    // Leaves GPU devices and their drivers' files reachable.
    bool gpu = false;
    // Private memory of one process; 0: no limit. Builds with sanitizers ignore it.
    std::uint64_t memory_bytes_max = 4'000'000'000;
    // All files of one result together.
    std::uint64_t result_bytes_max = 1'000'000'000;
    // Larger files are not told of early: those are copied, as the process may still write to them.
    std::uint64_t early_bytes_max = 16'000'000;
    // A process is replaced after so many tasks, against leaks in codecs.
    std::uint32_t tasks_per_executor_max = 1'000;
    // Idle processes that are kept. Others go after idle_max.
    std::size_t warm = 1;
    Duration idle_max = std::chrono::seconds(60);
    // Processes that load what AI tasks need before the first of those comes.
    std::size_t prepared = 0;
    // Tasks that wait for a process; further ones get kCapacity.
    std::size_t queue_max = 256;
    // Upper bound of any task's deadline.
    Duration task_max = std::chrono::minutes(30);
    // The same without the time that it waited for a process: what hangs must not hold the places for as long
    // as others may wait for one.
    Duration run_max = std::chrono::minutes(30);
    Duration startup_max = std::chrono::seconds(10);
    // What a task that was cancelled or is late gets to stop by itself, before SIGKILL.
    Duration stop_grace = std::chrono::milliseconds(500);
    // The same when SIGKILL would hit other tasks, too.
    Duration shared_stop_grace = std::chrono::seconds(10);
};

struct ExecutorPorts {
    Executor executor;
    Clock& clock;
    WorkPool& pool;  // copies large inputs
    Logger log;
};

struct ExecutorStats {
    std::uint64_t started = 0;
    std::uint64_t start_failures = 0;
    std::uint64_t retired = 0;  // replaced on purpose
    std::uint64_t tasks_ok = 0;
    std::uint64_t tasks_failed = 0;   // the executor answered with an error
    std::uint64_t tasks_crashed = 0;  // the executor died under them
    std::uint64_t tasks_again = 0;    // of those, tried once more because they were not alone
    std::uint64_t tasks_late = 0;
    std::uint64_t tasks_cancelled = 0;
    std::uint64_t tasks_refused = 0;  // queue full, or no executor free in time
    std::size_t idle = 0;
    std::size_t busy = 0;
    std::size_t waiting = 0;
    std::size_t waiting_max = 0;  // the queue's limit
};
void dump(MetricsWriter& out, const ExecutorStats& stats);

// Single-threaded, on ports.executor; its thread must outlive the children, which die with it. Call and await
// stop() before destruction.
class ExecutorPool final : public api::WorkExecutor {
  public:
    ExecutorPool(ExecutorPorts ports, ExecutorSettings settings);
    ~ExecutorPool() override;

    // Starts the warm processes now, so that the first task finds one.
    void warm_up();
    // Besides the errors of the port: kTooLarge, the result is over result_bytes_max; kUnavailable also when
    // no executor can be started. Whatever happens to the executor, other tasks and this process are not
    // affected.
    Task<Result<api::WorkOutput>> run(api::Work work, Deadline deadline, api::WorkEvents events) override;
    void end_session(const std::string& session_id) override;
    // Refuses new work, ends all processes and waits for them. Tasks that run get kUnavailable.
    Task<void> stop();
    ExecutorStats stats() const;
    // What the processes did with models since the start, and do now.
    ModelStats models() const;

  private:
    class Core;
    std::shared_ptr<Core> core_;
};

}  // namespace framegrid::sandbox
