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

Balances::Entry* Balances::touch(const BalanceKey& key, TimePoint now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
        return nullptr;
    }
    found->second->used_at = now;
    order_.splice(order_.end(), order_, found->second);
    return &*found->second;
}

Result<Balances::Entry*> Balances::touch_or_add(const BalanceKey& key, TimePoint now) {
    if (Entry* entry = touch(key, now)) {
        return entry;
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
    order_.push_back({.key = key, .account = {}, .holds = 0, .used_at = now});
    entries_.emplace(key, std::prev(order_.end()));
    return &order_.back();
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
    FG_TRY(entry, touch_or_add(key, now));
    entry->account.balance += amount;
    return {};
}

void Balances::debit(const BalanceKey& key, const Money& amount, TimePoint now) {
    if (const auto entry = touch_or_add(key, now)) {
        (*entry)->account.balance -= amount;
    }
}

Money Balances::take_all(const BalanceKey& key, TimePoint now) {
    Entry* entry = touch(key, now);
    return entry == nullptr ? Money() : std::exchange(entry->account.balance, Money());
}

void Balances::hold(const BalanceKey& key, const Money& amount, TimePoint now) {
    if (Entry* entry = touch(key, now)) {
        entry->account.held += amount;
        ++entry->holds;
    }
}

void Balances::release(const BalanceKey& key, const Money& amount, TimePoint now) {
    if (Entry* entry = touch(key, now)) {
        FG_ASSERT(entry->holds > 0);
        entry->account.held -= amount;
        --entry->holds;
    }
}

bool Balances::release_and_debit(const BalanceKey& key, const Money& held, const Money& fee, TimePoint now) {
    Entry* entry = touch(key, now);
    if (entry == nullptr) {
        debit(key, fee, now);
        return fee.sign() > 0;
    }
    FG_ASSERT(entry->holds > 0);
    --entry->holds;
    entry->account.held -= held;
    entry->account.balance -= fee;
    return entry->account.balance.sign() < 0;
}

std::optional<Price> Balances::price(const BalanceKey& key) const {
    const Account* account = find(key);
    return account == nullptr ? std::nullopt : account->price;
}

Result<void> Balances::fix_price(const BalanceKey& key, const Price& price, TimePoint now) {
    FG_TRY(entry, touch_or_add(key, now));
    if (!entry->account.price) {
        entry->account.price = price;
    }
    return {};
}

void Balances::sweep(TimePoint now) {
    for (auto at = order_.begin(); at != order_.end() && now - at->used_at >= settings_.idle_max;) {
        const auto entry = at++;
        if (entry->holds == 0) {
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
    made->account.balance = entry.balance;
    made->account.price = entry.price;
    return {};
}

}  // namespace framegrid::pay
