#include <framegrid/gateway/gateway.hpp>

#include <algorithm>

#include <framegrid/base/at_exit.hpp>
#include <framegrid/base/counted.hpp>
#include <framegrid/gateway/job_attempts.hpp>
#include <framegrid/gateway/work_units.hpp>

namespace framegrid::gateway {

namespace {

constexpr Duration kSweepPeriod = std::chrono::seconds(10);

class Role final : public Gateway {
  public:
    Role(Ports ports, Settings settings) : state_(std::move(ports), std::move(settings)) {}

    Task<Result<bool>> serve() override;
    Task<Result<JobResult>> run(JobRequest request, Deadline deadline) override;
    std::optional<Offer> offer(const JobRequest& request) override;
    market::Explanation explain(const JobRequest& request) const override {
        return state_.pool.explain(demand_of(request), state_.ports.clock.now(), kVerdictsMax);
    }
    void reconfigure(std::optional<Price> price_max) override {
        state_.settings.pool.price_max = price_max;
        state_.pool.set_price_max(price_max);
        state_.discovery.read_list();
    }
    void limit_spending(
        std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store
    ) override {
        state_.spending.limit(std::move(limits_of), store);
    }
    Task<void> end_stream(std::string manifest_id) override;
    std::vector<market::PoolEntryView> pool() const override {
        return state_.pool.view(state_.ports.clock.now());
    }
    std::vector<market::OfferedModel> models() const override { return state_.pool.models(); }
    bool ever_offered(job::Capability capability, const std::string& model_id) const override {
        return !state_.discovery.settled() || state_.pool.ever_offered(capability, model_id);
    }
    Stats stats() const override;
    std::vector<pay::BalanceEntry> books() const override {
        return state_.payments ? state_.payments->books() : std::vector<pay::BalanceEntry>();
    }

  private:
    // Reserves what the job may cost, and counts what it did.
    Task<Result<JobResult>> run_within_limits(JobRequest request, account::Permit permit, Deadline deadline);
    Task<Result<Price>> price_of(const JobRequest& request, Deadline deadline);
    static Task<Result<void>> charge_and_tell(
        Spending::Held& held, std::function<Task<Result<void>>(Wei fee)> paying, Wei fee
    );
    Task<Result<JobResult>> attempt_all(JobRequest request, Deadline deadline);
    Task<Result<bool>> sweep(TaskGroup& tasks);
    Task<void> end_sessions(std::vector<SessionAt> sessions);

    RoleState state_;
};

Task<Result<bool>> Role::serve() {
    TaskGroup tasks(state_.ports.executor, 64, state_.ports.log);
    std::vector<Task<Result<bool>>> services;
    services.push_back(state_.discovery.serve());
    services.push_back(with_group<bool>(tasks, sweep(tasks)));
    if (state_.payments) {
        services.push_back(state_.payments->serve());
    }
    if (state_.buying) {
        state_.buying->refresh_in(&tasks);
    }
    const AtExit forget([this] {
        if (state_.buying) {
            state_.buying->refresh_in(nullptr);
        }
    });
    auto results = co_await all_of(std::move(services));
    co_return std::move(results.front());
}

Task<Result<bool>> Role::sweep(TaskGroup& tasks) {
    for (;;) {
        co_await sleep_for(state_.ports.clock, kSweepPeriod);
        co_await state_.spending.write_rest();
        auto gone = state_.sessions.expire(state_.ports.clock.now());
        if (!gone.empty()) {
            tasks.spawn(end_sessions(std::move(gone)));
        }
    }
}

Task<void> Role::end_sessions(std::vector<SessionAt> sessions) {
    for (auto& session : sessions) {
        const auto orchestrator = state_.ports.orchestrators.at(session.uri);
        const Deadline deadline =
            Deadline::after(state_.ports.clock, state_.settings.discovery.info_time_max);
        (void
        )co_await orchestrator->end_session(std::move(session.token), deadline);  // it expires there anyway
    }
}

std::optional<Offer> Role::offer(const JobRequest& request) {
    const auto price = state_.pool.price_for(demand_of(request), state_.ports.clock.now());
    if (!price) {
        return std::nullopt;
    }
    const auto digest = state_.digests.find(request.manifest_id);
    return Offer{*price, digest == state_.digests.end() ? std::string() : digest->second};
}

Task<void> Role::end_stream(std::string manifest_id) {
    co_await end_sessions(state_.sessions.end(manifest_id));
}

Task<Result<JobResult>> Role::run(JobRequest request, Deadline deadline) {
    if (state_.stats.in_flight >= state_.settings.jobs_max) {
        ++state_.stats.jobs_refused;
        co_return fail(Errc::kCapacity, "the gateway is full; try again later");
    }
    const Counted counted(state_.stats.in_flight);
    Span span = state_.ports.tracer.start("gateway.job", SpanKind::kInternal, request.work.trace);
    span.set("framegrid.manifest", request.manifest_id);
    request.work.trace = span.context();
    const std::string pipeline = api::pipeline_of(request.work);
    const TimePoint began = state_.ports.clock.now();
    auto permit =
        state_.payments ? state_.spending.permit_of(request.owner, request.key_limits) : std::nullopt;
    auto running = permit ? run_within_limits(std::move(request), *std::move(permit), deadline)
                          : attempt_all(std::move(request), deadline);
    auto result = co_await std::move(running);
    state_.stats.jobs.add(pipeline, result_of(result), state_.ports.clock.now() - began);
    ++(result ? state_.stats.jobs_done : state_.stats.jobs_failed);
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
    const Deadline patience = deadline.at_most(state_.ports.clock, state_.settings.wait_max);
    for (;;) {
        const TimePoint now = state_.ports.clock.now();
        if (const auto price = state_.pool.price_for(demand, now)) {
            co_return *price;
        }
        const bool nobody = state_.discovery.settled() && !state_.pool.could_serve(demand, now);
        if (nobody || patience.passed(state_.ports.clock)) {
            co_return fail(
                Errc::kUnavailable, state_.pool.size() == 0 ? "no orchestrators are known"
                                                            : "no orchestrator offers what this job needs"
            );
        }
        (void)co_await state_.changed.wait_until(state_.ports.clock, std::min(now + kRetryTick, patience.at));
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

Task<Result<JobResult>> Role::attempt_all(JobRequest request, Deadline deadline) {
    JobAttempts attempts(state_, std::move(request));
    co_return co_await attempts.run(deadline);
}

Task<Result<JobResult>> Role::run_within_limits(
    JobRequest request, account::Permit permit, Deadline deadline
) {
    auto price = co_await price_of(request, deadline);
    if (!price) {
        co_return fail(JobAttempts(state_, std::move(request)).refuse(std::move(price.error())));
    }
    const Wei most(expected_fee(request, *price).ceil_wei());
    FG_CO_TRY(held, co_await state_.spending.hold(permit, most, deadline));
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

Stats Role::stats() const {
    Stats out = state_.stats;
    out.streams = state_.sessions.size();
    out.pool = state_.pool.stats(state_.ports.clock.now());
    if (state_.payments) {
        out.payments = state_.payments->stats();
    }
    return out;
}

}  // namespace

std::unique_ptr<Gateway> make_gateway(Ports ports, Settings settings) {
    return std::make_unique<Role>(std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
