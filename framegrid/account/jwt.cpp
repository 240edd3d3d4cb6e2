#include <framegrid/account/jwt.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::account {

namespace {

namespace json = boost::json;

constexpr std::string_view kLimitsClaim = "framegrid_limits";
constexpr double kSecondsMax = 1e12;

std::unexpected<Error> refused(std::string what, std::string field = {}) {
    return fail(Errc::kUnauthorized, "the token " + std::move(what), std::move(field));
}

struct Parts {
    json::object header;
    json::object claims;
    std::string_view signed_text;
    Bytes signature;
};

Result<json::object> object_of(std::string_view part) {
    const auto bytes = parse_base64url(part);
    boost::system::error_code error;
    auto value = bytes ? json::parse(as_text(*bytes), error) : json::value();
    if (!bytes || error || !value.is_object()) {
        return refused("cannot be read");
    }
    return std::move(value.get_object());
}

Result<Parts> split(std::string_view token) {
    if (token.size() > kTokenBytesMax || std::ranges::count(token, '.') != 2) {
        return refused("is no JWT");
    }
    const auto first = token.find('.');
    const auto second = token.rfind('.');
    FG_TRY(header, object_of(token.substr(0, first)));
    FG_TRY(claims, object_of(token.substr(first + 1, second - first - 1)));
    auto signature = parse_base64url(token.substr(second + 1));
    if (!signature) {
        return refused("cannot be read");
    }
    return Parts{std::move(header), std::move(claims), token.substr(0, second), *std::move(signature)};
}

std::string text_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Seconds since 1970, fractions allowed; nullopt: absent or no time.
std::optional<std::int64_t> time_of(const json::object& claims, std::string_view name) {
    const auto* value = claims.if_contains(name);
    if (value == nullptr || !value->is_number()) {
        return std::nullopt;
    }
    const double seconds = value->to_number<double>();
    if (!(seconds >= 0 && seconds <= kSecondsMax)) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(seconds * 1'000);
}

Result<void> check_header(const json::object& header, const TokenKeys& keys, const Parts& parts) {
    const auto id = text_of(header, "kid");
    const auto* key = keys.find(id);
    if (key == nullptr) {
        return refused("is signed by a key that the issuer does not show: " + printable(id, 60), "kid");
    }
    // The key says the algorithm. A token that names another one wants it to be misused, or not used at all.
    if (text_of(header, "alg") != to_string(key->algorithm())) {
        return refused("names another algorithm than its key has", "alg");
    }
    if (header.contains("crit")) {
        return refused("has extensions that this gateway does not know", "crit");
    }
    if (!key->verify(as_bytes(parts.signed_text), parts.signature)) {
        return refused("has a wrong signature");
    }
    return {};
}

bool is_for(const json::object& claims, const std::string& audience) {
    const auto* value = claims.if_contains("aud");
    if (value == nullptr) {
        return false;
    }
    const auto same = [&audience](const json::value& one) {
        return one.is_string() && std::string_view(one.get_string()) == audience;
    };
    return value->is_array() ? std::ranges::any_of(value->get_array(), same) : same(*value);
}

Result<void> check_claims(const json::object& claims, const TokenRules& rules, std::int64_t now_unix_ms) {
    if (text_of(claims, "iss") != rules.issuer) {
        return refused("comes from another issuer", "iss");
    }
    if (!is_for(claims, rules.audience)) {
        return refused("is for another audience", "aud");
    }
    const auto expires = time_of(claims, "exp");
    if (!expires) {
        return refused("does not say when it expires", "exp");
    }
    if (now_unix_ms >= *expires + rules.leeway_ms) {
        return refused("has expired", "exp");
    }
    if (claims.contains("nbf")) {
        const auto begins = time_of(claims, "nbf");
        if (!begins || now_unix_ms + rules.leeway_ms < *begins) {
            return refused("is not valid yet", "nbf");
        }
    }
    return {};
}

Scopes scopes_of(const json::object& claims, std::string_view name) {
    const auto* value = claims.if_contains(name);
    if (value == nullptr || !value->is_array()) {
        return known_scopes(text_of(claims, name));
    }
    std::string all;
    for (const auto& one : value->get_array()) {
        all += one.is_string() ? std::string(one.get_string()) + " " : "";
    }
    return known_scopes(all);
}

}  // namespace

Result<Permit> verify_token(
    std::string_view token, const TokenKeys& keys, const TokenRules& rules, std::int64_t now_unix_ms
) {
    FG_TRY(parts, split(token));
    FG_CHECK(check_header(parts.header, keys, parts));
    FG_CHECK(check_claims(parts.claims, rules, now_unix_ms));
    Permit out;
    out.owner = text_of(parts.claims, rules.owner_claim);
    if (!check_owner(out.owner)) {
        return refused("names no owner in its claim " + rules.owner_claim, rules.owner_claim);
    }
    const auto subject = text_of(parts.claims, "sub");
    out.subject = check_owner(subject) ? subject : out.owner;
    out.scopes = scopes_of(parts.claims, rules.scope_claim);
    if (const auto* limits = parts.claims.if_contains(kLimitsClaim)) {
        auto read = parse_limits(json::serialize(*limits));
        if (!read) {
            return refused("has limits that cannot be read", std::string(kLimitsClaim));
        }
        out.limits = *std::move(read);
    }
    return out;
}

}  // namespace framegrid::account
