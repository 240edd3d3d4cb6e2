#include <framegrid/orchestrator/orchestrator.hpp>

#include <algorithm>
#include <map>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/api/receipts.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/base/counted.hpp>
#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/orchestrator/memory_store.hpp>
#include <framegrid/orchestrator/pending_task.hpp>
#include <framegrid/orchestrator/work_units.hpp>
#include <framegrid/orchestrator/worker_table.hpp>
#include <framegrid/runtime/channel.hpp>

namespace framegrid::orchestrator {

namespace {

constexpr std::string_view kEcho = "echo";
constexpr Duration kDrainTick = std::chrono::milliseconds(20);
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

class Role final : public Orchestrator {
  public:
    Role(Ports ports, Settings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          sessions_(settings_.sessions, ports_.random),
          store_(settings_.store_bytes_max),
          // Not from 0: a worker that missed our restart must not answer a new task with an old one's result.
          next_task_(static_cast<std::int64_t>(ports_.random.next() >> 16)) {
        workers_changed();
        if (auto& paid = ports_.payments) {
            FG_ASSERT(ports_.key != nullptr);
            cashier_.emplace(
                CashierPorts{
                    ports_.clock, ports_.random, ports_.log, paid->pool, paid->ledger, paid->chain,
                    paid->winners, ports_.key->address()
                },
                settings_.cashier, std::move(paid->prices)
            );
        }
    }
    ~Role() override { stop(); }

    Task<Result<bool>> serve() override;

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override;
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override;
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override;
    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(
        api::Registration registration, Deadline deadline
    ) override;
    Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) override;
    Task<Result<void>> submit(api::TaskReport report, Deadline deadline) override;
    Task<Result<void>> submit_early(api::EarlyReport report, Deadline deadline) override;
    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline deadline) override;
    Result<void> admit(const api::Job& head) override;
    Task<Result<void>> take_payment(api::Job& head, Deadline deadline) override;
    Task<Result<api::OrchestratorInfo>> prepay(api::Job head, Deadline deadline) override;
    Task<Result<api::OrchestratorInfo>> payment_info(
        crypto::Address sender, std::string manifest_id, Deadline deadline
    ) override;
    bool is_worker_secret(std::string_view secret) const override { return secret_matches(secret); }
    Bytes sign_ping(BytesView value) override;
    Bytes sign_result(const std::vector<crypto::Hash32>& rendition_hashes) override;
    std::string store(const std::string& session_id, const std::string& name, Blob bytes) override;
    std::optional<Blob> stored(std::string_view path) override { return store_.get(path); }
    Task<void> drain(TimePoint until) override;
    void stop() override;
    Stats stats() const override;
    std::vector<pay::BalanceEntry> books() const override {
        return cashier_ ? cashier_->books() : std::vector<pay::BalanceEntry>();
    }

  private:
    friend class Registered;
    struct Registration {
        explicit Registration(std::size_t limit) : tasks(limit) {}
        Channel<api::WorkerTask> tasks;
    };
    bool secret_matches(std::string_view given) const {
        return crypto::equal_constant_time(as_bytes(given), as_bytes(settings_.secret));
    }
    Result<void> check_secret(TaskId task, std::string_view given);
    api::OrchestratorInfo info(bool full, const crypto::Address& sender);
    // Puts the price of an order and what to pay it with in.
    Task<Result<void>> price(api::OrchestratorInfo& into, pay::Order order, Deadline deadline);
    Task<Result<void>> take(pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline);
    Task<Result<api::WorkOutput>> work(const api::Job& job, Deadline deadline);
    void workers_changed();
    void drop_session(const std::string& session_id);
    void worker_gone(WorkerId id);
    void expire_sessions();
    Deadline work_deadline(const api::Work& work, Deadline deadline) const;
    Task<Result<api::JobOutput>> run_here(api::Job job, Deadline deadline);
    void write_receipt(
        const api::Job& job, const api::WorkOutput& output, const Price& price, std::int64_t units
    );
    Task<Result<WorkerId>> worker_for(const WorkerDemand& demand, Deadline deadline);
    Task<Result<api::WorkOutput>> dispatch(const api::Job& job, Deadline deadline);
    Task<Result<api::WorkOutput>> run_on(
        const WorkerDemand& demand, const api::Work& work, Deadline deadline,
        std::shared_ptr<PendingTask> pending
    );

