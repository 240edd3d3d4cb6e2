// Why nobody took a job, as the job's event "candidates" tells it.
#pragma once

#include <boost/json/object.hpp>

#include <framegrid/market/verdict.hpp>

namespace framegrid::gateway {

// {"summary", "considered", "candidates": [{"orchestrator", "reason", "detail"}]}.
boost::json::object candidates_json(const market::Explanation& why);

}  // namespace framegrid::gateway
