// What was read of senders' funds a moment ago, so that a busy recipient does not ask the file for each
// ticket.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include <framegrid/pay/funds.hpp>

namespace framegrid::ledger_sqlite {

// On one executor. Times are of the monotonic clock, in milliseconds.
class FundsCache {
  public:
    FundsCache(std::int64_t age_max_ms, std::size_t size_max)
        : age_max_ms_(age_max_ms), size_max_(size_max) {}

    struct Key {
        pay::Address sender{};
        pay::Address recipient{};
        std::int64_t round = 0;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    std::optional<pay::SenderFunds> find(const Key& key, std::int64_t now_ms) const {
        const auto found = entries_.find(key);
        if (found == entries_.end() || now_ms - found->second.at_ms > age_max_ms_) {
            return std::nullopt;
        }
        return found->second.funds;
    }
    // A read that began at `version` is kept unless something has changed since.
    std::uint64_t version() const { return version_; }
    void put(const Key& key, const pay::SenderFunds& funds, std::uint64_t version, std::int64_t now_ms) {
        if (version != version_) {
            return;
        }
        if (entries_.size() >= size_max_) {
            entries_.clear();
        }
        entries_[key] = {funds, now_ms};
    }
    void forget() {
        ++version_;
        entries_.clear();
    }

  private:
    struct Entry {
        pay::SenderFunds funds;
        std::int64_t at_ms = 0;
    };
    std::int64_t age_max_ms_;
    std::size_t size_max_;
    std::uint64_t version_ = 0;
    std::map<Key, Entry> entries_;
};

}  // namespace framegrid::ledger_sqlite
