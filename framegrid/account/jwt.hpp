// Tokens of an identity provider (RFC 7519) as permits.
#pragma once

#include <string>
#include <string_view>

#include <framegrid/account/jwk.hpp>
#include <framegrid/account/permit.hpp>

namespace framegrid::account {

inline constexpr std::size_t kTokenBytesMax = 8'192;

struct TokenRules {
    std::string issuer;                 // "iss", exactly
    std::string audience;               // one of "aud"
    std::string owner_claim = "sub";    // a string that check_owner() accepts
    std::string scope_claim = "scope";  // names between blanks, or an array; those of others are left out
    std::int64_t leeway_ms = 30'000;    // for clocks that differ
};

// What a token allows. kUnauthorized says what is wrong; its field is "kid" when the token names a key that
// `keys` lacks: the issuer may have a new one. The claim "framegrid_limits" may hold limits (limits_json).
Result<Permit> verify_token(
    std::string_view token, const TokenKeys& keys, const TokenRules& rules, std::int64_t now_unix_ms
);

}  // namespace framegrid::account
