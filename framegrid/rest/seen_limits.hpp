// The limits that an owner's last request came with, for authenticators that know no more.
#pragma once

#include <string>
#include <unordered_map>

#include <framegrid/account/limits.hpp>

namespace framegrid::rest {

// Bounded: when there are too many, some owner is treated like everybody until its next request.
class SeenLimits {
  public:
    void note(const std::string& owner, const account::Limits& limits) {
        if (limits == account::Limits{}) {
            limits_.erase(owner);
            return;
        }
        if (limits_.size() >= kOwnersMax && !limits_.contains(owner)) {
            limits_.erase(limits_.begin());
        }
        limits_.insert_or_assign(owner, limits);
    }
    account::Limits of(const std::string& owner) const {
        const auto found = limits_.find(owner);
        return found == limits_.end() ? account::Limits{} : found->second;
    }

  private:
    static constexpr std::size_t kOwnersMax = 100'000;
    std::unordered_map<std::string, account::Limits> limits_;
};

}  // namespace framegrid::rest
