// Dates in headers (RFC 9110 section 5.6.7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace framegrid::http {

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string date_text(std::int64_t unix_ms);
// Unix seconds of a date in that form; the obsolete forms are not read.
std::optional<std::int64_t> parse_date(std::string_view text);

}  // namespace framegrid::http
