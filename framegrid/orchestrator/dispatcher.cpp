#include <framegrid/orchestrator/dispatcher.hpp>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/orchestrator/orchestrator.hpp>

namespace framegrid::orchestrator {
namespace {

constexpr int kTimeoutsMax = 2;  // in a row, then a worker is taken for dead
WorkerDemand demand_of(const api::Job& job) {
    WorkerDemand demand;
    demand.needs = job.needs;
    if (const auto* ai = std::get_if<api::AiWork>(&job.work.kind)) {
        demand.kind = api::WorkerKind::kAi;
        demand.capability = job::capability_of_pipeline(ai->pipeline);
        demand.model_id = ai->model_id;
    } else {
        demand.session_id = job.token.session_id;
    }
    return demand;
}

}  // namespace

struct Dispatcher::Registration {
    explicit Registration(std::size_t limit) : tasks(limit) {}
    Channel<api::WorkerTask> tasks;
};

// A worker's registration as the adapter holds it: gone when destroyed.
class Registered final : public api::TaskStream {
  public:
    Registered(
        Dispatcher& dispatcher, std::weak_ptr<int> alive, WorkerId id,
        std::shared_ptr<Dispatcher::Registration> registration
    )
        : dispatcher_(dispatcher),
          alive_(std::move(alive)),
          id_(id),
          registration_(std::move(registration)) {}
    ~Registered() override {
        if (!alive_.expired()) {
            dispatcher_.worker_gone(id_);
        }
    }
    Task<Result<api::WorkerTask>> next() override {
        const auto registration = registration_;  // the stream may be destroyed under this wait
        auto task = co_await registration->tasks.receive();
        if (!task) {
            co_return fail(Errc::kUnavailable, "the orchestrator is stopping");
        }
        co_return std::move(*task);
    }

