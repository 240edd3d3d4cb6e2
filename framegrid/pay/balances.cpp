#include <framegrid/pay/balances.hpp>

#include <cstring>
#include <functional>

namespace framegrid::pay {

std::string model_balance_id(std::uint32_t capability, std::string_view model_id) {
    return std::to_string(capability) + "_" + std::string(model_id);
}

std::size_t Balances::HashOf::operator()(const BalanceKey& key) const {
    std::size_t value = 0;
    std::memcpy(&value, key.peer.data(), sizeof(value));
    return value ^ std::hash<std::string>{}(key.id);
}

const Balances::Account* Balances::find(const BalanceKey& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second->account;
}

Balances::Account* Balances::touch(const BalanceKey& key, TimePoint now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
        return nullptr;
    }
    found->second->used_at = now;
    order_.splice(order_.end(), order_, found->second);
    return &found->second->account;
}

void Balances::Account::hold(const Money& amount) {
    held += amount;
    ++holds;
}

void Balances::Account::release(const Money& amount) {
    FG_ASSERT(holds > 0);
    held -= amount;
    --holds;
}

Result<Balances::Account*> Balances::touch_or_add(const BalanceKey& key, TimePoint now) {
    if (Account* account = touch(key, now)) {
        return account;
    }
    if (key.id.size() > settings_.id_bytes_max) {
        return fail(Errc::kTooLarge, "the id of a balance is too long", "manifest_id");
    }
    if (entries_.size() >= settings_.entries_max) {
        sweep(now);
    }
    if (entries_.size() >= settings_.entries_max) {
        return fail(Errc::kCapacity, "too many open balances here: try later, or another orchestrator");
    }
    order_.push_back({.key = key, .account = {}, .used_at = now});
    entries_.emplace(key, std::prev(order_.end()));
    return &order_.back().account;
}

Money Balances::balance(const BalanceKey& key) const {
    const Account* account = find(key);
    return account == nullptr ? Money() : account->balance;
}

Money Balances::available(const BalanceKey& key) const {
    const Account* account = find(key);
    return account == nullptr ? Money() : account->available();
}

Result<void> Balances::credit(const BalanceKey& key, const Money& amount, TimePoint now) {
    FG_TRY(account, touch_or_add(key, now));
    account->balance += amount;
    return {};
}

void Balances::debit(const BalanceKey& key, const Money& amount, TimePoint now) {
    if (const auto account = touch_or_add(key, now)) {
        (*account)->balance -= amount;
    }
}

Money Balances::take_all(const BalanceKey& key, TimePoint now) {
    Account* account = touch(key, now);
    return account == nullptr ? Money() : std::exchange(account->balance, Money());
}

std::optional<Price> Balances::price(const BalanceKey& key) const {
    const Account* account = find(key);
    return account == nullptr ? std::nullopt : account->price;
}

Result<void> Balances::fix_price(const BalanceKey& key, const Price& price, TimePoint now) {
    FG_TRY(account, touch_or_add(key, now));
    if (!account->price) {
        account->price = price;
    }
    return {};
}

Result<void> Balances::set_price(const BalanceKey& key, const Price& price, TimePoint now) {
    FG_TRY(account, touch_or_add(key, now));
    account->price = price;
    return {};
}

void Balances::sweep(TimePoint now) {
    for (auto at = order_.begin(); at != order_.end() && now - at->used_at >= settings_.idle_max;) {
        const auto entry = at++;
        if (entry->account.holds == 0) {
            entries_.erase(entry->key);
            order_.erase(entry);
        }
    }
}

std::vector<BalanceEntry> Balances::entries() const {
    std::vector<BalanceEntry> out;
    out.reserve(order_.size());
    for (const Entry& entry : order_) {
        out.push_back({entry.key, entry.account.balance, entry.account.price});
    }
    return out;
}

Result<void> Balances::restore(const BalanceEntry& entry, TimePoint now) {
    FG_TRY(made, touch_or_add(entry.key, now));
    made->balance = entry.balance;
    made->price = entry.price;
    return {};
}

}  // namespace framegrid::pay
