#include <framegrid/rest/signed_url.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

constexpr std::string_view kExpires = "expires";
constexpr std::string_view kSignature = "signature";

// The prefix keeps the secret's other uses apart, should there be some.
std::string signature_of(BytesView secret, std::string_view artifact, std::string_view expires) {
    const auto text = fmt::format("framegrid-artifact-v1\n{}\n{}", artifact, expires);
    return crypto::hex(crypto::hmac_sha256(secret, as_bytes(text)));
}

struct Shown {
    std::string expires;
    std::string signature;
};

Shown shown_in(std::string_view query) {
    Shown out;
    for (auto& [name, value] : query_of(query)) {
        if (name == kExpires) {
            out.expires = std::move(value);
        } else if (name == kSignature) {
            out.signature = std::move(value);
        }
    }
    return out;
}

}  // namespace

std::string sign_url(BytesView secret, std::string_view artifact, std::int64_t expires_unix_s) {
    const auto expires = std::to_string(expires_unix_s);
    return fmt::format("{}={}&{}={}", kExpires, expires, kSignature, signature_of(secret, artifact, expires));
}

bool is_signed(std::string_view query) {
    const auto fields = query_of(query);
    return std::ranges::any_of(fields, [](const auto& field) { return field.first == kSignature; });
}

Result<void> check_signed_url(
    BytesView secret, std::string_view artifact, std::string_view query, std::int64_t now_unix_ms
) {
    const auto shown = shown_in(query);
    const auto right = signature_of(secret, artifact, shown.expires);
    if (!crypto::equal_constant_time(as_bytes(right), as_bytes(shown.signature))) {
        return fail(
            Errc::kForbidden, "the URL's signature does not fit: ask whoever made it for another", "signature"
        );
    }
    const auto expires = parse_integer(shown.expires);  // we wrote it: it is a number
    if (!expires || *expires <= now_unix_ms / 1000) {
        return fail(
            Errc::kForbidden, "the URL has expired: ask whoever made it for another", kExpires.data()
        );
    }
    return {};
}

}  // namespace framegrid::rest
