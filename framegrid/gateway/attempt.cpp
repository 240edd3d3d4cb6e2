#include <framegrid/gateway/attempt.hpp>

#include <framegrid/gateway/result_check.hpp>
#include <framegrid/gateway/work_units.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::int64_t kTokenLifeMinSeconds = 180;  // protocol section 6.6: refreshed in its last 3 minutes

// An answer, and not the lack of one.
bool is_answer(const Error& error) {
    return error.code != Errc::kUnavailable && error.code != Errc::kDeadline &&
           error.code != Errc::kCancelled;
}

}  // namespace

// A rendition that is none is left to the check of the whole answer.
void Attempt::take_early(std::size_t index, const api::Artifact& artifact) {
    const auto& profiles = std::get<api::TranscodeWork>(request_.work.kind).profiles;
    if (early_.wants(index) && check_rendition(profiles[index], artifact)) {
        ++state_.stats.renditions_early;
        early_.tell(index, artifact);
    }
}

Task<Result<Attempted>> Attempt::run(Deadline deadline) {
    Span span = state_.ports.tracer.start("gateway.attempt", SpanKind::kClient, request_.work.trace);
    span.set("framegrid.orchestrator", state_.pool.uri(slot_));
    auto place = co_await this->place(deadline);
    if (!place) {
        span.fail(place.error());
        co_return fail(std::move(place.error()));
    }
    api::Job job;
    job.manifest_id = request_.manifest_id;
    job.seq = request_.seq;
    job.needs = request_.needs;
    job.work = request_.work;
    job.work.trace = span.context();
    job.token = std::move(place->token);
    JobPayment payment;
    Purpose purpose = purpose_of(job.token);
    if (state_.payments) {
        auto credit = state_.buying->on_credit(request_, state_.pool.uri(slot_), purpose);
        if (credit && !request_.paying) {
            payment = *std::move(credit);  // most: worth no coroutine
        } else {
            auto bought = co_await payment_for(job, purpose, std::move(credit), deadline);
            if (!bought) {
                span.fail(bought.error());
                co_return fail(std::move(bought.error()));
            }
            payment = std::move(*bought);
        }
        job.sender = state_.payments->address();
        job.payment = payment.payment();
        if (job.payment && state_.ports.payments->receipts != nullptr) {
            state_.ports.random.fill(job.receipt);
        }
    }
    if (request_.early) {
        job.early = [this](std::size_t index, const api::Artifact& artifact) { take_early(index, artifact); };
    }
    job.progress = request_.progress;
    state_.sessions.touch(request_.manifest_id, state_.ports.clock.now());
    auto output = co_await run_paid(
        std::move(place->orchestrator), std::move(job), std::move(payment), std::move(purpose), deadline
    );
    if (!output) {
        span.fail(output.error());
    }
    co_return output;
}

Task<Result<JobPayment>> Attempt::payment_for(
    const api::Job& job, const Purpose& purpose, std::optional<JobPayment> credit, Deadline deadline
) {
    JobPayment payment = credit ? *std::move(credit) : JobPayment();
    if (!credit) {
        auto buying = state_.buying->buy(request_, state_.pool.uri(slot_), purpose, deadline);
        if (state_.payments->signs_elsewhere()) {
            auto claim = claim_of(job.manifest_id, job.seq, job.work);
            buying = state_.payments->beside_signing(std::move(claim), std::move(buying), deadline);
        }
        auto bought = co_await std::move(buying);
        if (!bought) {
            unpaid_ = bought.error().code == Errc::kForbidden;
            co_return fail(std::move(bought.error()));
        }
        payment = std::move(*bought);
    }
    if (request_.paying && payment.payment() != nullptr) {
        Wei fee(expected_fee(request_, payment.price()).ceil_wei());
        if (auto noted = co_await request_.paying(std::move(fee)); !noted) {
            unpaid_ = true;
            co_return fail(std::move(noted.error()).with_context("what is paid cannot be written down"));
        }
    }
    co_return payment;
}

