#include <framegrid/gateway/gateway.hpp>

#include <algorithm>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/base/counted.hpp>
#include <framegrid/gateway/buying.hpp>
#include <framegrid/gateway/discovery.hpp>
#include <framegrid/gateway/in_flight.hpp>
#include <framegrid/gateway/result_check.hpp>
#include <framegrid/gateway/spending.hpp>
#include <framegrid/gateway/stream_sessions.hpp>
#include <framegrid/gateway/work_units.hpp>
#include <framegrid/job/document.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::int64_t kTokenLifeMinSeconds = 180;  // protocol section 6.6: refreshed in its last 3 minutes
constexpr double kScoreSecondsMin = 1.5;            // protocol section 6.3
constexpr Duration kSweepPeriod = std::chrono::seconds(10);
constexpr std::size_t kDigestsMax = 10'000;
constexpr std::size_t kVerdictsMax = 20;  // listed in an explanation
constexpr Duration kRetryTick = std::chrono::milliseconds(20);
constexpr Duration kSignerPause = std::chrono::milliseconds(250);

// What one job has learned from its attempts so far.
struct Progress {
    market::Demand demand;
    int attempts = 0;
    Deadline patience{};                 // for finding somebody; starts again after each real attempt
    std::vector<market::Slot> rejected;  // nodes that called the input bad
    std::vector<market::Slot> renewed;   // nodes that were asked for a new token
    std::optional<Error> reject;         // what the first of them said
    std::optional<Error> last;
    bool unpaid = false;       // the last failure is about our own money or limits
    bool signer_away = false;  // it is that nobody signs for us just now
};

// What came of one attempt.
struct Attempted {
    api::WorkOutput output;
    Price price;
    std::int64_t units = 0;
    std::optional<Wei> cost{};
};

// An answer, and not the lack of one.
bool is_answer(const Error& error) {
    return error.code != Errc::kUnavailable && error.code != Errc::kDeadline &&
           error.code != Errc::kCancelled;
}

