// Who has paid how much for what, and not used it yet: credit balances and fixed prices (protocol
// section 5.7). The same table on both sides; there the peer is the sender, here the recipient of tickets.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/money.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::pay {

using crypto::Address;

// A balance belongs to a peer and an id. Segments: the session id; POST /payment and live video: the manifest
// id; AI jobs: model_balance_id(); BYOC: the capability's name.
struct BalanceKey {
    Address peer{};
    std::string id;
    friend bool operator==(const BalanceKey&, const BalanceKey&) = default;
};
// "<capability>_<model id>".
std::string model_balance_id(std::uint32_t capability, std::string_view model_id);

struct BalanceSettings {
    std::size_t entries_max = 100'000;
    std::size_t id_bytes_max = 1024;
    Duration idle_max = std::chrono::minutes(10);  // then credit and price are forgotten, as peers do
};

struct BalanceEntry {
    BalanceKey key;
    Money balance;
    std::optional<Price> price;
};

// Not thread-safe. Every call with a time marks the entry as used then; times must not go back.
class Balances {
  public:
    explicit Balances(BalanceSettings settings = {}) : settings_(settings) {}

    // Zero without an entry.
    Money balance(const BalanceKey& key) const;
    struct Account {
        Money balance;
        Money held;  // by jobs under way
        std::optional<Price> price;
        std::uint32_t holds = 0;  // such jobs
        Money available() const { return balance - held; }
        bool covers(const Money& amount) const {
            return balance.clearly_covers(held, amount) || available() >= amount;
        }
        // For a job under way; keeps the account alive. Each hold ends with one release of the same amount.
        void hold(const Money& amount);
        void release(const Money& amount);
    };
    // Null without an entry. Until the next call that changes something.
    const Account* find(const BalanceKey& key) const;
    Account* touch(const BalanceKey& key, TimePoint now);
    // What no job under way holds.
    Money available(const BalanceKey& key) const;
    // kCapacity: too many entries; kTooLarge: the id is too long.
    Result<void> credit(const BalanceKey& key, const Money& amount, TimePoint now);
    // May make the balance negative. Without an entry (it was idle) a debt is entered, if there is room.
    void debit(const BalanceKey& key, const Money& amount, TimePoint now);
    // Takes the whole balance out, negative or not, and leaves zero.
    Money take_all(const BalanceKey& key, TimePoint now);

    std::optional<Price> price(const BalanceKey& key) const;
    // The first one stays until the entry is forgotten.
    Result<void> fix_price(const BalanceKey& key, const Price& price, TimePoint now);
    // In the place of any before.
    Result<void> set_price(const BalanceKey& key, const Price& price, TimePoint now);

    void sweep(TimePoint now);
    std::size_t size() const { return entries_.size(); }
    // All of them, for books and a restart; restore() puts one back.
    std::vector<BalanceEntry> entries() const;
    Result<void> restore(const BalanceEntry& entry, TimePoint now);

  private:
    struct Entry {
        BalanceKey key;
        Account account;
        TimePoint used_at;
    };
    using Order = std::list<Entry>;  // least recently used first
    struct HashOf {
        std::size_t operator()(const BalanceKey& key) const;
    };
    Result<Account*> touch_or_add(const BalanceKey& key, TimePoint now);

    BalanceSettings settings_;
    Order order_;
    std::unordered_map<BalanceKey, Order::iterator, HashOf> entries_;
};

}  // namespace framegrid::pay