Task<Result<Attempted>> Attempt::run_paid(
    std::shared_ptr<api::Orchestrator> orchestrator, api::Job job, JobPayment payment, Purpose purpose,
    Deadline deadline
) {
    payment.sent();
    const auto receipt = job.receipt;
    auto output = co_await with_deadline<api::JobOutput>(
        state_.ports.clock, deadline, orchestrator->run(std::move(job), deadline)
    );
    if (!output) {
        const bool unsigned_yet = pay::is_signers(output.error());
        if (is_answer(output.error()) || unsigned_yet) {
            payment.refused();
        }
        if (state_.payments && !unsigned_yet && output.error().code == Errc::kForbidden) {
            state_.payments->disown(purpose);
        }
        co_return fail(std::move(output.error()));
    }
    Attempted out{std::move(output->output), payment.price(), 0, {}};
    out.units = units_of(request_, out.output);
    if (state_.payments) {
        // What was done is paid for, whether we like it or not.
        out.cost = Wei(payment.answered(out.units).ceil_wei());
        state_.payments->write_receipt(receipt, payment, request_.work, out.output, out.units);
        if (output->info && output->info->ticket_params) {
            state_.payments->learn(purpose.terms_key, *output->info);
        }
    }
    if (auto form = check_result(request_.work, out.output); !form) {
        ++state_.stats.results_rejected;
        co_return fail(std::move(form.error()));
    }
    co_return out;
}

Purpose Attempt::purpose_of(const api::AuthToken& token) const {
    const auto* ai = std::get_if<api::AiWork>(&request_.work.kind);
    Purpose out{
        terms_key(),
        ai != nullptr ? request_.manifest_id : token.session_id,
        pay::PriceCeilings::lower(request_.price_max, state_.settings.pool.price_max),
        {}
    };
    if (ai != nullptr) {
        if (const auto capability = job::capability_of_pipeline(ai->pipeline)) {
            out.models.push_back({static_cast<std::uint32_t>(*capability), ai->model_id});
        }
    }
    return out;
}

Attempt::Place Attempt::place_of(const api::AuthToken& token, const std::string& service_uri) const {
    const std::string& uri = service_uri.empty() ? state_.pool.uri(slot_) : service_uri;
    return {token, state_.ports.orchestrators.at(uri)};
}

Task<Result<Attempt::Place>> Attempt::place(Deadline deadline) {
    const std::int64_t unix_ms = state_.ports.clock.unix_ms();
    const bool stream = std::holds_alternative<api::TranscodeWork>(request_.work.kind);
    if (stream) {
        const auto* known = state_.sessions.find(request_.manifest_id, slot_, unix_ms, kTokenLifeMinSeconds);
        if (known != nullptr) {
            co_return place_of(known->token, known->uri);
        }
    } else if (const auto* info = state_.pool.info(slot_);
               info != nullptr && info->auth_token.expires_unix_s - unix_ms / 1000 >= kTokenLifeMinSeconds) {
        co_return place_of(info->auth_token, info->service_uri);
    }
    const std::string uri = state_.pool.uri(slot_);
    const Deadline soon = deadline.at_most(state_.ports.clock, state_.settings.discovery.info_time_max);
    api::InfoRequest ask;
    if (stream) {
        ask.needs = request_.needs;
    }
    if (state_.payments) {
        ask.sender = state_.payments->address();
    }
    const auto orchestrator = state_.ports.orchestrators.at(uri);
    auto info = co_await with_deadline<api::OrchestratorInfo>(
        state_.ports.clock, soon, orchestrator->get_info(std::move(ask), soon)
    );
    if (!info) {
        co_return fail(std::move(info.error()).with_context("get a session"));
    }
    // Another segment of the stream may have opened a session while this one was asking: use one and the
    // same.
    if (stream) {
        const auto* known = state_.sessions.find(request_.manifest_id, slot_, unix_ms, kTokenLifeMinSeconds);
        if (known != nullptr) {
            co_return place_of(known->token, known->uri);
        }
        const std::string& there = info->service_uri.empty() ? uri : info->service_uri;
        state_.sessions.put(request_.manifest_id, {slot_, there, info->auth_token}, state_.ports.clock.now());
        if (state_.payments) {
            state_.payments->learn(terms_key(), *info);
        }
    } else {
        state_.pool.on_info(slot_, *info, state_.ports.clock.now());
    }
    co_return place_of(info->auth_token, info->service_uri);
}

}  // namespace framegrid::gateway
