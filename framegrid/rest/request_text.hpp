// Small rules for what clients write in paths and headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/http/message.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::rest {

// A decimal integer and nothing else but blanks around it.
std::optional<std::int64_t> parse_integer(std::string_view text);

// "1280x720"; nullopt unless both are positive and at most 65535.
std::optional<media::Size> parse_resolution(std::string_view text);

// %XX decoded; nullopt when an escape is broken or the result holds a NUL.
std::optional<std::string> percent_decode(std::string_view text);
// For one path segment of a URL.
std::string percent_encode(std::string_view text);

// The fields of a URL's query, decoded, in order; broken ones are left out.
std::vector<std::pair<std::string, std::string>> query_of(std::string_view query);
// Where a client reaches this gateway: `public_url` if there is one, else as it addressed us; no final slash.
std::string origin_of(const http::RequestHead& head, std::string_view public_url);

// What a file was uploaded as, for downloads: no path, nothing that a header or a terminal could trip over.
std::string safe_file_name(std::string_view name);

// The media types of an Accept header, lower-case, without parameters; those with q=0 are left out.
std::vector<std::string> accepted_types(std::string_view header);
// True when the list names this type or its group ("image/*"). "*/*" is not a wish for anything special:
// false.
bool asks_for(const std::vector<std::string>& accepted, std::string_view type);

// True when a Priority header says that nobody waits for the answer: urgency 7 (RFC 9218, section 4.1).
bool is_background(std::string_view priority);

}  // namespace framegrid::rest
