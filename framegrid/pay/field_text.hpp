// A parameter's value as text: in the protocol's multipart forms, and in what receipts vouch for.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

namespace framegrid::pay {

// Text as it is, numbers that are not whole with six decimals, everything else as JSON.
std::string field_text(const boost::json::value& value);

}  // namespace framegrid::pay
