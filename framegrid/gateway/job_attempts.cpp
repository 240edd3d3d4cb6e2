#include <framegrid/gateway/job_attempts.hpp>

#include <algorithm>

#include <framegrid/gateway/in_flight.hpp>

namespace framegrid::gateway {

namespace {

constexpr double kScoreSecondsMin = 1.5;  // protocol section 6.3
constexpr std::size_t kDigestsMax = 10'000;
constexpr Duration kSignerPause = std::chrono::milliseconds(250);

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

}  // namespace

market::Demand demand_of(const JobRequest& request) {
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

JobAttempts::JobAttempts(RoleState& state, JobRequest request)
    : state_(state), request_(std::move(request)), demand_(demand_of(request_)) {}

Deadline JobAttempts::attempt_deadline(Deadline deadline) const {
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&request_.work.kind)) {
        const Duration four = 4 * std::chrono::milliseconds(transcode->duration_ms);
        return deadline.at_most(state_.ports.clock, std::max(state_.settings.transcode_time_min, four));
    }
    return deadline.at_most(state_.ports.clock, state_.settings.ai_time_max);
}

Task<Result<JobResult>> JobAttempts::run(Deadline deadline) {
    if (auto* transcode = std::get_if<api::TranscodeWork>(&request_.work.kind)) {
        transcode->early = request_.early != nullptr;
    } else {
        std::get<api::AiWork>(request_.work.kind).progress = request_.progress != nullptr;
    }
    api::EarlyArtifacts early(api::early_count(request_.work), request_.early);
    patience_ = deadline.at_most(state_.ports.clock, state_.settings.wait_max);
    while (attempts_ < state_.settings.attempts_max) {
        auto slot = co_await choose();
        if (!slot) {
            co_return fail(refuse(for_client(std::move(slot.error()))));
        }
        demand_.counted = true;
        ++attempts_;
        state_.stats.retries += attempts_ > 1 ? 1 : 0;
        InFlight in_flight(state_.pool, *slot);
        const std::string uri = state_.pool.uri(*slot);
        if (request_.attempt) {
            request_.attempt(uri, attempts_);
        }
        const TimePoint started = state_.ports.clock.now();
        Attempt attempt(state_, request_, *slot, early);
        auto output = co_await attempt.run(attempt_deadline(deadline));
        unpaid_ = attempt.unpaid();
        in_flight.settled();
        state_.stats.attempts.add(uri, result_of(output), state_.ports.clock.now() - started);
        if (output) {
            learn(*slot, output->output, state_.ports.clock.now() - started);
            for (const market::Slot liar : rejected_) {
                // It called good input bad.
                state_.pool.on_failed(
                    liar, demand_.capability, state_.ports.clock.now(), state_.ports.random
                );
            }
            early.put_into(output->output);
            const Price price = state_.payments ? output->price : state_.pool.price_of(*slot, demand_);
            co_return JobResult{
                std::move(output->output), uri, attempts_, price, output->units, output->cost
            };
        }
        warn_of(uri, output.error());
        if (!settle_failure(*slot, std::move(output.error()))) {
            break;
        }
        if (std::exchange(signer_away_, false)) {
            co_await sleep_for(state_.ports.clock, kSignerPause);
        }
        if (deadline.passed(state_.ports.clock)) {
            co_return fail(make_error(Errc::kDeadline, "the deadline passed").with_context(last_->message));
        }
    }
    co_return fail(for_client(conclude()));
}

void JobAttempts::warn_of(const std::string& uri, const Error& error) const {
    state_.ports.log.warn(
        "gateway.attempt_failed", {{"manifest", request_.manifest_id},
                                   {"seq", request_.seq},
                                   {"orchestrator", uri},
                                   {"attempt", attempts_},
                                   {"code", to_string(error.code)},
                                   {"error", error.message},
                                   {"trace", request_.work.trace.trace_id}}
    );
}