bool contains(const std::vector<market::Slot>& slots, market::Slot slot) {
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

// A node's refusal of our token is not the client's fault: it must not read like one.
Error for_client(Error error) {
    if (pay::is_signers(error) && error.code != Errc::kUnauthorized) {
        return error;  // what our own signer allows us
    }
    if (error.code == Errc::kForbidden || error.code == Errc::kUnauthorized) {
        const char* const who = pay::is_signers(error) ? "" : "the orchestrators refused: ";
        return make_error(Errc::kUnavailable, who + error.message);
    }
    return error;
}

template <class T>
std::string_view result_of(const Result<T>& result) {
    return result ? "done" : to_string(result.error().code);
}

class Role final : public Gateway {
  public:
    Role(Ports ports, Settings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          pool_(settings_.pool),
          discovery_(ports_, settings_.discovery, pool_, changed_),
          sessions_(settings_.streams_max, settings_.stream_idle_max),
          spending_(ports_.clock, ports_.random, ports_.log) {
        if (ports_.payments) {
            payments_.emplace(*ports_.payments, ports_.clock, ports_.log, settings_.payments);
            buying_.emplace(ports_, *payments_, settings_.discovery.info_time_max);
        }
    }

    Task<Result<bool>> serve() override;
    Task<Result<JobResult>> run(JobRequest request, Deadline deadline) override;
    std::optional<Offer> offer(const JobRequest& request) override;
    market::Explanation explain(const JobRequest& request) const override {
        return pool_.explain(demand_of(request), ports_.clock.now(), kVerdictsMax);
    }
    void reconfigure(std::optional<Price> price_max) override {
        settings_.pool.price_max = price_max;
        pool_.set_price_max(price_max);
        discovery_.read_list();
    }
    void limit_spending(
        std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store
    ) override {
        spending_.limit(std::move(limits_of), store);
    }
    Task<void> end_stream(std::string manifest_id) override;
    std::vector<market::PoolEntryView> pool() const override { return pool_.view(ports_.clock.now()); }
    std::vector<market::OfferedModel> models() const override { return pool_.models(); }
    Stats stats() const override;
    std::vector<pay::BalanceEntry> books() const override {
        return payments_ ? payments_->books() : std::vector<pay::BalanceEntry>();
    }

  private:
    market::Demand demand_of(const JobRequest& request) const;
    Deadline attempt_deadline(const api::Work& work, Deadline deadline) const;
    // Reserves what the job may cost, and counts what it did.
    Task<Result<JobResult>> run_within_limits(JobRequest request, account::Permit permit, Deadline deadline);
    Task<Result<Price>> price_of(const JobRequest& request, Deadline deadline);
    static Task<Result<void>> charge_and_tell(
        Spending::Held& held, std::function<Task<Result<void>>(Wei fee)> paying, Wei fee
    );
    Task<Result<JobResult>> attempt_all(JobRequest request, Deadline deadline);
    Task<Result<market::Slot>> choose(Progress& progress, const std::string& manifest_id);
    Error refuse(const JobRequest& request, const Progress& progress, Error error);
    Task<Result<Attempted>> attempt(
        const JobRequest& request, market::Slot slot, api::EarlyArtifacts& early, Progress& progress,
        Deadline deadline
    );
    Task<Result<JobPayment>> payment_for(
        const JobRequest& request, market::Slot slot, const api::Job& job, const Purpose& purpose,
        Progress& progress, Deadline deadline
    );
    Task<Result<Attempted>> run_paid(
        const JobRequest& request, market::Slot slot, api::Job job, JobPayment payment, Purpose purpose,
        Deadline deadline
    );
    Purpose purpose_of(const JobRequest& request, market::Slot slot, const api::AuthToken& token) const;
    std::string terms_key(const JobRequest& request, market::Slot slot) const {
        return pool_.uri(slot) + "\n" + request.manifest_id;
    }
    void take_early(
        const JobRequest& request, api::EarlyArtifacts& early, std::size_t index,
        const api::Artifact& artifact
    );
    Task<Result<api::AuthToken>> token_for(const JobRequest& request, market::Slot slot, Deadline deadline);
    void learn(const JobRequest& request, market::Slot slot, const api::WorkOutput& output, Duration took);
    void renew_token(const std::string& manifest_id, market::Slot slot, TimePoint now);
    bool nobody_can_confirm(Progress& progress);
    Error conclude(Progress& progress);
    bool settle_signers(market::Slot slot, Error error, Progress& progress);
    bool settle_failure(const JobRequest& request, market::Slot slot, Error error, Progress& progress);
    Task<Result<bool>> sweep(TaskGroup& tasks);
    Task<void> end_sessions(std::vector<SessionAt> sessions);

    Ports ports_;
    Settings settings_;
    market::Pool pool_;
    Notifier changed_;
    Discovery discovery_;
    StreamSessions sessions_;
    std::optional<Payments> payments_;  // absent: off-chain
    Spending spending_;
    std::optional<Buying> buying_;                // as payments_
    std::map<std::string, std::string> digests_;  // of models, by the manifest of their jobs
    Stats stats_;
};

Task<Result<bool>> Role::serve() {
    TaskGroup tasks(ports_.executor, 64, ports_.log);
    std::vector<Task<Result<bool>>> services;
    services.push_back(discovery_.serve());
    services.push_back(with_group<bool>(tasks, sweep(tasks)));
    if (payments_) {
        services.push_back(payments_->serve());
    }
    if (buying_) {
        buying_->refresh_in(&tasks);
    }
    const AtExit forget([this] {
        if (buying_) {
            buying_->refresh_in(nullptr);
        }
    });
    auto results = co_await all_of(std::move(services));
    co_return std::move(results.front());
}

Task<Result<bool>> Role::sweep(TaskGroup& tasks) {
    for (;;) {
        co_await sleep_for(ports_.clock, kSweepPeriod);
        co_await spending_.write_rest();
        auto gone = sessions_.expire(ports_.clock.now());
        if (!gone.empty()) {
            tasks.spawn(end_sessions(std::move(gone)));
        }
    }
}

Task<void> Role::end_sessions(std::vector<SessionAt> sessions) {
    for (auto& session : sessions) {
        const auto orchestrator = ports_.orchestrators.at(session.uri);
        const Deadline deadline = Deadline::after(ports_.clock, settings_.discovery.info_time_max);
        (void
        )co_await orchestrator->end_session(std::move(session.token), deadline);  // it expires there anyway
    }
}

std::optional<Offer> Role::offer(const JobRequest& request) {
    const auto price = pool_.price_for(demand_of(request), ports_.clock.now());
    if (!price) {
        return std::nullopt;
    }
    const auto digest = digests_.find(request.manifest_id);
    return Offer{*price, digest == digests_.end() ? std::string() : digest->second};
}

Task<void> Role::end_stream(std::string manifest_id) {
    co_await end_sessions(sessions_.end(manifest_id));
}

market::Demand Role::demand_of(const JobRequest& request) const {
    market::Demand demand;
    demand.needs = request.needs;
    demand.price_max = request.price_max;
    demand.price_told = request.price_told;
    demand.constraints = request.constraints;
    if (const auto* ai = std::get_if<api::AiWork>(&request.work.kind)) {
        demand.capability = job::capability_of_pipeline(ai->pipeline);
        demand.model_id = ai->model_id;
    }
    return demand;
}

Deadline Role::attempt_deadline(const api::Work& work, Deadline deadline) const {
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        const Duration four = 4 * std::chrono::milliseconds(transcode->duration_ms);
        return deadline.at_most(ports_.clock, std::max(settings_.transcode_time_min, four));
    }
    return deadline.at_most(ports_.clock, settings_.ai_time_max);
}

Task<Result<JobResult>> Role::run(JobRequest request, Deadline deadline) {
    if (stats_.in_flight >= settings_.jobs_max) {
        ++stats_.jobs_refused;
        co_return fail(Errc::kCapacity, "the gateway is full; try again later");
    }
    const Counted counted(stats_.in_flight);
    Span span = ports_.tracer.start("gateway.job", SpanKind::kInternal, request.work.trace);
    span.set("framegrid.manifest", request.manifest_id);
    request.work.trace = span.context();
    const std::string pipeline = api::pipeline_of(request.work);
    const TimePoint began = ports_.clock.now();
    auto permit = payments_ ? spending_.permit_of(request.owner, request.key_limits) : std::nullopt;
    auto running = permit ? run_within_limits(std::move(request), *std::move(permit), deadline)
                          : attempt_all(std::move(request), deadline);
    auto result = co_await std::move(running);
    stats_.jobs.add(pipeline, result_of(result), ports_.clock.now() - began);
    ++(result ? stats_.jobs_done : stats_.jobs_failed);
    if (result) {
        span.set("framegrid.attempts", result->attempts);
    } else {
        span.fail(result.error());
    }
    co_return result;
}

// What nobody has a price for yet cannot be held back, and must not run without that.
Task<Result<Price>> Role::price_of(const JobRequest& request, Deadline deadline) {
    const auto demand = demand_of(request);
    const Deadline patience = deadline.at_most(ports_.clock, settings_.wait_max);
    for (;;) {
        const TimePoint now = ports_.clock.now();
        if (const auto price = pool_.price_for(demand, now)) {
            co_return *price;
        }
        const bool nobody = discovery_.settled() && !pool_.could_serve(demand, now);
        if (nobody || patience.passed(ports_.clock)) {
            co_return fail(
                Errc::kUnavailable, pool_.size() == 0 ? "no orchestrators are known"
                                                      : "no orchestrator offers what this job needs"
            );
        }
        (void)co_await changed_.wait_until(ports_.clock, std::min(now + kRetryTick, patience.at));
    }
}

Task<Result<void>> Role::charge_and_tell(
    Spending::Held& held, std::function<Task<Result<void>>(Wei fee)> paying, Wei fee
) {
    co_await held.charge();
    if (paying) {
        co_return co_await paying(std::move(fee));
    }
    co_return Result<void>{};
}

Task<Result<JobResult>> Role::run_within_limits(
    JobRequest request, account::Permit permit, Deadline deadline
) {
    auto price = co_await price_of(request, deadline);
    if (!price) {
        Progress progress;
        progress.demand = demand_of(request);
        co_return fail(refuse(request, progress, std::move(price.error())));
    }
    const Wei most(expected_fee(request, *price).ceil_wei());
    FG_CO_TRY(held, co_await spending_.hold(permit, most, deadline));
    // So that what is held back suffices.
    request.price_told = request.price_told && *request.price_max <= *price;
    request.price_max = pay::PriceCeilings::lower(request.price_max, *price);
    request.paying = [&held, paying = std::move(request.paying)](const Wei& fee) {
        return charge_and_tell(held, paying, fee);
    };
    auto result = co_await attempt_all(std::move(request), deadline);
    co_await held.settle(result ? result->cost.value_or(0) : Wei(0));
    co_return result;
}

Task<Result<JobResult>> Role::attempt_all(JobRequest request, Deadline deadline) {
    if (auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind)) {
        transcode->early = request.early != nullptr;
    } else {
        std::get<api::AiWork>(request.work.kind).progress = request.progress != nullptr;
    }
    api::EarlyArtifacts early(api::early_count(request.work), request.early);
    Progress progress;
    progress.demand = demand_of(request);
    progress.patience = deadline.at_most(ports_.clock, settings_.wait_max);
    while (progress.attempts < settings_.attempts_max) {
        auto slot = co_await choose(progress, request.manifest_id);
        if (!slot) {
            co_return fail(refuse(request, progress, for_client(std::move(slot.error()))));
        }
        progress.demand.counted = true;
        ++progress.attempts;
        stats_.retries += progress.attempts > 1 ? 1 : 0;
        InFlight in_flight(pool_, *slot);
        const std::string uri = pool_.uri(*slot);
        if (request.attempt) {
            request.attempt(uri, progress.attempts);
        }
        const TimePoint started = ports_.clock.now();
        auto output =
            co_await attempt(request, *slot, early, progress, attempt_deadline(request.work, deadline));
        in_flight.settled();
        stats_.attempts.add(uri, result_of(output), ports_.clock.now() - started);
        if (output) {
            learn(request, *slot, output->output, ports_.clock.now() - started);
            for (const market::Slot liar : progress.rejected) {
                // It called good input bad.
                pool_.on_failed(liar, progress.demand.capability, ports_.clock.now(), ports_.random);
            }
            early.put_into(output->output);
            const Price price = payments_ ? output->price : pool_.price_of(*slot, progress.demand);
            co_return JobResult{
                std::move(output->output), uri, progress.attempts, price, output->units, output->cost
            };
        }
        ports_.log.warn(
            "gateway.attempt_failed", {{"manifest", request.manifest_id},
                                       {"seq", request.seq},
                                       {"orchestrator", uri},
                                       {"attempt", progress.attempts},
                                       {"code", to_string(output.error().code)},
                                       {"error", output.error().message},
                                       {"trace", request.work.trace.trace_id}}
        );
        if (!settle_failure(request, *slot, std::move(output.error()), progress)) {
            break;
        }
        if (std::exchange(progress.signer_away, false)) {
            co_await sleep_for(ports_.clock, kSignerPause);
        }
        if (deadline.passed(ports_.clock)) {
            co_return fail(
                make_error(Errc::kDeadline, "the deadline passed").with_context(progress.last->message)
            );
        }
    }
    co_return fail(for_client(conclude(progress)));
}

