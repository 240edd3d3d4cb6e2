// Small text rules of HTTP that several files here share.
#pragma once

#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::http {

std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
// A field name or method (RFC 9110 section 5.6.2).
bool is_token(std::string_view text);
// No control characters except tab: nothing that could end a header line.
bool is_field_value(std::string_view text);
// content-type -> Content-Type.
std::string capital_name(std::string_view name);
// For a quoted string in a header: quotes, backslashes and line ends cannot break out.
std::string escape_quoted(std::string_view text);
// True when `list`, a comma-separated header value, has `token` (in any case).
bool has_token(std::string_view list, std::string_view token);
// The fields that only concern one connection (RFC 9110 section 7.6.1); never sent with HTTP/2.
bool is_connection_field(std::string_view name);
void erase_connection_fields(Headers& headers);
// Refuses names and values that would corrupt the message. kInvalidArgument with the field's name.
Result<void> check_headers(const Headers& headers);
// The reason phrase of a status, or an empty text.
std::string_view reason_of(int status);
// {"error":{"code":...,"message":...}}: what this library answers by itself.
Blob error_body(Errc code, std::string_view message);

}  // namespace framegrid::http
