// URLs of stored files that need no key: whoever has one may read the file until it expires. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::rest {

// The query of a URL of the artifact's content: "expires=UNIX_SECONDS&signature=HEX", HMAC-SHA-256 of both.
std::string sign_url(BytesView secret, std::string_view artifact, std::int64_t expires_unix_s);
// Whether somebody shows a signature, right or wrong, instead of a key.
bool is_signed(std::string_view query);
// kForbidden: not what sign_url() made for this artifact, or too late.
Result<void> check_signed_url(
    BytesView secret, std::string_view artifact, std::string_view query, std::int64_t now_unix_ms
);

}  // namespace framegrid::rest
