// What work is paid by: how many units it will be counted as, and was.
#pragma once

#include <framegrid/api/work.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/pay/till.hpp>

namespace framegrid::orchestrator {

// Who pays for a job, from which balance, at whose price. Segments: by session; AI jobs: by model.
pay::Order order_of(const crypto::Address& sender, const api::Work& work, const std::string& session_id);
// The models that somebody asks the price of; none: transcoding.
std::vector<pay::ModelKey> models_of(const job::Capabilities& needs);

// Before the work; the final count of AI jobs. Errors are those of the input: what cannot be counted is not
// worked on.
Result<std::int64_t> estimated_units(const api::Work& work);
// After it.
std::int64_t done_units(const api::Work& work, const api::WorkOutput& output, std::int64_t estimated);

}  // namespace framegrid::orchestrator
