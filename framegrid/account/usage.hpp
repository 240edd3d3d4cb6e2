// Who does how much right now: requests per minute, jobs at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include <framegrid/account/permit.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::account {

struct RateVerdict {
    bool allowed = true;
    std::uint32_t limit = 0;      // per minute; 0: there is none
    std::uint32_t remaining = 0;  // that would be allowed at once now
    Duration wait{};              // until the next one is allowed
    Duration reset{};             // until all of `limit` are
};

// A token bucket that holds one minute's tokens and starts full. Kept as one point in time, when it will be
// full again (the generic cell rate algorithm, ITU-T I.371): nothing to refill.
class TokenBucket {
  public:
    RateVerdict take(std::uint32_t per_minute, TimePoint now);
    bool full(TimePoint now) const { return full_at_ <= now; }

  private:
    TimePoint full_at_{};
};

struct UsageSettings {
    std::size_t subjects_max = 100'000;  // counted at the same time
};

// One executor. Full buckets and idle owners take no room for long.
class Usage {
  public:
    explicit Usage(Clock& clock, UsageSettings settings = {}) : clock_(clock), settings_(settings) {}

    // Counts a request. Refused as well when more subjects are counted than may be.
    RateVerdict count_request(const Permit& permit);

    // A job that runs, until it goes. Outlives no Usage.
    class Running {
      public:
        Running() = default;
        Running(Usage& usage, std::string owner) : usage_(&usage), owner_(std::move(owner)) {}
        Running(Running&& other) noexcept
            : usage_(std::exchange(other.usage_, nullptr)), owner_(std::move(other.owner_)) {}
        Running& operator=(Running&& other) noexcept {
            std::swap(usage_, other.usage_);
            owner_.swap(other.owner_);
            return *this;
        }
        ~Running();

      private:
        Usage* usage_ = nullptr;
        std::string owner_;
    };
    // kCapacity: the owner runs as many as the permit says.
    Result<Running> begin_job(const Permit& permit);
    std::size_t running_of(const std::string& owner) const;
    std::size_t subjects() const { return buckets_.size(); }

  private:
    Clock& clock_;
    UsageSettings settings_;
    std::unordered_map<std::string, TokenBucket> buckets_;  // by subject
    std::unordered_map<std::string, std::size_t> running_;  // by owner
    TimePoint swept_at_{};
};

}  // namespace framegrid::account
