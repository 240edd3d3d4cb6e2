// The pool's state and rules. Shared with the tasks that watch processes, which may outlive the pool object.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <set>

#include <framegrid/runtime/task_group.hpp>
#include <framegrid/sandbox/child.hpp>
#include <framegrid/sandbox/pool.hpp>

namespace framegrid::sandbox {

inline constexpr std::size_t kCopyOnPoolMin = 1 << 20;  // copying that much takes about 0.3 ms

// A task's place in the queue, and then its executor.
struct Ticket {
    std::string session_id;
    std::string model;                       // "pipeline model", or empty
    bool exclusive = true;                   // wants a process to itself
    OneShot turn;                            // fires when `child` or `error` is set
    std::shared_ptr<Child> child;            // has a slot for the ticket's holder until Core::drop()
    std::shared_ptr<Assignment> assignment;  // in that slot
    std::optional<Error> error;
};

class ExecutorPool::Core : public std::enable_shared_from_this<Core> {
  public:
    Core(ExecutorPorts ports, ExecutorSettings settings);

    const ExecutorSettings& settings() const { return settings_; }
    ExecutorPorts& ports() { return ports_; }
    ExecutorStats& counters() { return stats_; }
    ExecutorStats snapshot() const;
    ModelStats models() const;

    // A task in one executor, from the queue to its result. `had_company`: it failed because the executor
    // died, and there were others inside.
    static Task<Result<api::WorkOutput>> run_once(
        std::shared_ptr<Core> core, api::Work work, bool exclusive, Deadline limit, api::WorkEvents events,
        bool& had_company
    );

    void warm_up();
    // Queues a task and gives it a place in an executor if there is one. kCapacity when the queue is full.
    Result<std::shared_ptr<Ticket>> enqueue(const api::Work& work, bool exclusive);
    // Whether such tasks may share a process.
    bool may_share(const api::Work& work) const;
    // The holder is done with the ticket, however that came about.
    void drop(const std::shared_ptr<Ticket>& ticket);
    // Hands the task to the ticket's child. `input` is the region for a large input, if there is one.
    Result<void> send_task(Ticket& ticket, RunMessage message, host::UniqueFd input, api::WorkEvents events);
    // The child's answer as a result; a lie in it costs the child its life.
    Result<api::WorkOutput> collect(Ticket& ticket);
    void end_session(const std::string& session_id);
    Task<void> stop();

  private:
    Task<Result<void>> wait_for_turn(std::shared_ptr<Ticket> ticket, Deadline limit);
    static Task<void> watch(std::shared_ptr<Core> core, std::shared_ptr<Child> child);
    static Task<void> listen(std::shared_ptr<Core> core, std::shared_ptr<Child> child);

    Result<Blob> map_result(Slot& slot, const OutputMessage& output);
    void start_missing();
    Result<void> start_one();
    void start_failed(const Error& error);
    Task<bool> handle(std::shared_ptr<Child> child, Message message);
    void on_ready(const std::shared_ptr<Child>& child, const ReadyMessage& message);
    Task<bool> on_early(std::shared_ptr<Child> child, EarlyMessage message);
    bool on_progress(Child& child, const ProgressMessage& message);
    void on_usage(Child& child, UsageMessage message);
    bool on_done(const std::shared_ptr<Child>& child, DoneMessage message);
    void on_gone(
        const std::shared_ptr<Child>& child, const host::ExitStatus& status, const std::string& misconduct
    );
    void dispatch();
    std::shared_ptr<Child> best_idle(const Ticket& ticket) const;
    std::shared_ptr<Child> best_shared(const Ticket& ticket) const;
    void assign(const std::shared_ptr<Ticket>& ticket, std::shared_ptr<Child> child);
    void release(const std::shared_ptr<Child>& child, Slot& slot);
    void ask_to_stop(const std::shared_ptr<Child>& child, const std::shared_ptr<Assignment>& assignment);
    void kill(Child& child, std::string reason);
    void send(Child& child, const Message& message);
    void remember_session(Child& child, const std::string& session_id);
    void retire_idle();
    std::size_t processes_needed() const;
    template <class Is>
    std::size_t count(Is&& is) const {
        return static_cast<std::size_t>(std::ranges::count_if(children_, [&](const auto& c) {
            return std::invoke(is, *c);
        }));
    }
    std::size_t alive() const;

    ExecutorPorts ports_;
    ExecutorSettings settings_;
    ModelBook models_;
    ExecutorStats stats_;
    std::list<std::shared_ptr<Child>> children_;
    std::deque<std::shared_ptr<Ticket>> queue_;
    std::uint64_t last_task_ = 0;
    std::uint32_t failed_starts_ = 0;  // in a row
    TimePoint start_again_at_{};
    std::optional<Error> start_error_;
    Timer start_timer_;
    Timer idle_timer_;
    std::set<std::string> told_missing_;
    bool warmed_up_ = false;
    bool stopping_ = false;
    TaskGroup group_;
};

}  // namespace framegrid::sandbox