  private:
    Dispatcher& dispatcher_;
    std::weak_ptr<int> alive_;
    WorkerId id_;
    std::shared_ptr<Dispatcher::Registration> registration_;
};

Dispatcher::Dispatcher(Clock& clock, Random& random, Logger log, Tracer tracer, DispatchSettings settings)
    : clock_(clock),
      log_(std::move(log)),
      tracer_(std::move(tracer)),
      settings_(std::move(settings)),
      // Not from 0: a worker that missed our restart must not answer a new task with an old one's result.
      next_task_(static_cast<std::int64_t>(random.next() >> 16)) {
    FG_ASSERT(!settings_.secret.empty());
    workers_changed();
}

Dispatcher::~Dispatcher() {
    stop();
}

bool Dispatcher::is_secret(std::string_view given) const {
    return crypto::equal_constant_time(as_bytes(given), as_bytes(settings_.secret));
}

bool Dispatcher::could_serve(const api::Job& job) const {
    return workers_.could_serve(demand_of(job));
}

void Dispatcher::workers_changed() {
    offer_ = draining_ ? WorkerTable().capabilities() : workers_.capabilities();
    offer_->version = settings_.version;
    room_changed_.notify_all();
}

Task<Result<api::WorkOutput>> Dispatcher::run(const api::Job& job, Deadline deadline) {
    WorkerDemand demand = demand_of(job);
    const auto early = std::make_shared<api::EarlyArtifacts>(api::early_count(job.work), job.early);
    std::optional<Error> last;
    for (int attempts = 0; attempts < settings_.attempts_max;) {
        auto worker = co_await worker_for(demand, deadline);
        if (!worker) {
            // With an earlier failure in hand, that one says more than "nobody else is left".
            co_return fail(last ? std::move(*last) : std::move(worker.error()));
        }
        stats_.redispatched += last ? 1 : 0;
        auto pending = std::make_shared<PendingTask>();
        pending->worker = *worker;
        pending->kind = demand.kind;
        pending->early = early;
        pending->progress = job.progress;
        auto result = co_await run_on(demand, job.work, deadline, pending);
        if (result) {
            early->put_into(*result);
        }
        if (result || result.error().disposition == Disposition::kReject || deadline.passed(clock_)) {
            co_return std::move(result);
        }
        last = std::move(result.error());
        log_.info(
            "orchestrator.task_redispatched", {{"worker", worker->value},
                                               {"vanished", pending->vanished ? "yes" : "no"},
                                               {"error", last->message},
                                               {"trace", job.work.trace.trace_id}}
        );
        demand.exclude.push_back(*worker);
        attempts += workers_.is_draining(*worker) ? 0 : 1;  // its refusal says nothing about the job
    }
    co_return fail(std::move(*last));
}

Task<Result<WorkerId>> Dispatcher::worker_for(const WorkerDemand& demand, Deadline deadline) {
    const auto full = [&] {
        return make_error(Errc::kCapacity, demand.capability ? kTextNoCapacity : kTextNoTranscoders);
    };
    for (;;) {
        if (const auto worker = workers_.pick(demand)) {
            co_return *worker;
        }
        if (stopping_ || !workers_.could_serve(demand) || waiting_ >= settings_.waiting_max) {
            co_return fail(full());
        }
        ++waiting_;
        const AtExit count([this] { --waiting_; });
        if (!co_await room_changed_.wait_until(clock_, deadline.at)) {
            co_return fail(full());
        }
    }
}

Task<Result<api::WorkOutput>> Dispatcher::run_on(
    const WorkerDemand& demand, const api::Work& work, Deadline deadline, std::shared_ptr<PendingTask> pending
) {
    const WorkerId worker = pending->worker;
    const auto registration = registrations_.find(worker);
    FG_ASSERT(registration != registrations_.end());
    const TaskId id{next_task_++};
    api::WorkerTask task;
    task.id = id;
    task.work = work;
    Span span = tracer_.start("orchestrator.task", SpanKind::kProducer, work.trace);
    span.set("framegrid.worker", static_cast<std::int64_t>(worker.value));
    span.set("framegrid.task", id.value);
    task.work.trace = span.context();
    if (auto* ai = std::get_if<api::AiWork>(&task.work.kind)) {
        ai->progress = true;  // who tells of its steps learns when nobody waits any more
    }
    if (!registration->second->tasks.try_send(std::move(task))) {
        co_return fail(make_error(Errc::kCapacity, kTextBusy));
    }
    pending_.emplace(id, pending);
    workers_.started(worker, demand);
    const AtExit settle([&] {
        pending_.erase(id);
        workers_.finished(worker, demand);
        room_changed_.notify_all();
    });
    const TimePoint started = clock_.now();
    (void)co_await pending->done.wait_until(clock_, deadline.at);
    if (!pending->outcome || !*pending->outcome) {
        span.fail(pending->outcome ? pending->outcome->error() : make_error(Errc::kDeadline, "no answer"));
    }
    if (!pending->outcome) {
        // A short deadline of the caller's says nothing about the worker; its full time without an answer
        // does.
        if (clock_.now() - started >= settings_.silent_time_max && workers_.timed_out(worker, kTimeoutsMax)) {
            log_.warn(
                "orchestrator.worker_dropped",
                {{"worker", worker.value}, {"why", "it does not answer"}, {"trace", work.trace.trace_id}}
            );
            worker_gone(worker);
        }
        co_return fail(Errc::kDeadline, "the worker did not answer in time");
    }
    if (*pending->outcome) {
        if (auto form = check_form(work, **pending->outcome); !form) {
            co_return fail(std::move(form.error()));
        }
    }
    co_return std::move(*pending->outcome);
}

void Dispatcher::end_session(const std::string& session_id) {
    const auto worker = workers_.end_session(session_id);
    const auto registration = worker ? registrations_.find(*worker) : registrations_.end();
    if (registration != registrations_.end()) {
        api::WorkerTask notice;
        notice.session_ended = session_id;
        (void)registration->second->tasks.try_send(std::move(notice)
        );  // only a hint: full queues may drop it
    }
}

Result<std::unique_ptr<api::TaskStream>> Dispatcher::register_worker(api::Registration registration) {
    if (!is_secret(registration.secret)) {
        ++stats_.registrations_refused;
        log_.warn("orchestrator.worker_refused", {{"why", "wrong secret"}});
        return fail(Errc::kUnauthorized, kTextInvalidSecret);
    }
    if (registration.capacity <= 0) {
        ++stats_.registrations_refused;
        return fail(Errc::kInvalidArgument, kTextZeroCapacity, "capacity");
    }
    if (draining_ || stopping_ || workers_.size() >= settings_.workers_max) {
        return fail(Errc::kCapacity, "no more workers are accepted");
    }
    registration.secret.clear();
    const WorkerId id = workers_.add(registration);
    // A worker never has more tasks than its capacity; session notices share the queue.
    auto entry = std::make_shared<Registration>(static_cast<std::size_t>(registration.capacity) * 2 + 16);
    registrations_.emplace(id, entry);
    log_.info(
        "orchestrator.worker_registered",
        {{"worker", id.value},
         {"kind", registration.kind == api::WorkerKind::kAi ? "ai" : "transcoder"},
         {"capacity", registration.capacity},
         {"workers", workers_.size()}}
    );
    workers_changed();
    return std::make_unique<Registered>(*this, alive_, id, std::move(entry));
}

void Dispatcher::worker_gone(WorkerId id) {
    const auto registration = registrations_.find(id);
    if (registration == registrations_.end()) {
        return;
    }
    registration->second->tasks.close();
    registrations_.erase(registration);
    workers_.remove(id);
    std::size_t interrupted = 0;
    for (const auto& [task_id, pending] : pending_) {
        if (pending->worker == id) {
            pending->vanished = true;
            pending->finish(std::unexpected(
                make_error(Errc::kUnavailable, "the worker vanished").with_disposition(Disposition::kRetry)
            ));
            ++interrupted;
        }
    }
    log_.info(
        "orchestrator.worker_gone",
        {{"worker", id.value}, {"interrupted", interrupted}, {"workers", workers_.size()}}
    );
    workers_changed();
}

Result<void> Dispatcher::check_secret(TaskId task, std::string_view given) {
    if (is_secret(given)) {
        return {};
    }
    ++stats_.results_refused;
    log_.warn("orchestrator.result_refused", {{"task", task.value}, {"why", "wrong secret"}});
    return fail(Errc::kUnauthorized, kTextInvalidSecret);
}

Result<void> Dispatcher::submit_early(api::EarlyReport report) {
    FG_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != api::WorkerKind::kTranscoder) {
        ++stats_.results_late;
        return fail(Errc::kNotFound, "nobody waits for this task");
    }
    workers_.answered(pending->second->worker);
    FG_CHECK(pending->second->deliver(report.index, std::move(report.artifact)));
    ++stats_.renditions_early;
    return {};
}

