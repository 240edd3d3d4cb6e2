#include <framegrid/account/spend.hpp>

#include <algorithm>

namespace framegrid::account {

namespace {

constexpr std::int64_t kDayMs = 24LL * 60 * 60 * 1'000;

// Whether used + held + more > limit, without a sum that could wrap.
bool exceeds(const Wei& limit, const Wei& used, const Wei& held, const Wei& more) {
    if (used > limit || held > limit - used) {
        return true;
    }
    return more > limit - used - held;
}

Wei saturating_sum(const Wei& a, const Wei& b) {
    const Wei most = std::numeric_limits<Wei>::max();
    return b > most - a ? most : Wei(a + b);
}

}  // namespace

Spent after(Spent before, std::int64_t day, const Counted& known, const Counted& now) {
    const Wei more = now.amount > known.amount ? Wei(now.amount - known.amount) : Wei(0);
    const Wei back = now.back > known.back ? Wei(now.back - known.back) : Wei(0);
    before.total = saturating_sum(before.total, more);
    if (day > before.day && more > 0) {
        before.day = day;
        before.today = more;
    } else if (day == before.day) {
        before.today = saturating_sum(before.today, more);
    }
    before.total -= std::min(before.total, back);
    if (day == before.day) {
        before.today -= std::min(before.today, back);
    }
    return before;
}

std::int64_t SpendMeter::today() const {
    return clock_.unix_ms() / kDayMs;
}

SpendMeter::Account& SpendMeter::account_of(const std::string& subject) {
    auto& account = accounts_[subject];
    if (account.spent.day != today()) {
        account.spent.day = today();
        account.spent.today = 0;
    }
    return account;
}

void SpendMeter::restore(const std::string& subject, const Spent& spent) {
    auto& known = account_of(subject).spent;
    known.total = std::max(known.total, spent.total);
    if (spent.day == known.day) {
        known.today = std::max(known.today, spent.today);
    }
}

Spent SpendMeter::spent(const std::string& subject) const {
    const auto found = accounts_.find(subject);
    Spent out = found == accounts_.end() ? Spent{} : found->second.spent;
    if (out.day != today()) {
        out.day = today();
        out.today = 0;
    }
    return out;
}

Result<void> SpendMeter::reserve(const Permit& permit, const Wei& most) {
    auto& account = account_of(permit.subject);
    const auto& limits = permit.limits;
    if (limits.wei_total && exceeds(*limits.wei_total, account.spent.total, account.reserved, most)) {
        return fail(Errc::kForbidden, "this could cost more than the key may spend in all", "wei_total");
    }
    if (limits.wei_per_day && exceeds(*limits.wei_per_day, account.spent.today, account.reserved, most)) {
        return fail(Errc::kForbidden, "this could cost more than the key may spend today", "wei_per_day");
    }
    account.reserved = saturating_sum(account.reserved, most);
    return {};
}

Spent SpendMeter::settle(const std::string& subject, const Wei& most, const Wei& cost) {
    auto& account = account_of(subject);
    account.reserved -= std::min(account.reserved, most);
    const Wei counted = std::min(cost, most);
    account.spent.total = saturating_sum(account.spent.total, counted);
    account.spent.today = saturating_sum(account.spent.today, counted);
    return account.spent;
}

}  // namespace framegrid::account
