#include <framegrid/gateway/buying.hpp>

#include <framegrid/base/at_exit.hpp>
#include <framegrid/gateway/work_units.hpp>

namespace framegrid::gateway {

std::optional<JobPayment> Buying::on_credit(
    const JobRequest& request, const std::string& uri, const Purpose& purpose
) {
    bool refresh = false;
    const auto fee_of = [&request](const Price& price) { return expected_fee(request, price); };
    auto bought = payments_.buy_on_credit(purpose, fee_of, refresh);
    if (refresh && tasks_ != nullptr) {
        tasks_->spawn(refresh_terms(purpose.terms_key, uri, request.needs));
    }
    return bought;
}

Task<Result<JobPayment>> Buying::buy(
    const JobRequest& request, std::string uri, const Purpose& purpose, Deadline deadline
) {
    const auto fee_of = [&request](const Price& price) { return expected_fee(request, price); };
    bool asked = false;
    if (!payments_.has_terms(purpose.terms_key)) {
        FG_CO_CHECK(co_await ask_terms(purpose.terms_key, uri, request.needs, deadline));
        asked = true;
    }
    auto bought = co_await payments_.buy(purpose, fee_of, deadline);
    if (!bought && bought.error().code == Errc::kUnavailable && !pay::is_signers(bought.error()) && !asked) {
        // Too few tickets were left, or they had just expired.
        FG_CO_CHECK(co_await ask_terms(purpose.terms_key, std::move(uri), request.needs, deadline));
        bought = co_await payments_.buy(purpose, fee_of, deadline);
    }
    co_return bought;
}

// Many jobs at once ask once.
Task<Result<void>> Buying::ask_terms(
    std::string terms_key, std::string uri, job::Capabilities needs, Deadline deadline
) {
    const Deadline soon = deadline.at_most(ports_.clock, ask_time_max_);
    if (asking_.contains(terms_key)) {
        (void)co_await changed_.wait_until(ports_.clock, soon.at);
        co_return Result<void>{};
    }
    asking_.insert(terms_key);
    const AtExit asked([&] {
        asking_.erase(terms_key);
        changed_.notify_all();
    });
    api::InfoRequest ask{std::move(needs), true, payments_.address()};
    const auto orchestrator = ports_.orchestrators.at(uri);
    auto info = co_await with_deadline<api::OrchestratorInfo>(
        ports_.clock, soon, orchestrator->get_info(std::move(ask), soon)
    );
    if (!info) {
        Error why = std::move(info.error()).with_context("ask for the price");
        // Its trouble, which another orchestrator may not have.
        why.code = why.code == Errc::kInternal ? Errc::kUnavailable : why.code;
        co_return fail(std::move(why));
    }
    payments_.learn(terms_key, *info);
    co_return Result<void>{};
}

// A failure costs nothing: the next job asks itself.
Task<void> Buying::refresh_terms(std::string terms_key, std::string uri, job::Capabilities needs) {
    const Deadline deadline = Deadline::after(ports_.clock, ask_time_max_);
    (void)co_await ask_terms(std::move(terms_key), std::move(uri), std::move(needs), deadline);
}

}  // namespace framegrid::gateway
