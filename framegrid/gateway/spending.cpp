#include <framegrid/gateway/spending.hpp>

#include <algorithm>
#include <utility>

#include <framegrid/base/at_exit.hpp>

namespace framegrid::gateway {

namespace {
constexpr Duration kStoreTime = std::chrono::seconds(5);
}  // namespace

std::optional<account::Permit> Spending::permit_of(const std::string& owner) const {
    if (!limits_of_ || owner.empty()) {
        return std::nullopt;
    }
    account::Permit permit{owner, owner, {}, limits_of_(owner)};
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
    const std::string owner = permit_.subject;
    cost = std::min(cost, most_);
    const std::int64_t day = book.meter_.settle(owner, most_, cost).day;
    if (book.store_ == nullptr) {
        co_return;
    }
    const Wei more = cost + std::exchange(book.unwritten_[owner], Wei(0));
    book.unwritten_.erase(owner);
    if (more == 0) {
        co_return;
    }
    bool written = false;
    const AtExit remember([&] {
        if (!written) {
            book.unwritten_[owner] += more;
        }
    });
    const Deadline deadline = Deadline::after(book.clock_, kStoreTime);
    auto sum = co_await with_deadline<account::Spent>(
        book.clock_, deadline, book.store_->add_spent(owner, day, more)
    );
    if (sum) {
        written = true;
        book.meter_.restore(owner, *sum);  // other gateways may have added to it
        co_return;
    }
    book.log_.error(
        "gateway.spending_not_written",
        {{"owner", owner}, {"wei", more.str()}, {"error", sum.error().message}}
    );
}

}  // namespace framegrid::gateway
