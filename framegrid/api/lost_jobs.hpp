// Jobs that an orchestrator did not get from one gateway, counted by why: what the gateway tells it when it
// polls it, so that its operator can do something about it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include <framegrid/base/ids.hpp>

namespace framegrid::api {

struct LostJobs {
    std::uint64_t price = 0;       // it asks for more than the client or the gateway allows
    std::uint64_t capability = 0;  // it does not offer what they needed
    std::uint64_t capacity = 0;    // it was full, or had just said so
    std::uint64_t suspended = 0;   // it rested after failures, or did not answer
    std::uint64_t latency = 0;     // nothing was in the way, but another one was faster, less loaded or warm
    std::optional<Price> price_cap{};  // the highest limit under which one was lost by its price; never what
                                       // others ask for. nullopt: not told
    friend bool operator==(const LostJobs&, const LostJobs&) = default;

    bool empty() const { return *this == LostJobs{}; }
    // Saturates: the counts of peers are not to be trusted.
    LostJobs& operator+=(const LostJobs& more) {
        const auto add = [](std::uint64_t& sum, std::uint64_t count) {
            sum += std::min(count, std::numeric_limits<std::uint64_t>::max() - sum);
        };
        add(price, more.price);
        add(capability, more.capability);
        add(capacity, more.capacity);
        add(suspended, more.suspended);
        add(latency, more.latency);
        if (more.price_cap) {
            price_cap = std::max(price_cap.value_or(*more.price_cap), *more.price_cap);
        }
        return *this;
    }
};

}  // namespace framegrid::api
