// What jobs are counted as, and what they cost.
#pragma once

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/pay/money.hpp>

namespace framegrid::gateway {

// What the work was counted as; orchestrators count the same.
std::int64_t units_of(const JobRequest& request, const api::WorkOutput& output);

// What to have paid for before it begins.
pay::Money expected_fee(const JobRequest& request, const Price& price);

}  // namespace framegrid::gateway
