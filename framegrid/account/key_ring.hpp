// The keys of a gateway in memory: a request costs no look into the store.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <framegrid/account/api_key.hpp>

namespace framegrid::account {

// Follows the store by the numbers that it gives to changes. One executor.
class KeyRing {
  public:
    // Records that are new or changed, in the order of their changes.
    void update(std::vector<KeyRecord> changed);
    std::uint64_t last_change() const { return last_change_; }
    std::size_t size() const { return keys_.size(); }

    // What the key allows now. kUnauthorized: it is none, unknown, expired or revoked.
    Result<Permit> find(std::string_view key, std::int64_t now_unix_ms) const;
    // What an owner may have of all its active keys: the largest of each limit, where none is the largest.
    Limits limits_of(const std::string& owner, std::int64_t now_unix_ms) const;

  private:
    std::unordered_map<std::string, KeyRecord> keys_;                         // by id
    std::unordered_map<std::string, std::vector<std::string>> ids_of_owner_;  // an owner's never changes
    std::uint64_t last_change_ = 0;
};

}  // namespace framegrid::account
