#include <framegrid/account/api_key.hpp>

#include <algorithm>

namespace framegrid::account {

namespace {

constexpr std::string_view kPrefix = "fg_";
constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSumBytes = 4;
constexpr std::size_t kKeyBytes = 3 + kIdDigits + 1 + 2 * (kSecretBytes + kSumBytes);

// The first bytes of the SHA-256 of everything before it.
std::string check_sum(std::string_view text) {
    const auto digest = crypto::sha256(as_bytes(text));
    return crypto::hex(BytesView(digest).first(kSumBytes));
}

}  // namespace

Result<void> check_owner(std::string_view owner) {
    const bool bad = std::ranges::any_of(owner, [](char c) { return c <= ' ' || c >= 0x7f; });
    if (owner.empty() || owner.size() > kOwnerBytesMax || bad) {
        return fail(Errc::kInvalidArgument, "an owner is 1 to 128 printable characters, no blanks", "owner");
    }
    return {};
}

KeyState state_of(const KeyRecord& record, std::int64_t now_unix_ms) {
    if (record.revoked_unix_ms != 0 && record.revoked_unix_ms <= now_unix_ms) {
        return KeyState::kRevoked;
    }
    const bool expired = record.expires_unix_ms != 0 && record.expires_unix_ms <= now_unix_ms;
    return expired ? KeyState::kExpired : KeyState::kActive;
}

std::string_view to_string(KeyState state) {
    return state == KeyState::kActive ? "active" : state == KeyState::kExpired ? "expired" : "revoked";
}

Result<std::vector<KeyRecord>> top_up(
    std::vector<KeyRecord> records, const Wei& more, std::int64_t now_unix_ms
) {
    std::erase_if(records, [now_unix_ms](const KeyRecord& record) {
        return state_of(record, now_unix_ms) != KeyState::kActive || !record.limits.wei_total;
    });
    if (records.empty()) {
        return fail(
            Errc::kNotFound,
            "that owner has no active key with a balance: make one with framegrid keys create --wei-total",
            "owner"
        );
    }
    for (auto& record : records) {
        Wei& total = *record.limits.wei_total;
        if (more > std::numeric_limits<Wei>::max() - total) {
            return fail(Errc::kInvalidArgument, "the balance would not be an amount below 2^256", "amount");
        }
        total += more;
    }
    return records;
}

NewKey make_key(KeyRecord like, std::int64_t now_unix_ms, Random& random) {
    NewKey out{{}, std::move(like)};
    auto& record = out.record;
    record.id = random.hex(kIdDigits / 2);
    record.created_unix_ms = now_unix_ms;
    record.revoked_unix_ms = 0;
    record.change = 0;
    if (record.owner.empty()) {
        record.owner = "key_" + record.id;
    }
    Bytes secret(kSecretBytes);
    random.fill(secret);
    record.secret_sha256 = crypto::sha256(secret);
    out.text = std::string(kPrefix) + record.id + "_" + crypto::hex(secret);
    out.text += check_sum(out.text);
    return out;
}

Result<ShownKey> parse_key(std::string_view text) {
    const auto none = [] { return fail(Errc::kUnauthorized, "that is no API key of this gateway"); };
    if (text.size() != kKeyBytes || !text.starts_with(kPrefix) || text[kPrefix.size() + kIdDigits] != '_') {
        return none();
    }
    const auto id = text.substr(kPrefix.size(), kIdDigits);
    const auto body = text.substr(0, kKeyBytes - 2 * kSumBytes);
    const auto secret_digits = body.substr(kPrefix.size() + kIdDigits + 1);
    const bool digits = id.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
                        secret_digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (!digits) {
        return none();
    }
    if (text.substr(body.size()) != check_sum(body)) {
        return fail(Errc::kUnauthorized, "the API key was mistyped or cut: its check sum is wrong");
    }
    FG_TRY(secret, crypto::parse_hex(secret_digits));
    return ShownKey{std::string(id), crypto::sha256(secret)};
}

}  // namespace framegrid::account
