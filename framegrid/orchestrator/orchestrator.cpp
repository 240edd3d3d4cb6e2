#include <framegrid/orchestrator/orchestrator.hpp>

#include <algorithm>

#include <framegrid/api/receipts.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/base/counted.hpp>
#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/orchestrator/dispatcher.hpp>
#include <framegrid/orchestrator/echo.hpp>
#include <framegrid/orchestrator/memory_store.hpp>
#include <framegrid/orchestrator/work_units.hpp>

namespace framegrid::orchestrator {

namespace {

constexpr std::string_view kEcho = "echo";
constexpr Duration kDrainTick = std::chrono::milliseconds(20);

class Role final : public Orchestrator {
  public:
    Role(Ports ports, Settings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          sessions_(settings_.sessions, ports_.random),
          store_(settings_.store_bytes_max),
          dispatcher_(ports_.clock, ports_.random, ports_.log, ports_.tracer, dispatch_settings()) {
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

    Task<Result<bool>> serve() override;

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override;
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override;
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override;
    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(api::Registration registration, Deadline)
        override {
        co_return dispatcher_.register_worker(std::move(registration));
    }
    Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) override;
    Task<Result<void>> submit(api::TaskReport report, Deadline) override {
        co_return dispatcher_.submit(std::move(report));
    }
    Task<Result<void>> submit_early(api::EarlyReport report, Deadline) override {
        co_return dispatcher_.submit_early(std::move(report));
    }
    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline) override {
        co_return dispatcher_.submit_progress(std::move(report));
    }
    Result<void> admit(const api::Job& head) override;
    Task<Result<void>> take_payment(api::Job& head, Deadline deadline) override;
    Task<Result<api::OrchestratorInfo>> prepay(api::Job head, Deadline deadline) override;
    Task<Result<api::OrchestratorInfo>> payment_info(
        crypto::Address sender, std::string manifest_id, Deadline deadline
    ) override;
    bool is_worker_secret(std::string_view secret) const override { return dispatcher_.is_secret(secret); }
    Bytes sign_ping(BytesView value) override;
    Bytes sign_result(const std::vector<crypto::Hash32>& rendition_hashes) override;
    std::string store(const std::string& session_id, const std::string& name, Blob bytes) override;
    std::optional<Blob> stored(std::string_view path) override { return store_.get(path); }
    Task<void> drain(TimePoint until) override;
    void stop() override { dispatcher_.stop(); }
    Stats stats() const override;
    Result<void> set_usd_rate(const pay::UsdRate& rate) override {
        if (!cashier_) {
            return fail(Errc::kUnsupported, "nothing is paid here");
        }
        return cashier_->set_usd_rate(rate);
    }
    std::vector<pay::BalanceEntry> books() const override {
        return cashier_ ? cashier_->books() : std::vector<pay::BalanceEntry>();
    }

  private:
    DispatchSettings dispatch_settings() const {
        return {settings_.secret,      settings_.version,      settings_.workers_max,
                settings_.waiting_max, settings_.attempts_max, settings_.transcode_time_min};
    }
    api::OrchestratorInfo info(bool full, const crypto::Address& sender);
    // Puts the price of an order and what to pay it with in.
    Task<Result<void>> price(api::OrchestratorInfo& into, pay::Order order, Deadline deadline);
    Task<Result<void>> take(pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline);
    // Whatever is left or missing then.
    Task<Result<void>> collect(
        pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline
    );
    Result<void> take_on_credit(const pay::Order& order, const pay::Payment* payment);
    void note_refusal(const pay::Order& order, const Error& error);
    Task<Result<api::WorkOutput>> work(const api::Job& job, Deadline deadline);
    Result<void> admit_ai(const api::Job& head);
    void drop_session(const std::string& session_id);
    void expire_sessions();
    Deadline work_deadline(const api::Work& work, Deadline deadline) const;
    Task<Result<api::JobOutput>> run_here(api::Job job, Deadline deadline);
    void write_receipt(
        const api::Job& job, const api::WorkOutput& output, const Price& price, std::int64_t units
    );