// Whether those that called the work bad are all that could ever have been asked. While others are only away,
// one that lies must not have the last word.
bool Role::nobody_can_confirm(Progress& progress) {
    progress.demand.exclude = progress.rejected;
    return discovery_.settled() && !pool_.ever_could_serve(progress.demand);
}

// What the client is told when nobody is left to ask.
Error Role::conclude(Progress& progress) {
    if (!progress.reject) {
        return std::move(*progress.last);
    }
    const bool confirmed = static_cast<int>(progress.rejected.size()) >= settings_.confirmations;
    if (confirmed || nobody_can_confirm(progress)) {
        return std::move(*progress.reject);
    }
    return make_error(
        Errc::kCapacity,
        "no second opinion could be had on: " + progress.reject->message + "; try again later"
    );
}

Task<Result<market::Slot>> Role::choose(Progress& progress, const std::string& manifest_id) {
    for (;;) {
        progress.demand.prefer = sessions_.holders(manifest_id);
        const TimePoint now = ports_.clock.now();
        if (const auto slot = pool_.pick(progress.demand, now, ports_.random)) {
            co_return *slot;
        }
        // Everybody suitable was tried or is resting: the tried ones may be asked again once they have
        // rested, but those that called the input bad have had their say.
        progress.demand.exclude = progress.rejected;
        const bool somebody = pool_.could_serve(progress.demand, now);
        const bool give_up = progress.patience.passed(ports_.clock);
        const bool nobody = !somebody && discovery_.settled();
        if (progress.reject && (give_up || nobody_can_confirm(progress))) {
            co_return fail(conclude(progress));
        }
        if (nobody && !progress.last) {
            co_return fail(make_error(
                Errc::kUnavailable, pool_.size() == 0 ? "no orchestrators are known"
                                                      : "no orchestrator offers what this job needs"
            ));
        }
        if (give_up) {
            co_return fail(
                progress.last
                    ? std::move(*progress.last)
                    : make_error(somebody ? Errc::kCapacity : Errc::kUnavailable, "No sessions available")
            );
        }
        const TimePoint limit = progress.patience.at;
        discovery_.look_again();
        const auto release = pool_.next_release(progress.demand, now);
        const TimePoint wake = std::max(release.value_or(limit), now + kRetryTick);
        (void)co_await changed_.wait_until(ports_.clock, std::min(wake, limit));
    }
}

