// API keys: "fg_" and an id of 16 hex digits, "_" and a secret of 64, and 8 digits of a check sum, so that
// scanners can tell a leaked key from a look-alike: fg_[0-9a-f]{16}_[0-9a-f]{72}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/account/permit.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::account {

// What is kept of a key. Times are milliseconds since 1970-01-01 UTC; 0: never.
struct KeyRecord {
    std::string id;  // 16 hex digits
    // Of the 32 random bytes of the secret. No slow hash: there is nothing to guess in 256 random bits.
    crypto::Hash32 secret_sha256{};
    std::string name;  // for people
    std::string owner;
    Scopes scopes;
    Limits limits;
    std::int64_t created_unix_ms = 0;
    std::int64_t expires_unix_ms = 0;
    std::int64_t revoked_unix_ms = 0;  // from then on; may lie ahead, when a key is being replaced
    std::uint64_t change = 0;          // the store's number of its last change
    friend bool operator==(const KeyRecord&, const KeyRecord&) = default;
};

enum class KeyState : std::uint8_t { kActive, kExpired, kRevoked };
KeyState state_of(const KeyRecord& record, std::int64_t now_unix_ms);
std::string_view to_string(KeyState state);

// Those of one owner's records that are active and have a limit `wei_total`, with that raised by `more`: what
// was paid in advance. kNotFound (field "owner") when there is none, kInvalidArgument (field "amount") from
// 2^256 on.
Result<std::vector<KeyRecord>> top_up(
    std::vector<KeyRecord> records, const Wei& more, std::int64_t now_unix_ms
);

struct NewKey {
    std::string text;  // shown once, to whoever asked for it
    KeyRecord record;
};
// `like` says everything but id, secret and time of creation; an empty owner becomes "key_" and the id.
NewKey make_key(KeyRecord like, std::int64_t now_unix_ms, Random& random);

// A key as a request shows it.
struct ShownKey {
    std::string id;
    crypto::Hash32 secret_sha256{};
};
// kUnauthorized when it is none or was mistyped.
Result<ShownKey> parse_key(std::string_view text);

}  // namespace framegrid::account
