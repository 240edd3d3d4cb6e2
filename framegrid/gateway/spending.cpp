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
    restore(owner, *spent);
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

// Jobs that are not over are held back here: they must not count twice.
void Spending::restore(const std::string& owner, account::Spent sum) {
    const Wei charged = accounts_[owner].charged;
    sum.total -= std::min(sum.total, charged);
    sum.today -= std::min(sum.today, charged);
    meter_.restore(owner, sum);
}

// A day begins a series: none is that old that the store could have forgotten it.
void Spending::count(const std::string& owner, std::int64_t day, const account::Counted& more) {
    auto& all = accounts_[owner].series;
    auto found = std::ranges::find(all, day, &Series::day);
    if (found == all.end()) {
        std::erase_if(all, [](const Series& one) { return one.is_written(); });
        found = all.insert(all.end(), Series{random_.hex(16), day, {}, {}});
    }
    found->all.amount += more.amount;
    found->all.back += more.back;
}

Task<bool> Spending::write(std::string owner) {
    const auto all = accounts_[owner].series;
    for (const Series& one : all) {
        if (one.is_written()) {
            continue;
        }
        const Deadline deadline = Deadline::after(clock_, kStoreTime);
        auto sum = co_await with_deadline<account::Spent>(
            clock_, deadline, store_->count_spent(owner, one.name, one.day, one.all)
        );
        if (!sum) {
            const Wei more = one.all.amount - one.written.amount;
            log_.error(
                "gateway.spending_not_written",
                {{"owner", owner}, {"wei", more.str()}, {"error", sum.error().message}}
            );
            co_return false;
        }
        auto& ours = accounts_[owner];
        if (const auto at = std::ranges::find(ours.series, one.name, &Series::name);
            at != ours.series.end()) {
            const Wei back = std::max(at->written.back, one.all.back) - at->written.back;
            ours.charged -= std::min(ours.charged, back);
            at->written = {
                std::max(at->written.amount, one.all.amount), std::max(at->written.back, one.all.back)
            };
        }
        restore(owner, *sum);  // other gateways may have added to it
    }
    co_return true;
}

Task<void> Spending::write_rest() {
    std::vector<std::string> owners;
    for (const auto& [owner, account] : accounts_) {
        if (!std::ranges::all_of(account.series, &Series::is_written)) {
            owners.push_back(owner);
        }
    }
    for (auto& owner : owners) {
        if (store_ == nullptr || !co_await write(std::move(owner))) {
            co_return;
        }
    }
}

Spending::Held::~Held() {
    if (book_ == nullptr) {
        return;
    }
    book_->meter_.settle(permit_.subject, most_, 0);
    if (charged_ > 0) {
        book_->count(permit_.subject, charged_day_, {0, charged_});
    }
}

Task<void> Spending::Held::charge() {
    if (book_->store_ == nullptr || charged_ > 0 || most_ == 0) {
        co_return;
    }
    const std::string owner = permit_.subject;
    charged_ = most_;
    charged_day_ = book_->meter_.spent(owner).day;
    book_->accounts_[owner].charged += charged_;
    book_->count(owner, charged_day_, {charged_, 0});
    (void)co_await book_->write(owner);
}

Task<void> Spending::Held::settle(Wei cost) {
    auto& book = *std::exchange(book_, nullptr);
    const std::string owner = permit_.subject;
    cost = std::min(cost, most_);
    const std::int64_t day = book.meter_.settle(owner, most_, cost).day;
    if (book.store_ == nullptr) {
        co_return;
    }
    if (charged_ > 0) {
        book.count(owner, charged_day_, {0, charged_});
    }
    if (cost > 0) {
        book.count(owner, day, {cost, 0});
    }
    (void)co_await book.write(owner);
}

}  // namespace framegrid::gateway