    Ports ports_;
    Settings settings_;
    Sessions sessions_;
    MemoryStore store_;
    Dispatcher dispatcher_;
    std::optional<TimePoint> idle_since_;  // nullopt: no job has run
    Stats stats_;
    std::optional<Cashier> cashier_;  // absent: nothing is paid
    LossBook losses_{ports_.clock, ports_.log};
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
    out.capabilities = dispatcher_.offer();
    if (full) {
        out.hardware = dispatcher_.workers().hardware();
        for (const auto& [capability, models] : out.capabilities->constraints) {
            for (const auto& [model_id, constraint] : models) {
                out.model_prices.push_back({price_of({{capability, model_id}}), capability, model_id});
            }
        }
    }
    return out;
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
    losses_.add(request.lost);
    // A poll must not fail because the node is busy: gateways would take it for dead.
    const bool full = dispatcher_.is_ending() || sessions_.full(ports_.clock.now());
    if (request.needs && !request.ignore_capacity && full) {
        co_return fail(Errc::kCapacity, kTextCapped);
    }
    auto out = info(!request.needs, request.sender);
    out.auth_token = sessions_.issue(ports_.clock.unix_ms());
    pay::Order order{{request.sender, out.auth_token.session_id}, {}};
    if (request.needs) {
        order.models = models_of(*request.needs);
    }
    // A poll is answered whoever asks; who wants to buy learns why it cannot.
    const auto priced = co_await price(out, std::move(order), deadline);
    if (!priced && request.needs) {
        co_return fail(priced.error());
    }
    co_return out;
}

// A model that is gone comes before what else is missing: for peers a model without a worker is a busy one.
Result<void> Role::admit_ai(const api::Job& head) {
    FG_CHECK(sessions_.check(head.token, ports_.clock.unix_ms()));
    if (!dispatcher_.could_serve(head)) {
        return fail(Errc::kCapacity, kTextNoCapacity);
    }
    if (!job::compatible(head.needs, dispatcher_.offer())) {
        return fail(Errc::kForbidden, kTextIncompatible);
    }
    return {};
}

Result<void> Role::admit(const api::Job& head) {
    const auto check = [&]() -> Result<void> {
        if (dispatcher_.is_ending()) {
            return fail(Errc::kCapacity, kTextCapped);
        }
        const auto* ai = std::get_if<api::AiWork>(&head.work.kind);
        const bool echo = ai != nullptr && ai->pipeline == kEcho;
        if (ai != nullptr && !echo) {
            return admit_ai(head);
        }
        if (!echo && !job::compatible(head.needs, dispatcher_.offer())) {
            return fail(Errc::kForbidden, kTextIncompatible);
        }
        FG_CHECK(sessions_.check(head.token, ports_.clock.unix_ms()));
        if (ai == nullptr && !sessions_.alive(head.token.session_id) && sessions_.full(ports_.clock.now())) {
            return fail(Errc::kCapacity, kTextCapped);
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
    if (payment == nullptr || payment->tickets.empty()) {
        co_return take_on_credit(order, payment.get());
    }
    FG_CO_CHECK(co_await collect(order, std::move(payment), deadline));
    auto paid = cashier_->check_paid(order);
    if (!paid) {
        note_refusal(order, paid.error());
    }
    co_return paid;
}

Task<Result<void>> Role::collect(
    pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline
) {
    auto taken = co_await cashier_->take(order, std::move(payment), deadline);
    if (!taken) {
        note_refusal(order, taken.error());
    }
    co_return taken;
}

Result<void> Role::take_on_credit(const pay::Order& order, const pay::Payment* payment) {
    auto taken = cashier_->take_without_tickets(order, payment);
    if (!taken) {
        note_refusal(order, taken.error());
    }
    return taken;
}

void Role::note_refusal(const pay::Order& order, const Error& error) {
    ++stats_.jobs_refused;
    ports_.log.info(
        "orchestrator.payment_refused",
        {{"sender", crypto::checksum_address(order.key.peer)}, {"for", order.key.id}, {"error", error.message}
        }
    );
}

Task<Result<void>> Role::take_payment(api::Job& head, Deadline deadline) {
    head.agreed = head.payment ? head.payment->expected_price : std::nullopt;
    auto order = cashier_ ? order_of(head.sender, head.work, head.token.session_id) : pay::Order();
    return take(std::move(order), std::exchange(head.payment, nullptr), deadline);
}

Task<Result<api::OrchestratorInfo>> Role::prepay(api::Job head, Deadline deadline) {
    if (!cashier_) {
        co_return fail(Errc::kUnsupported, "nothing is paid here");
    }
    const pay::Order order{{head.sender, head.manifest_id}, models_of(head.needs)};
    if (head.payment && !head.payment->tickets.empty()) {
        FG_CO_CHECK(co_await collect(order, head.payment, deadline));
    } else {
        FG_CO_CHECK(take_on_credit(order, head.payment.get()));
    }
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
        pay::Order order = order_of(job.sender, job.work, job.token.session_id);
        const auto payment = std::exchange(job.payment, nullptr);
        order.agreed = payment ? payment->expected_price : job.agreed;
        const bool on_credit = payment && payment->tickets.empty();  // most: worth no coroutine
        if (payment && !on_credit) {
            FG_CO_CHECK(co_await take(order, payment, deadline));
        }
        FG_CO_TRY(estimate, estimated_units(job.work));
        units = estimate;
        auto begun = cashier_->begin(order, units, on_credit ? payment.get() : nullptr);
        if (!begun) {
            note_refusal(order, begun.error());
            co_return fail(std::move(begun.error()));
        }
        paid = std::move(*begun);
    }
    const auto* ai = std::get_if<api::AiWork>(&job.work.kind);
    const bool echo = ai != nullptr && ai->pipeline == kEcho;
    Result<api::WorkOutput> result = api::WorkOutput{};
    if (echo && job.work.transfer) {
        result = co_await give_back(job.work.transfer, cashier_.has_value(), deadline);
    } else if (echo) {
        result->artifacts.push_back({"echo", job.work.input_content_type, job.work.input, {}, {}, {}});
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
            const auto priced =
                co_await price(*out.info, order_of(job.sender, job.work, job.token.session_id), deadline);
            if (!priced) {
                out.info.reset();  // the gateway asks for it; one without params would end its session
            }
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
    auto result = co_await dispatcher_.run(job, deadline);
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

Task<Result<void>> Role::end_session(api::AuthToken token, Deadline) {
    FG_CO_CHECK(sessions_.check_mac(token));
    sessions_.end(token.session_id);
    drop_session(token.session_id);
    co_return Result<void>{};
}

// Frees what is kept for a session that is over, here and at its worker.
void Role::drop_session(const std::string& session_id) {
    store_.erase_prefix("/stream/" + session_id + "/");
    dispatcher_.end_session(session_id);
}

Task<Result<Blob>> Role::fetch_input(std::string url, Deadline) {
    if (auto blob = store_.get(url)) {
        co_return std::move(*blob);
    }
    co_return fail(Errc::kNotFound, "no such input", "url");
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
    dispatcher_.drain();
    for (;;) {
        const TimePoint now = ports_.clock.now();
        const bool fetched = !idle_since_ || now - *idle_since_ >= settings_.fetch_time;
        if ((stats_.running == 0 && fetched) || now >= until) {
            co_return;
        }
        co_await sleep_for(ports_.clock, kDrainTick);
    }
}

Stats Role::stats() const {
    Stats out = stats_;
    const DispatchStats dispatch = dispatcher_.stats();
    out.redispatched = dispatch.redispatched;
    out.renditions_early = dispatch.renditions_early;
    out.results_late = dispatch.results_late;
    out.results_refused = dispatch.results_refused;
    out.registrations_refused = dispatch.registrations_refused;
    out.workers = dispatcher_.workers().size();
    out.in_flight = dispatch.in_flight;
    out.waiting = dispatch.waiting;
    out.sessions = sessions_.size();
    out.store_bytes = store_.bytes();
    out.lost = losses_.total();
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
    dump(out, stats.lost);
    stats.jobs.dump(out, "framegrid_orchestrator_job_seconds", "pipeline");
}

}  // namespace framegrid::orchestrator
