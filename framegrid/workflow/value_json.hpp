// Values as JSON.
#pragma once

#include <boost/json.hpp>

#include <framegrid/workflow/value.hpp>

namespace framegrid::workflow {

// Null for files.
boost::json::value scalar_json(const Value& value);

}  // namespace framegrid::workflow
