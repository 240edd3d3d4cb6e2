#include <framegrid/sandbox/pool.hpp>

#include <framegrid/sandbox/core.hpp>
#include <framegrid/sandbox/shared_memory.hpp>

namespace framegrid::sandbox {

namespace {

Task<Result<bool>> wait_for(OneShot event) {
    co_await event.wait();
    co_return true;
}

}  // namespace

ExecutorPool::ExecutorPool(ExecutorPorts ports, ExecutorSettings settings)
    : core_(std::make_shared<Core>(std::move(ports), std::move(settings))) {}
ExecutorPool::~ExecutorPool() = default;

void ExecutorPool::warm_up() {
    core_->warm_up();
}

void ExecutorPool::end_session(const std::string& session_id) {
    core_->end_session(session_id);
}

Task<void> ExecutorPool::stop() {
    return core_->stop();
}

ExecutorStats ExecutorPool::stats() const {
    return core_->snapshot();
}

ModelStats ExecutorPool::models() const {
    return core_->models();
}

namespace {

// Gives the place in the queue or the executor back, also when the caller is cancelled.
template <class Core>
class Lease {
  public:
    Lease(std::shared_ptr<Core> core, std::shared_ptr<Ticket> ticket)
        : core_(std::move(core)), ticket_(std::move(ticket)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { core_->drop(ticket_); }

  private:
    std::shared_ptr<Core> core_;
    std::shared_ptr<Ticket> ticket_;
};

}  // namespace

Task<Result<api::WorkOutput>> ExecutorPool::run(api::Work work, Deadline deadline, api::WorkEvents events) {
    const auto core = core_;
    const Deadline limit = deadline.at_most(core->ports().clock, core->settings().task_max);
    bool again = false;
    if (core->may_share(work)) {
        auto shared = co_await Core::run_once(core, work, false, limit, events, again);
        if (shared || !again) {
            co_return shared;
        }
        ++core->counters().tasks_again;
    }
    co_return co_await Core::run_once(core, std::move(work), true, limit, std::move(events), again);
}

Task<Result<api::WorkOutput>> ExecutorPool::Core::run_once(
    std::shared_ptr<Core> core, api::Work work, bool exclusive, Deadline limit, api::WorkEvents events,
    bool& had_company
) {
    Clock& clock = core->ports().clock;
    FG_CO_TRY(ticket, core->enqueue(work, exclusive));
    const Lease lease(core, ticket);
    FG_CO_CHECK(co_await core->wait_for_turn(ticket, limit));
    limit = limit.at_most(clock, core->settings().run_max);
    RunMessage message;
    host::UniqueFd input;
    if (work.input.size() > kInlineMax) {
        const Blob bytes = std::exchange(work.input, Blob());
        const auto copy = [&bytes] { return make_input_region(bytes.view()); };
        Result<host::UniqueFd> region = host::UniqueFd();
        if (bytes.size() >= kCopyOnPoolMin) {
            region = co_await offload(core->ports().pool, copy);
        } else {
            region = copy();
        }
        FG_CO_TRY(shared, std::move(region));
        input = std::move(shared);
        message.input_shared = bytes.size();
    }
    message.work = std::move(work);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit.left(clock));
    message.deadline_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, left.count()));
    const auto assignment = ticket->assignment;
    FG_CO_CHECK(core->send_task(*ticket, std::move(message), std::move(input), std::move(events)));
    auto finished = wait_for(assignment->finished);
    const auto done = co_await with_deadline<bool>(clock, limit, std::move(finished));
    if (done) {
        had_company = assignment->had_company;
        co_return core->collect(*ticket);
    }
    if (done.error().code == Errc::kDeadline) {
        ++core->counters().tasks_late;
        co_return fail(Errc::kDeadline, "the task did not finish before its deadline");
    }
    ++core->counters().tasks_cancelled;
    co_return fail(done.error());
}

Task<Result<void>> ExecutorPool::Core::wait_for_turn(std::shared_ptr<Ticket> ticket, Deadline limit) {
    if (!ticket->turn.fired()) {
        auto turn = wait_for(ticket->turn);
        const auto got = co_await with_deadline<bool>(ports_.clock, limit, std::move(turn));
        if (!got) {
            if (got.error().code != Errc::kDeadline) {
                co_return fail(got.error());
            }
            ++stats_.tasks_refused;
            co_return fail(Errc::kCapacity, "no executor became free before the deadline");
        }
    }
    if (ticket->error) {
        co_return fail(*ticket->error);
    }
    co_return Result<void>{};
}

void dump(MetricsWriter& out, const ExecutorStats& stats) {
    out.counter("framegrid_sandbox_executors_started_total", stats.started);
    out.counter("framegrid_sandbox_executor_start_failures_total", stats.start_failures);
    out.counter("framegrid_sandbox_executors_retired_total", stats.retired);
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_ok, {{"outcome", "ok"}});
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_failed, {{"outcome", "failed"}});
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_crashed, {{"outcome", "crashed"}});
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_late, {{"outcome", "late"}});
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_cancelled, {{"outcome", "cancelled"}});
    out.counter("framegrid_sandbox_tasks_total", stats.tasks_refused, {{"outcome", "refused"}});
    out.counter("framegrid_sandbox_tasks_again_total", stats.tasks_again);
    out.gauge("framegrid_sandbox_executors_idle", static_cast<double>(stats.idle));
    out.gauge("framegrid_sandbox_executors_busy", static_cast<double>(stats.busy));
    out.gauge("framegrid_sandbox_queue_tasks", static_cast<double>(stats.waiting));
    out.gauge("framegrid_sandbox_queue_tasks_max", static_cast<double>(stats.waiting_max));
}

}  // namespace framegrid::sandbox
