#include <framegrid/signer/spend_book.hpp>

#include <algorithm>
#include <limits>

#include <boost/json.hpp>

namespace framegrid::signer {

namespace {

namespace json = boost::json;

constexpr std::int64_t kMillisecondsOfDay = 86'400'000;
constexpr unsigned kStepsOfLimit = 100;
constexpr std::size_t kDigitsMax = 78;  // of 2^256

std::int64_t day_of(const Clock& clock) {
    return clock.unix_ms() / kMillisecondsOfDay;
}

std::unexpected<Error> damaged() {
    return fail(
        Errc::kInvalidArgument,
        "the file of what was spent is damaged: restore it, or delete it to begin with nothing spent today"
    );
}

bool is_number(std::string_view text) {
    return !text.empty() && text.size() <= kDigitsMax &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

Result<SpendBook> SpendBook::make(Clock& clock, SpendJournal& journal, const std::string& kept) {
    SpendBook out(clock, journal);
    out.day_ = day_of(clock);
    if (kept.empty()) {
        return out;
    }
    boost::system::error_code bad;
    const auto root = json::parse(kept, bad);
    const auto* object = !bad && root.is_object() ? &root.get_object() : nullptr;
    const auto* day = object != nullptr ? object->if_contains("day") : nullptr;
    const auto* callers = object != nullptr ? object->if_contains("wei") : nullptr;
    if (day == nullptr || !day->is_int64() || callers == nullptr || !callers->is_object()) {
        return damaged();
    }
    // A clock that was set back does not give a day's money again.
    out.day_ = std::max(out.day_, day->get_int64());
    if (out.day_ != day->get_int64()) {
        return out;
    }
    for (const auto& [caller, amount] : callers->get_object()) {
        if (!amount.is_string() || !is_number(std::string_view(amount.get_string()))) {
            return damaged();
        }
        const pay::BigInt wei(std::string(amount.get_string()));
        if (wei > pay::BigInt(std::numeric_limits<Wei>::max())) {
            return damaged();
        }
        out.accounts_[std::string(caller)] = {Wei(wei), Wei(wei), Wei(wei)};
    }
    return out;
}

void SpendBook::begin_day() {
    if (const auto today = day_of(clock_); today > day_) {
        day_ = today;
        accounts_.clear();
    }
}

std::string SpendBook::text() const {
    json::object wei;
    for (const auto& [caller, account] : accounts_) {
        wei[caller] = account.bound.str();
    }
    return json::serialize(json::object{{"day", day_}, {"wei", std::move(wei)}});
}

Task<Result<void>> SpendBook::spend(std::string caller, pay::Money amount, std::optional<Wei> limit_per_day) {
    if (!limit_per_day) {
        co_return Result<void>{};
    }
    begin_day();
    const auto day = day_;
    auto& account = accounts_[caller];
    const pay::BigInt after = pay::BigInt(account.spent) + amount.ceil_wei();
    if (after > pay::BigInt(*limit_per_day)) {
        co_return fail(
            Errc::kForbidden,
            "this caller may spend " + limit_per_day->str() + " wei a day and has spent " +
                account.spent.str() + ": raise the signer's limit, or wait until midnight UTC",
            "spend_limit"
        );
    }
    const Wei added = Wei(after) - account.spent;
    account.spent = Wei(after);
    if (account.spent <= account.kept) {
        co_return Result<void>{};
    }
    const Wei bound = std::min<Wei>(*limit_per_day, account.spent + *limit_per_day / kStepsOfLimit);
    account.bound = std::max(account.bound, bound);
    auto kept = co_await journal_->keep(text());
    if (day != day_) {
        co_return kept;
    }
    auto& now = accounts_[caller];
    if (kept) {
        now.kept = std::max(now.kept, bound);
    } else {
        now.spent -= std::min(now.spent, added);
    }
    co_return kept;
}

Wei SpendBook::spent_today(const std::string& caller) const {
    const auto found = accounts_.find(caller);
    return found == accounts_.end() || day_ != day_of(clock_) ? Wei(0) : found->second.spent;
}

}  // namespace framegrid::signer
