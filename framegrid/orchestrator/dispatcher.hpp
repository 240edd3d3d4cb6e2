// Workers, and which of them does what: registrations, tasks under way, results as they come in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/orchestrator/pending_task.hpp>
#include <framegrid/orchestrator/worker_table.hpp>
#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/channel.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::orchestrator {

struct DispatchSettings {
    std::string secret;   // shared with workers; never empty
    std::string version;  // of the protocol, as offered
    std::size_t workers_max = 1'000;
    std::size_t waiting_max = 1'000;                     // jobs waiting for a worker with room
    int attempts_max = 3;                                // workers tried for one job
    Duration silent_time_max = std::chrono::seconds(8);  // without an answer, a worker is doubted
};

struct DispatchStats {
    std::uint64_t redispatched = 0;      // given to another worker after one vanished or failed
    std::uint64_t renditions_early = 0;  // that workers sent before their tasks' ends
    std::uint64_t results_late = 0;      // for tasks that nobody waits for any more
    std::uint64_t results_refused = 0;   // wrong secret
    std::uint64_t registrations_refused = 0;
    std::size_t in_flight = 0;  // at workers
    std::size_t waiting = 0;    // jobs, for a worker with room
};

// Runs on one executor; every method is called there.
class Dispatcher {
  public:
    Dispatcher(Clock& clock, Random& random, Logger log, Tracer tracer, DispatchSettings settings);
    Dispatcher(const Dispatcher&) = delete;
    Dispatcher& operator=(const Dispatcher&) = delete;
    ~Dispatcher();

    const WorkerTable& workers() const { return workers_; }
    // What all workers together offer; nothing when draining.
    const job::Capabilities& offer() const { return *offer_; }
    // Whether one that is here could do it, now or later.
    bool could_serve(const api::Job& job) const;
    bool is_secret(std::string_view given) const;
    bool is_ending() const { return draining_ || stopping_; }

    // At one worker after the other. kCapacity: nobody has room before the deadline.
    Task<Result<api::WorkOutput>> run(const api::Job& job, Deadline deadline);
    // Tells the session's worker that it is over.
    void end_session(const std::string& session_id);

    // See api::OrchestratorService.
    Result<std::unique_ptr<api::TaskStream>> register_worker(api::Registration registration);
    Result<void> submit(api::TaskReport report);
    Result<void> submit_early(api::EarlyReport report);
    Result<void> submit_progress(api::ProgressReport report);

    // Offers nothing from now on; what runs goes on.
    void drain();
    // Ends registrations, fails waiting jobs.
    void stop();
    DispatchStats stats() const {
        DispatchStats out = stats_;
        out.in_flight = pending_.size();
        out.waiting = waiting_;
        return out;
    }

  private:
    friend class Registered;
    struct Registration;

    Result<void> check_secret(TaskId task, std::string_view given);
    void workers_changed();
    void worker_gone(WorkerId id);
    Task<Result<WorkerId>> worker_for(const WorkerDemand& demand, Deadline deadline);
    Task<Result<api::WorkOutput>> run_on(
        const WorkerDemand& demand, const api::Work& work, Deadline deadline,
        std::shared_ptr<PendingTask> pending
    );

    Clock& clock_;
    Logger log_;
    Tracer tracer_;
    const DispatchSettings settings_;
    WorkerTable workers_;
    std::optional<job::Capabilities> offer_;  // always set
    std::map<WorkerId, std::shared_ptr<Registration>> registrations_;
    std::map<TaskId, std::shared_ptr<PendingTask>> pending_;
    Notifier room_changed_;
    std::int64_t next_task_;
    std::size_t waiting_ = 0;
    bool draining_ = false;
    bool stopping_ = false;
    DispatchStats stats_;
    std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // streams may outlive it
};

}  // namespace framegrid::orchestrator