// Whether those that called the work bad are all that could ever have been asked. While others are only away,
// one that lies must not have the last word.
bool JobAttempts::nobody_can_confirm() {
    demand_.exclude = rejected_;
    return state_.discovery.settled() && !state_.pool.ever_could_serve(demand_);
}

// What the client is told when nobody is left to ask.
Error JobAttempts::conclude() {
    if (!reject_) {
        return std::move(*last_);
    }
    const bool confirmed = static_cast<int>(rejected_.size()) >= state_.settings.confirmations;
    if (confirmed || nobody_can_confirm()) {
        return std::move(*reject_);
    }
    return make_error(
        Errc::kCapacity, "no second opinion could be had on: " + reject_->message + "; try again later"
    );
}

Task<Result<market::Slot>> JobAttempts::choose() {
    for (;;) {
        demand_.prefer = state_.sessions.holders(request_.manifest_id);
        const TimePoint now = state_.ports.clock.now();
        if (const auto slot = state_.pool.pick(demand_, now, state_.ports.random)) {
            co_return *slot;
        }
        // Everybody suitable was tried or is resting: the tried ones may be asked again once they have
        // rested, but those that called the input bad have had their say.
        demand_.exclude = rejected_;
        const bool somebody = state_.pool.could_serve(demand_, now);
        const bool give_up = patience_.passed(state_.ports.clock);
        const bool nobody = !somebody && state_.discovery.settled();
        if (reject_ && (give_up || nobody_can_confirm())) {
            co_return fail(conclude());
        }
        if (nobody && !last_) {
            co_return fail(make_error(
                Errc::kUnavailable, state_.pool.size() == 0 ? "no orchestrators are known"
                                                            : "no orchestrator offers what this job needs"
            ));
        }
        if (give_up) {
            co_return fail(
                last_ ? std::move(*last_)
                      : make_error(somebody ? Errc::kCapacity : Errc::kUnavailable, "No sessions available")
            );
        }
        const TimePoint limit = patience_.at;
        state_.discovery.look_again();
        const auto release = state_.pool.next_release(demand_, now);
        const TimePoint wake = std::max(release.value_or(limit), now + kRetryTick);
        (void)co_await state_.changed.wait_until(state_.ports.clock, std::min(wake, limit));
    }
}

// Nobody takes the job: the client and the operator are told why, candidate by candidate.
Error JobAttempts::refuse(Error error) {
    if (error.code != Errc::kCapacity && error.code != Errc::kUnavailable) {
        return error;
    }
    state_.pool.on_refused(demand_, state_.ports.clock.now());
    const auto why = state_.pool.explain(demand_, state_.ports.clock.now(), kVerdictsMax);
    if (request_.refused) {
        request_.refused(why);
    }
    const auto summary = why.summary();
    state_.ports.log.info(
        "gateway.job_refused", {{"manifest", request_.manifest_id},
                                {"attempts", attempts_},
                                {"error", error.message},
                                {"why", summary},
                                {"trace", request_.work.trace.trace_id}}
    );
    for (const auto& verdict : why.listed) {
        state_.ports.log.debug(
            "gateway.candidate_refused", {{"manifest", request_.manifest_id},
                                          {"orchestrator", verdict.uri},
                                          {"reason", market::to_string(verdict.obstacle)},
                                          {"detail", verdict.detail},
                                          {"trace", request_.work.trace.trace_id}}
        );
    }
    if (why.considered() > 0) {
        error.message += ": " + summary;
    }
    return error;
}

void JobAttempts::learn(market::Slot slot, const api::WorkOutput& output, Duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    double score = seconds;
    std::optional<job::Capability> capability;
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&request_.work.kind)) {
        score /= std::max(kScoreSecondsMin, static_cast<double>(transcode->duration_ms) / 1000);
    } else {
        capability = job::capability_of_pipeline(std::get<api::AiWork>(request_.work.kind).pipeline);
    }
    state_.pool.on_done(slot, capability, score);
    if (output.ai && !output.ai->model_digest.empty() &&
        (state_.digests.size() < kDigestsMax || state_.digests.contains(request_.manifest_id))) {
        state_.digests[request_.manifest_id] = output.ai->model_digest;
    }
    state_.changed.notify_all();
}