// Nobody takes the job: the client and the operator are told why, candidate by candidate.
Error Role::refuse(const JobRequest& request, const Progress& progress, Error error) {
    if (error.code != Errc::kCapacity && error.code != Errc::kUnavailable) {
        return error;
    }
    pool_.on_refused(progress.demand, ports_.clock.now());
    const auto why = pool_.explain(progress.demand, ports_.clock.now(), kVerdictsMax);
    if (request.refused) {
        request.refused(why);
    }
    const auto summary = why.summary();
    ports_.log.info(
        "gateway.job_refused", {{"manifest", request.manifest_id},
                                {"attempts", progress.attempts},
                                {"error", error.message},
                                {"why", summary},
                                {"trace", request.work.trace.trace_id}}
    );
    for (const auto& verdict : why.listed) {
        ports_.log.debug(
            "gateway.candidate_refused", {{"manifest", request.manifest_id},
                                          {"orchestrator", verdict.uri},
                                          {"reason", market::to_string(verdict.obstacle)},
                                          {"detail", verdict.detail},
                                          {"trace", request.work.trace.trace_id}}
        );
    }
    if (why.considered() > 0) {
        error.message += ": " + summary;
    }
    return error;
}

// A rendition that is none is left to the check of the whole answer.
void Role::take_early(
    const JobRequest& request, api::EarlyArtifacts& early, std::size_t index, const api::Artifact& artifact
) {
    const auto& profiles = std::get<api::TranscodeWork>(request.work.kind).profiles;
    if (early.wants(index) && check_rendition(profiles[index], artifact)) {
        ++stats_.renditions_early;
        early.tell(index, artifact);
    }
}