Result<void> Dispatcher::submit_progress(api::ProgressReport report) {
    FG_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != api::WorkerKind::kAi) {
        return fail(Errc::kNotFound, "nobody waits for this task");
    }
    workers_.answered(pending->second->worker);
    if (const auto tell = pending->second->progress) {
        tell(report.progress);
    }
    return {};
}

Result<void> Dispatcher::submit(api::TaskReport report) {
    FG_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != report.kind) {
        ++stats_.results_late;
        return {};
    }
    workers_.answered(pending->second->worker);
    if (report.draining && workers_.drain(pending->second->worker)) {
        log_.info("orchestrator.worker_draining", {{"worker", pending->second->worker.value}});
        workers_changed();
    }
    if (report.outcome) {
        if (auto whole = pending->second->complete(*report.outcome, report.delivered); !whole) {
            report.outcome = std::unexpected(std::move(whole.error()));
        }
    }
    pending->second->finish(std::move(report.outcome));
    return {};
}

void Dispatcher::drain() {
    draining_ = true;
    workers_changed();
}

void Dispatcher::stop() {
    stopping_ = true;
    for (const auto& [id, registration] : registrations_) {
        registration->tasks.close();
    }
    room_changed_.notify_all();
}

}  // namespace framegrid::orchestrator
