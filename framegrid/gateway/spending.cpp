#include <framegrid/gateway/spending.hpp>

#include <algorithm>
#include <utility>

namespace framegrid::gateway {

namespace {
constexpr Duration kStoreTime = std::chrono::seconds(5);
}  // namespace

std::optional<account::Permit> Spending::permit_of(
    const std::string& owner, const std::optional<account::Limits>& key
) const {
    if (!limits_of_ || owner.empty()) {
        return std::nullopt;
    }
    account::Permit permit{owner, owner, {}, key ? *key : limits_of_(owner)};
    if (!permit.limits.wei_per_day && !permit.limits.wei_total) {
        return std::nullopt;
    }
    return permit;
}

Task<Result<void>> Spending::recall(std::string owner, Deadline deadline) {
    const Deadline soon = deadline.at_most(clock_, kStoreTime);
    auto spent = co_await with_deadline<account::Spent>(clock_, soon, store_->spent(owner));
    if (!spent) {
        log_.warn("gateway.spending_not_read", {{"owner", owner}, {"error", spent.error().message}});
        co_return fail(Errc::kUnavailable, "what this key has spent cannot be read now; try again later");
    }
    meter_.restore(owner, *spent);
    recalled_.insert(owner);
    co_return Result<void>{};
}

Task<Result<Spending::Held>> Spending::hold(account::Permit permit, Wei most, Deadline deadline) {
    if (store_ != nullptr && !recalled_.contains(permit.subject)) {
        FG_CO_CHECK(co_await recall(permit.subject, deadline));
    }
    FG_CO_CHECK(meter_.reserve(permit, most));
    co_return Held(*this, std::move(permit), std::move(most));
}

Task<void> Spending::Held::settle(Wei cost) {
    auto& book = *std::exchange(book_, nullptr);
    std::string owner = permit_.subject;
    cost = std::min(cost, most_);
    const std::int64_t day = book.meter_.settle(owner, most_, cost).day;
    if (book.store_ != nullptr) {
        book.count(owner, day, cost);
        co_await book.write(std::move(owner));
    }
}

// A day begins a series: none is that old that the store could have forgotten it.
void Spending::count(const std::string& owner, std::int64_t day, const Wei& cost) {
    if (cost == 0) {
        return;
    }
    auto& all = series_[owner];
    if (all.empty() || all.back().day != day) {
        std::erase_if(all, [](const Series& one) { return one.written == one.total; });
        all.push_back({random_.hex(16), day});
    }
    all.back().total += cost;
}

// Several jobs of an owner may be here at once: each says all that is counted so far.
Task<void> Spending::write(std::string owner) {
    const auto known = series_.find(owner);
    const auto all = known == series_.end() ? std::vector<Series>() : known->second;
    for (const Series& one : all) {
        if (one.written == one.total) {
            continue;
        }
        const Deadline deadline = Deadline::after(clock_, kStoreTime);
        auto sum = co_await with_deadline<account::Spent>(
            clock_, deadline, store_->count_spent(owner, one.name, one.day, one.total)
        );
        if (!sum) {
            const Wei more = one.total - one.written;
            log_.error(
                "gateway.spending_not_written",
                {{"owner", owner}, {"wei", more.str()}, {"error", sum.error().message}}
            );
            co_return;
        }
        meter_.restore(owner, *sum);  // other gateways may have added to it
        auto& ours = series_[owner];
        if (const auto at = std::ranges::find(ours, one.name, &Series::name); at != ours.end()) {
            at->written = std::max(at->written, one.total);
        }
    }
}

}  // namespace framegrid::gateway