Task<Result<Attempted>> Role::attempt(
    const JobRequest& request, market::Slot slot, api::EarlyArtifacts& early, Progress& progress,
    Deadline deadline
) {
    Span span = ports_.tracer.start("gateway.attempt", SpanKind::kClient, request.work.trace);
    span.set("framegrid.orchestrator", pool_.uri(slot));
    auto token = co_await token_for(request, slot, deadline);
    if (!token) {
        span.fail(token.error());
        co_return fail(std::move(token.error()));
    }
    api::Job job;
    job.manifest_id = request.manifest_id;
    job.seq = request.seq;
    job.needs = request.needs;
    job.work = request.work;
    job.work.trace = span.context();
    job.token = std::move(*token);
    JobPayment payment;
    Purpose purpose = purpose_of(request, slot, job.token);
    if (payments_) {
        auto bought = co_await payment_for(request, slot, job, purpose, progress, deadline);
        if (!bought) {
            span.fail(bought.error());
            co_return fail(std::move(bought.error()));
        }
        payment = std::move(*bought);
        job.sender = payments_->address();
        job.payment = payment.payment();
        if (job.payment && ports_.payments->receipts != nullptr) {
            ports_.random.fill(job.receipt);
        }
    }
    if (request.early) {
        job.early = [this, &request, &early](std::size_t index, const api::Artifact& artifact) {
            take_early(request, early, index, artifact);
        };
    }
    job.progress = request.progress;
    sessions_.touch(request.manifest_id, ports_.clock.now());
    auto output =
        co_await run_paid(request, slot, std::move(job), std::move(payment), std::move(purpose), deadline);
    if (!output) {
        span.fail(output.error());
    }
    co_return output;
}

