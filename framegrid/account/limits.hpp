// How much of a gateway a caller may have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>
#include <framegrid/base/wei.hpp>

namespace framegrid::account {

using framegrid::Wei;

// Decimal digits. kInvalidArgument naming `field` on anything else and from 2^256 on.
Result<Wei> parse_wei(std::string_view text, std::string_view field);

// 0: what the gateway allows everybody.
struct Limits {
    std::uint32_t running_max = 0;          // jobs at once
    std::uint32_t queued_max = 0;           // durable jobs that wait
    std::uint32_t requests_per_minute = 0;  // of the key, not of the owner
    std::optional<Wei> wei_per_day{};       // of the owner, days of UTC
    std::optional<Wei> wei_total{};
    double weight = 1;  // turns in the fair queue beside an owner with 1; from 0.01 to 100
    friend bool operator==(const Limits&, const Limits&) = default;
};

// {"concurrent_jobs","queued_jobs","requests_per_minute","wei_per_day","wei_total","weight"}; what is not
// limited is left out, amounts of money are strings.
std::string limits_json(const Limits& limits);
// The same object, as a person or another program may write it. kInvalidArgument names the member.
Result<Limits> parse_limits(std::string_view json);

}  // namespace framegrid::account