    Ports ports_;
    Settings settings_;
    Sessions sessions_;
    MemoryStore store_;
    WorkerTable workers_;
    std::optional<job::Capabilities> offer_;  // what all workers together offer; always set
    std::map<WorkerId, std::shared_ptr<Registration>> registrations_;
    std::map<TaskId, std::shared_ptr<PendingTask>> pending_;
    Notifier room_changed_;
    std::int64_t next_task_;
    std::size_t waiting_ = 0;
    bool draining_ = false;
    bool stopping_ = false;
    std::optional<TimePoint> idle_since_;  // nullopt: no job has run
    Stats stats_;
    std::optional<Cashier> cashier_;                         // absent: nothing is paid
    std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // streams may outlive the role
};

// A worker's registration as the adapter holds it: gone when destroyed.
class Registered final : public api::TaskStream {
  public:
    Registered(
        Role& role, std::weak_ptr<int> alive, WorkerId id, std::shared_ptr<Role::Registration> registration
    )
        : role_(role), alive_(std::move(alive)), id_(id), registration_(std::move(registration)) {}
    ~Registered() override {
        if (!alive_.expired()) {
            role_.worker_gone(id_);
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
    Role& role_;
    std::weak_ptr<int> alive_;
    WorkerId id_;
    std::shared_ptr<Role::Registration> registration_;
};

Task<Result<bool>> Role::serve() {
    if (cashier_) {
        co_return co_await cashier_->serve();
    }
    for (;;) {
        co_await sleep_for(ports_.clock, std::chrono::hours(24));
    }
}

api::OrchestratorInfo Role::info(bool full, const crypto::Address& sender) {
    const auto price_of = [&](const std::vector<pay::ModelKey>& models) {
        return cashier_ ? cashier_->price(sender, models) : settings_.price;
    };
    api::OrchestratorInfo out;
    out.service_uri = settings_.service_uri;
    out.price = price_of({});
    if (ports_.key != nullptr) {
        const auto address = ports_.key->address();
        out.address.assign(address.begin(), address.end());
    }
    out.capabilities = offer_;
    if (full) {
        out.hardware = workers_.hardware();
        for (const auto& [capability, models] : out.capabilities->constraints) {
            for (const auto& [model_id, constraint] : models) {
                out.model_prices.push_back({price_of({{capability, model_id}}), capability, model_id});
            }
        }
    }
    return out;
}

void Role::workers_changed() {
    offer_ = draining_ ? WorkerTable().capabilities() : workers_.capabilities();
    offer_->version = settings_.version;
    room_changed_.notify_all();
}

Task<Result<void>> Role::price(api::OrchestratorInfo& into, pay::Order order, Deadline deadline) {
    if (!cashier_) {
        co_return Result<void>{};
    }
    auto quote = co_await cashier_->quote(std::move(order), deadline);
    if (!quote) {
        co_return fail(std::move(quote.error()));
    }
    into.price = quote->price;
    if (quote->params) {
        into.ticket_params = std::make_shared<const pay::TicketParams>(std::move(*quote->params));
    }
    co_return Result<void>{};
}

Task<Result<api::OrchestratorInfo>> Role::get_info(api::InfoRequest request, Deadline deadline) {
    expire_sessions();
    // A poll must not fail because the node is busy: gateways would take it for dead.
    const bool full = draining_ || sessions_.full(ports_.clock.now());
    if (request.needs && !request.ignore_capacity && full) {
        co_return fail(Errc::kCapacity, kTextCapped);
    }
    auto out = info(!request.needs, request.sender);
    out.auth_token = sessions_.issue(ports_.clock.unix_ms());
    pay::Order order{{request.sender, out.auth_token.session_id}, {}};
    if (request.needs) {
        order.models = models_of(*request.needs);
    }
    if (order.models.size() == 1) {
        const auto& model = order.models.front();
        order.key.id = pay::model_balance_id(model.capability, model.model_id);
    }
    // A poll is answered whoever asks; who wants to buy learns why it cannot.
    const auto priced = co_await price(out, std::move(order), deadline);
    if (!priced && request.needs) {
        co_return fail(priced.error());
    }
    co_return out;
}

Result<void> Role::admit(const api::Job& head) {
    const auto check = [&]() -> Result<void> {
        if (draining_ || stopping_) {
            return fail(Errc::kCapacity, kTextCapped);
        }
        const auto* ai = std::get_if<api::AiWork>(&head.work.kind);
        const bool echo = ai != nullptr && ai->pipeline == kEcho;
        if (!echo && !job::compatible(head.needs, offer_)) {
            return fail(Errc::kForbidden, kTextIncompatible);
        }
        FG_CHECK(sessions_.check(head.token, ports_.clock.unix_ms()));
        if (ai == nullptr && !sessions_.alive(head.token.session_id) && sessions_.full(ports_.clock.now())) {
            return fail(Errc::kCapacity, kTextCapped);
        }
        if (ai != nullptr && !echo && !workers_.could_serve(demand_of(head))) {
            return fail(Errc::kCapacity, kTextNoCapacity);
        }
        return {};
    };
    auto result = check();
    stats_.jobs_refused += result ? 0 : 1;
    return result;
}

Task<Result<void>> Role::take(
    pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline
) {
    if (!cashier_) {
        co_return Result<void>{};
    }
    Result<void> taken;
    if (payment != nullptr && !payment->tickets.empty()) {
        taken = co_await cashier_->take(order, std::move(payment), deadline);
        if (taken) {
            taken = cashier_->check_paid(order);
        }
    } else {
        taken = cashier_->take_without_tickets(order, payment.get());
    }
    if (!taken) {
        ++stats_.jobs_refused;
        ports_.log.info(
            "orchestrator.payment_refused", {{"sender", crypto::checksum_address(order.key.peer)},
                                             {"for", order.key.id},
                                             {"error", taken.error().message}}
        );
    }
    co_return taken;
}

Task<Result<void>> Role::take_payment(api::Job& head, Deadline deadline) {
    auto order = cashier_ ? order_of(head.sender, head.work, head.token.session_id) : pay::Order();
    return take(std::move(order), std::exchange(head.payment, nullptr), deadline);
}

Task<Result<api::OrchestratorInfo>> Role::prepay(api::Job head, Deadline deadline) {
    if (!cashier_) {
        co_return fail(Errc::kUnsupported, "nothing is paid here");
    }
    const pay::Order order{{head.sender, head.manifest_id}, models_of(head.needs)};
    FG_CO_CHECK(co_await take(order, head.payment, deadline));
    auto out = info(false, head.sender);
    out.auth_token = head.token;
    FG_CO_CHECK(co_await price(out, order, deadline));
    co_return out;
}

Task<Result<api::OrchestratorInfo>> Role::payment_info(
    crypto::Address sender, std::string manifest_id, Deadline deadline
) {
    pay::Order order{{sender, std::move(manifest_id)}, {}};
    if (!cashier_ || !cashier_->is_price_fixed(order.key)) {
        co_return fail(Errc::kNotFound, "no price is fixed for this manifest id", "manifest_id");
    }
    auto out = info(false, sender);
    out.auth_token = sessions_.issue(ports_.clock.unix_ms());
    FG_CO_CHECK(co_await price(out, std::move(order), deadline));
    co_return out;
}

Task<Result<api::JobOutput>> Role::run(api::Job job, Deadline deadline) {
    FG_CO_CHECK(admit(job));
    const Counted counted(stats_.running);
    const AtExit mark([this] { idle_since_ = ports_.clock.now(); });
    Span span = ports_.tracer.start("orchestrator.job", SpanKind::kServer, job.work.trace);
    span.set("framegrid.manifest", job.manifest_id);
    job.work.trace = span.context();
    const std::string pipeline = api::pipeline_of(job.work);
    const TimePoint began = ports_.clock.now();
    auto output = co_await run_here(std::move(job), deadline);
    const auto how = output ? "done" : to_string(output.error().code);
    stats_.jobs.add(pipeline, how, ports_.clock.now() - began);
    if (!output) {
        span.fail(output.error());
    }
    co_return output;
}

void Role::write_receipt(
    const api::Job& job, const api::WorkOutput& output, const Price& price, std::int64_t units
) {
    auto* const desk = ports_.payments->receipts;
    if (desk == nullptr || price.wei == 0) {
        return;
    }
    crypto::Hash32 id = job.receipt;
    if (id == crypto::Hash32{}) {
        ports_.random.fill(id);  // a payer that keeps no receipts
    }
    const api::Settled settled{job.work, output, id, job.sender, ports_.key->address(), price, units};
    desk->post(api::draft_receipt(settled, ports_.clock.unix_ms()));
}

// An admitted job.
Task<Result<api::JobOutput>> Role::run_here(api::Job job, Deadline deadline) {
    PaidWork paid;
    std::int64_t units = 0;
    if (cashier_) {
        if (job.payment) {
            FG_CO_CHECK(co_await take_payment(job, deadline));
        }
        FG_CO_TRY(estimate, estimated_units(job.work));
        units = estimate;
        FG_CO_TRY(begun, cashier_->begin(order_of(job.sender, job.work, job.token.session_id), units));
        paid = std::move(begun);
    }
    const auto* ai = std::get_if<api::AiWork>(&job.work.kind);
    const bool echo = ai != nullptr && ai->pipeline == kEcho;
    Result<api::WorkOutput> result = api::WorkOutput{};
    if (echo) {
        result->artifacts.push_back({"echo", job.work.input_content_type, job.work.input, {}, {}});
    } else {
        job.work.session_id = job.token.session_id;
        result = co_await work(job, work_deadline(job.work, deadline));
    }
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    ++stats_.jobs_done;
    ports_.log.debug(
        "orchestrator.job_done",
        {{"manifest", job.manifest_id}, {"seq", job.seq}, {"trace", job.work.trace.trace_id}}
    );
    if (cashier_) {
        const std::int64_t done = done_units(job.work, *result, units);
        const Price at = paid.price();
        cashier_->finish(std::move(paid), done);
        write_receipt(job, *result, at, done);
    }
    api::JobOutput out;
    out.output = std::move(*result);
    if (!echo) {
        out.info = info(false, job.sender);
        out.info->auth_token = job.token;
        if (ai == nullptr) {
            // Without it the gateway asks for what it needs.
            (void)co_await price(*out.info, order_of(job.sender, job.work, job.token.session_id), deadline);
        }
    }
    co_return out;
}

Task<Result<api::WorkOutput>> Role::work(const api::Job& job, Deadline deadline) {
    const bool transcode = std::holds_alternative<api::TranscodeWork>(job.work.kind);
    Sessions::Visit visit;
    if (transcode) {
        auto entered = sessions_.enter(job.token.session_id, ports_.clock.now());
        if (!entered) {
            ++stats_.jobs_refused;
            co_return fail(std::move(entered.error()));
        }
        visit = std::move(*entered);
        if (visit.evicted) {
            drop_session(*visit.evicted);
        }
    }
    const AtExit leave([&] {
        if (transcode) {
            sessions_.leave(job.token.session_id, visit, ports_.clock.now());
        }
    });
    auto result = co_await dispatch(job, deadline);
    if (!result) {
        ++stats_.jobs_failed;
        ports_.log.warn(
            "orchestrator.job_failed", {{"manifest", job.manifest_id},
                                        {"seq", job.seq},
                                        {"code", to_string(result.error().code)},
                                        {"error", result.error().message},
                                        {"trace", job.work.trace.trace_id}}
        );
    }
    co_return result;
}

Deadline Role::work_deadline(const api::Work& work, Deadline deadline) const {
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        const Duration four = 4 * std::chrono::milliseconds(transcode->duration_ms);
        return deadline.at_most(ports_.clock, std::max(settings_.transcode_time_min, four));
    }
    return deadline.at_most(ports_.clock, settings_.ai_time_max);
}

Task<Result<api::WorkOutput>> Role::dispatch(const api::Job& job, Deadline deadline) {
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
        if (result || result.error().disposition == Disposition::kReject || deadline.passed(ports_.clock)) {
            co_return std::move(result);
        }
        last = std::move(result.error());
        ports_.log.info(
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

Task<Result<WorkerId>> Role::worker_for(const WorkerDemand& demand, Deadline deadline) {
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
        if (!co_await room_changed_.wait_until(ports_.clock, deadline.at)) {
            co_return fail(full());
        }
    }
}

Task<Result<api::WorkOutput>> Role::run_on(
    const WorkerDemand& demand, const api::Work& work, Deadline deadline, std::shared_ptr<PendingTask> pending
) {
    const WorkerId worker = pending->worker;
    const auto registration = registrations_.find(worker);
    FG_ASSERT(registration != registrations_.end());
    const TaskId id{next_task_++};
    api::WorkerTask task;
    task.id = id;
    task.work = work;
    Span span = ports_.tracer.start("orchestrator.task", SpanKind::kProducer, work.trace);
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
    const TimePoint started = ports_.clock.now();
    (void)co_await pending->done.wait_until(ports_.clock, deadline.at);
    if (!pending->outcome || !*pending->outcome) {
        span.fail(pending->outcome ? pending->outcome->error() : make_error(Errc::kDeadline, "no answer"));
    }
    if (!pending->outcome) {
        // A short deadline of the caller's says nothing about the worker; its full time without an answer
        // does.
        if (ports_.clock.now() - started >= settings_.transcode_time_min &&
            workers_.timed_out(worker, kTimeoutsMax)) {
            ports_.log.warn(
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

Task<Result<void>> Role::end_session(api::AuthToken token, Deadline) {
    FG_CO_CHECK(sessions_.check_mac(token));
    sessions_.end(token.session_id);
    drop_session(token.session_id);
    co_return Result<void>{};
}

// Frees what is kept for a session that is over, here and at its worker.
void Role::drop_session(const std::string& session_id) {
    store_.erase_prefix("/stream/" + session_id + "/");
    if (const auto worker = workers_.end_session(session_id)) {
        if (const auto registration = registrations_.find(*worker); registration != registrations_.end()) {
            api::WorkerTask notice;
            notice.session_ended = session_id;
            (void)registration->second->tasks.try_send(std::move(notice)
            );  // only a hint: full queues may drop it
        }
    }
}

Task<Result<std::unique_ptr<api::TaskStream>>> Role::register_worker(
    api::Registration registration, Deadline
) {
    if (!secret_matches(registration.secret)) {
        ++stats_.registrations_refused;
        ports_.log.warn("orchestrator.worker_refused", {{"why", "wrong secret"}});
        co_return fail(Errc::kUnauthorized, kTextInvalidSecret);
    }
    if (registration.capacity <= 0) {
        ++stats_.registrations_refused;
        co_return fail(Errc::kInvalidArgument, kTextZeroCapacity, "capacity");
    }
    if (draining_ || stopping_ || workers_.size() >= settings_.workers_max) {
        co_return fail(Errc::kCapacity, "no more workers are accepted");
    }
    registration.secret.clear();
    const WorkerId id = workers_.add(registration);
    // A worker never has more tasks than its capacity; session notices share the queue.
    auto entry = std::make_shared<Registration>(static_cast<std::size_t>(registration.capacity) * 2 + 16);
    registrations_.emplace(id, entry);
    ports_.log.info(
        "orchestrator.worker_registered",
        {{"worker", id.value},
         {"kind", registration.kind == api::WorkerKind::kAi ? "ai" : "transcoder"},
         {"capacity", registration.capacity},
         {"workers", workers_.size()}}
    );
    workers_changed();
    co_return std::make_unique<Registered>(*this, alive_, id, std::move(entry));
}

void Role::worker_gone(WorkerId id) {
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
    ports_.log.info(
        "orchestrator.worker_gone",
        {{"worker", id.value}, {"interrupted", interrupted}, {"workers", workers_.size()}}
    );
    workers_changed();
}

Task<Result<Blob>> Role::fetch_input(std::string url, Deadline) {
    if (auto blob = store_.get(url)) {
        co_return std::move(*blob);
    }
    co_return fail(Errc::kNotFound, "no such input", "url");
}

Result<void> Role::check_secret(TaskId task, std::string_view given) {
    if (secret_matches(given)) {
        return {};
    }
    ++stats_.results_refused;
    ports_.log.warn("orchestrator.result_refused", {{"task", task.value}, {"why", "wrong secret"}});
    return fail(Errc::kUnauthorized, kTextInvalidSecret);
}

Task<Result<void>> Role::submit_early(api::EarlyReport report, Deadline) {
    FG_CO_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != api::WorkerKind::kTranscoder) {
        ++stats_.results_late;
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    workers_.answered(pending->second->worker);
    FG_CO_CHECK(pending->second->deliver(report.index, std::move(report.artifact)));
    ++stats_.renditions_early;
    co_return Result<void>{};
}

Task<Result<void>> Role::submit_progress(api::ProgressReport report, Deadline) {
    FG_CO_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != api::WorkerKind::kAi) {
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    workers_.answered(pending->second->worker);
    if (const auto tell = pending->second->progress) {
        tell(report.progress);
    }
    co_return Result<void>{};
}

Task<Result<void>> Role::submit(api::TaskReport report, Deadline) {
    FG_CO_CHECK(check_secret(report.id, report.secret));
    const auto pending = pending_.find(report.id);
    if (pending == pending_.end() || pending->second->kind != report.kind) {
        ++stats_.results_late;
        co_return Result<void>{};
    }
    workers_.answered(pending->second->worker);
    if (report.draining && workers_.drain(pending->second->worker)) {
        ports_.log.info("orchestrator.worker_draining", {{"worker", pending->second->worker.value}});
        workers_changed();
    }
    if (report.outcome) {
        if (auto whole = pending->second->complete(*report.outcome, report.delivered); !whole) {
            report.outcome = std::unexpected(std::move(whole.error()));
        }
    }
    pending->second->finish(std::move(report.outcome));
    co_return Result<void>{};
}

Bytes Role::sign_ping(BytesView value) {
    if (ports_.key == nullptr) {
        return {};
    }
    const auto signature = ports_.key->sign_message(crypto::keccak256(value));
    return {signature.begin(), signature.end()};
}

Bytes Role::sign_result(const std::vector<crypto::Hash32>& rendition_hashes) {
    if (ports_.key == nullptr) {
        return {};
    }
    const auto signature = ports_.key->sign_message(crypto::transcode_message(rendition_hashes));
    return {signature.begin(), signature.end()};
}

std::string Role::store(const std::string& session_id, const std::string& name, Blob bytes) {
    std::string path = "/stream/" + session_id + "/" + name;
    store_.put(path, std::move(bytes));
    return path;
}

void Role::expire_sessions() {
    for (const auto& session_id : sessions_.expire(ports_.clock.now())) {
        drop_session(session_id);
    }
}

Task<void> Role::drain(TimePoint until) {
    draining_ = true;
    workers_changed();
    for (;;) {
        const TimePoint now = ports_.clock.now();
        const bool fetched = !idle_since_ || now - *idle_since_ >= settings_.fetch_time;
        if ((stats_.running == 0 && fetched) || now >= until) {
            co_return;
        }
        co_await sleep_for(ports_.clock, kDrainTick);
    }
}

void Role::stop() {
    stopping_ = true;
    for (const auto& [id, registration] : registrations_) {
        registration->tasks.close();
    }
    room_changed_.notify_all();
}

Stats Role::stats() const {
    Stats out = stats_;
    out.workers = workers_.size();
    out.in_flight = pending_.size();
    out.waiting = waiting_;
    out.sessions = sessions_.size();
    out.store_bytes = store_.bytes();
    if (cashier_) {
        out.cashier = cashier_->stats();
    }
    return out;
}

}  // namespace

std::unique_ptr<Orchestrator> make_orchestrator(Ports ports, Settings settings) {
    FG_ASSERT(!settings.secret.empty());
    return std::make_unique<Role>(std::move(ports), std::move(settings));
}

void dump(MetricsWriter& out, const Stats& stats) {
    out.counter("framegrid_orchestrator_jobs_total", stats.jobs_done, {{"result", "done"}});
    out.counter("framegrid_orchestrator_jobs_total", stats.jobs_failed, {{"result", "failed"}});
    out.counter("framegrid_orchestrator_jobs_total", stats.jobs_refused, {{"result", "refused"}});
    out.counter("framegrid_orchestrator_tasks_redispatched_total", stats.redispatched);
    out.counter("framegrid_orchestrator_renditions_early_total", stats.renditions_early);
    out.counter("framegrid_orchestrator_results_late_total", stats.results_late);
    out.counter("framegrid_orchestrator_results_refused_total", stats.results_refused);
    out.counter("framegrid_orchestrator_registrations_refused_total", stats.registrations_refused);
    out.gauge("framegrid_orchestrator_workers", static_cast<double>(stats.workers));
    out.gauge("framegrid_orchestrator_jobs_in_flight", static_cast<double>(stats.in_flight));
    out.gauge("framegrid_orchestrator_jobs_running", static_cast<double>(stats.running));
    out.gauge("framegrid_orchestrator_jobs_waiting", static_cast<double>(stats.waiting));
    out.gauge("framegrid_orchestrator_sessions", static_cast<double>(stats.sessions));
    out.gauge("framegrid_orchestrator_store_bytes", static_cast<double>(stats.store_bytes));
    if (stats.cashier) {
        dump(out, *stats.cashier);
    }
    stats.jobs.dump(out, "framegrid_orchestrator_job_seconds", "pipeline");
}

}  // namespace framegrid::orchestrator