Task<Result<JobPayment>> Role::payment_for(
    const JobRequest& request, market::Slot slot, const api::Job& job, const Purpose& purpose,
    Progress& progress, Deadline deadline
) {
    JobPayment payment;
    if (auto credit = buying_->on_credit(request, pool_.uri(slot), purpose)) {
        payment = *std::move(credit);
    } else {
        auto buying = buying_->buy(request, pool_.uri(slot), purpose, deadline);
        if (payments_->signs_elsewhere()) {
            auto claim = claim_of(job.manifest_id, job.seq, job.work);
            buying = payments_->beside_signing(std::move(claim), std::move(buying), deadline);
        }
        auto bought = co_await std::move(buying);
        if (!bought) {
            progress.unpaid = bought.error().code == Errc::kForbidden;
            co_return fail(std::move(bought.error()));
        }
        payment = std::move(*bought);
    }
    if (request.paying && payment.payment() != nullptr) {
        Wei fee(expected_fee(request, payment.price()).ceil_wei());
        if (auto noted = co_await request.paying(std::move(fee)); !noted) {
            progress.unpaid = true;
            co_return fail(std::move(noted.error()).with_context("what is paid cannot be written down"));
        }
    }
    co_return payment;
}

Task<Result<Attempted>> Role::run_paid(
    const JobRequest& request, market::Slot slot, api::Job job, JobPayment payment, Purpose purpose,
    Deadline deadline
) {
    const auto* info = pool_.info(slot);
    const auto orchestrator = ports_.orchestrators.at(
        info != nullptr && !info->service_uri.empty() ? info->service_uri : pool_.uri(slot)
    );
    payment.sent();
    const auto receipt = job.receipt;
    auto output = co_await with_deadline<api::JobOutput>(
        ports_.clock, deadline, orchestrator->run(std::move(job), deadline)
    );
    if (!output) {
        const bool unsigned_yet = pay::is_signers(output.error());
        if (is_answer(output.error()) || unsigned_yet) {
            payment.refused();
        }
        if (payments_ && !unsigned_yet && output.error().code == Errc::kForbidden) {
            payments_->disown(purpose);
        }
        co_return fail(std::move(output.error()));
    }
    Attempted out{std::move(output->output), payment.price(), 0, {}};
    out.units = units_of(request, out.output);
    if (payments_) {
        // What was done is paid for, whether we like it or not.
        out.cost = Wei(payment.answered(out.units).ceil_wei());
        payments_->write_receipt(receipt, payment, request.work, out.output, out.units);
        if (output->info && output->info->ticket_params) {
            payments_->learn(purpose.terms_key, *output->info);
        }
    }
    if (auto form = check_result(request.work, out.output); !form) {
        ++stats_.results_rejected;
        co_return fail(std::move(form.error()));
    }
    co_return out;
}