// A node's secret changed (a restart), or what it offers did: it is asked again with a new token before it is
// blamed.
void JobAttempts::renew_token(market::Slot slot, TimePoint now) {
    state_.sessions.drop(request_.manifest_id, slot);
    state_.pool.on_abandoned(slot);
    if (const auto* info = state_.pool.info(slot)) {
        auto without = *info;
        without.auth_token = {};
        state_.pool.on_info(slot, std::move(without), now);
    }
}

// What our signer says is no orchestrator's fault.
bool JobAttempts::settle_signers(market::Slot slot, Error error) {
    unpaid_ = false;
    state_.pool.on_abandoned(slot);
    const bool dear = error.field == pay::kSignerPriceField;
    signer_away_ = error.code == Errc::kUnavailable;
    if (dear) {
        demand_.exclude.push_back(slot);
    } else if (signer_away_) {
        --attempts_;  // it is waited for as an orchestrator is: patience bounds this
        state_.stats.retries -= attempts_ > 0 ? 1 : 0;
    }
    last_ = std::move(error);
    return dear || (signer_away_ && !patience_.passed(state_.ports.clock));
}

// Tells the pool what a failed attempt says about the node, and decides whether to go on.
bool JobAttempts::settle_failure(market::Slot slot, Error error) {
    const TimePoint now = state_.ports.clock.now();
    bool go_on = true;
    if (request_.work.transfer && request_.work.transfer->failure()) {
        state_.pool.on_abandoned(slot);
        last_ = std::move(error);
        return false;
    }
    if (pay::is_signers(error)) {
        return settle_signers(slot, std::move(error));
    }
    if (std::exchange(unpaid_, false)) {
        // Nobody is to blame; another one may be cheaper.
        state_.pool.on_abandoned(slot);
        demand_.exclude.push_back(slot);
        last_ = make_error(Errc::kUnavailable, std::move(error.message), std::move(error.field));
        return go_on;
    }
    switch (error.code) {
        case Errc::kCapacity:
            state_.pool.on_busy(slot, now);
            demand_.exclude.push_back(slot);
            --attempts_;  // an honest refusal costs nothing; patience and the deadline bound this
            state_.stats.retries -= attempts_ > 0 ? 1 : 0;
            break;
        case Errc::kForbidden:
            if (!contains(renewed_, slot)) {
                renewed_.push_back(slot);
                renew_token(slot, now);
                break;
            }
            state_.pool.on_failed(slot, demand_.capability, now, state_.ports.random);
            state_.sessions.drop(request_.manifest_id, slot);
            demand_.exclude.push_back(slot);
            break;
        case Errc::kUnsupported:
            // It cannot do what it said it could: its workers have left, or it lies. Others may; so may it,
            // soon.
            state_.pool.on_busy(slot, now);
            demand_.exclude.push_back(slot);
            break;
        case Errc::kInvalidArgument:
        case Errc::kUnprocessable:
        case Errc::kTooLarge:
            // One node may lie or lack a codec; a second opinion settles it.
            state_.pool.on_abandoned(slot);
            demand_.exclude.push_back(slot);
            rejected_.push_back(slot);
            if (!reject_) {
                reject_ = error;
            }
            go_on = static_cast<int>(rejected_.size()) < state_.settings.confirmations;
            break;
        default:
            state_.pool.on_failed(slot, demand_.capability, now, state_.ports.random);
            state_.sessions.drop(request_.manifest_id, slot);
            demand_.exclude.push_back(slot);
            break;
    }
    if (error.code != Errc::kCapacity) {
        patience_ = Deadline::after(state_.ports.clock, state_.settings.wait_max);
    }
    last_ = std::move(error);
    return go_on;
}

}  // namespace framegrid::gateway