Purpose Role::purpose_of(const JobRequest& request, market::Slot slot, const api::AuthToken& token) const {
    const auto* ai = std::get_if<api::AiWork>(&request.work.kind);
    Purpose out{
        terms_key(request, slot),
        ai != nullptr ? request.manifest_id : token.session_id,
        pay::PriceCeilings::lower(request.price_max, settings_.pool.price_max),
        {}
    };
    if (ai != nullptr) {
        if (const auto capability = job::capability_of_pipeline(ai->pipeline)) {
            out.models.push_back({static_cast<std::uint32_t>(*capability), ai->model_id});
        }
    }
    return out;
}

Task<Result<api::AuthToken>> Role::token_for(
    const JobRequest& request, market::Slot slot, Deadline deadline
) {
    const std::int64_t unix_ms = ports_.clock.unix_ms();
    const bool stream = std::holds_alternative<api::TranscodeWork>(request.work.kind);
    if (stream) {
        if (auto token = sessions_.token(request.manifest_id, slot, unix_ms, kTokenLifeMinSeconds)) {
            co_return std::move(*token);
        }
    } else if (const auto* info = pool_.info(slot);
               info != nullptr && info->auth_token.expires_unix_s - unix_ms / 1000 >= kTokenLifeMinSeconds) {
        co_return info->auth_token;
    }
    const std::string uri = pool_.uri(slot);
    const Deadline soon = deadline.at_most(ports_.clock, settings_.discovery.info_time_max);
    api::InfoRequest ask;
    if (stream) {
        ask.needs = request.needs;
    }
    if (payments_) {
        ask.sender = payments_->address();
    }
    const auto orchestrator = ports_.orchestrators.at(uri);
    auto info = co_await with_deadline<api::OrchestratorInfo>(
        ports_.clock, soon, orchestrator->get_info(std::move(ask), soon)
    );
    if (!info) {
        co_return fail(std::move(info.error()).with_context("get a session"));
    }
    // Another segment of the stream may have opened a session while this one was asking: use one and the
    // same.
    if (stream) {
        if (auto token = sessions_.token(request.manifest_id, slot, unix_ms, kTokenLifeMinSeconds)) {
            co_return std::move(*token);
        }
        sessions_.put(request.manifest_id, {slot, uri, info->auth_token}, ports_.clock.now());
        if (payments_) {
            payments_->learn(terms_key(request, slot), *info);
        }
    } else {
        pool_.on_info(slot, *info, ports_.clock.now());
    }
    co_return info->auth_token;
}

void Role::learn(const JobRequest& request, market::Slot slot, const api::WorkOutput& output, Duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    double score = seconds;
    std::optional<job::Capability> capability;
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind)) {
        score /= std::max(kScoreSecondsMin, static_cast<double>(transcode->duration_ms) / 1000);
    } else {
        capability = job::capability_of_pipeline(std::get<api::AiWork>(request.work.kind).pipeline);
    }
    pool_.on_done(slot, capability, score);
    if (output.ai && !output.ai->model_digest.empty() &&
        (digests_.size() < kDigestsMax || digests_.contains(request.manifest_id))) {
        digests_[request.manifest_id] = output.ai->model_digest;
    }
    changed_.notify_all();
}

// A node's secret changed (a restart), or what it offers did: it is asked again with a new token before it is
// blamed.
void Role::renew_token(const std::string& manifest_id, market::Slot slot, TimePoint now) {
    sessions_.drop(manifest_id, slot);
    pool_.on_abandoned(slot);
    if (const auto* info = pool_.info(slot)) {
        auto without = *info;
        without.auth_token = {};
        pool_.on_info(slot, std::move(without), now);
    }
}

// What our signer says is no orchestrator's fault.
bool Role::settle_signers(market::Slot slot, Error error, Progress& progress) {
    progress.unpaid = false;
    pool_.on_abandoned(slot);
    const bool dear = error.field == pay::kSignerPriceField;
    progress.signer_away = error.code == Errc::kUnavailable;
    if (dear) {
        progress.demand.exclude.push_back(slot);
    } else if (progress.signer_away) {
        --progress.attempts;  // it is waited for as an orchestrator is: patience bounds this
        stats_.retries -= progress.attempts > 0 ? 1 : 0;
    }
    progress.last = std::move(error);
    return dear || (progress.signer_away && !progress.patience.passed(ports_.clock));
}

// Tells the pool what a failed attempt says about the node, and decides whether to go on.
bool Role::settle_failure(const JobRequest& request, market::Slot slot, Error error, Progress& progress) {
    const TimePoint now = ports_.clock.now();
    bool go_on = true;
    if (request.work.transfer && request.work.transfer->failure()) {
        pool_.on_abandoned(slot);
        progress.last = std::move(error);
        return false;
    }
    if (pay::is_signers(error)) {
        return settle_signers(slot, std::move(error), progress);
    }
    if (std::exchange(progress.unpaid, false)) {
        // Nobody is to blame; another one may be cheaper.
        pool_.on_abandoned(slot);
        progress.demand.exclude.push_back(slot);
        progress.last = make_error(Errc::kUnavailable, std::move(error.message), std::move(error.field));
        return go_on;
    }
    switch (error.code) {
        case Errc::kCapacity:
            pool_.on_busy(slot, now);
            progress.demand.exclude.push_back(slot);
            --progress.attempts;  // an honest refusal costs nothing; patience and the deadline bound this
            stats_.retries -= progress.attempts > 0 ? 1 : 0;
            break;
        case Errc::kForbidden:
            if (!contains(progress.renewed, slot)) {
                progress.renewed.push_back(slot);
                renew_token(request.manifest_id, slot, now);
                break;
            }
            pool_.on_failed(slot, progress.demand.capability, now, ports_.random);
            sessions_.drop(request.manifest_id, slot);
            progress.demand.exclude.push_back(slot);
            break;
        case Errc::kUnsupported:
            // It cannot do what it said it could: its workers have left, or it lies. Others may; so may it,
            // soon.
            pool_.on_busy(slot, now);
            progress.demand.exclude.push_back(slot);
            break;
        case Errc::kInvalidArgument:
        case Errc::kUnprocessable:
        case Errc::kTooLarge:
            // One node may lie or lack a codec; a second opinion settles it.
            pool_.on_abandoned(slot);
            progress.demand.exclude.push_back(slot);
            progress.rejected.push_back(slot);
            if (!progress.reject) {
                progress.reject = error;
            }
            go_on = static_cast<int>(progress.rejected.size()) < settings_.confirmations;
            break;
        default:
            pool_.on_failed(slot, progress.demand.capability, now, ports_.random);
            sessions_.drop(request.manifest_id, slot);
            progress.demand.exclude.push_back(slot);
            break;
    }
    if (error.code != Errc::kCapacity) {
        progress.patience = Deadline::after(ports_.clock, settings_.wait_max);
    }
    progress.last = std::move(error);
    return go_on;
}

Stats Role::stats() const {
    Stats out = stats_;
    out.streams = sessions_.size();
    out.pool = pool_.stats(ports_.clock.now());
    if (payments_) {
        out.payments = payments_->stats();
    }
    return out;
}

}  // namespace

std::unique_ptr<Gateway> make_gateway(Ports ports, Settings settings) {
    return std::make_unique<Role>(std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
