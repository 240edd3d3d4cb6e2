#include <framegrid/objects_s3/sigv4.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>

namespace framegrid::objects_s3 {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

// "20130524T000000Z".
std::string basic_time(std::int64_t unix_ms) {
    const auto seconds = std::chrono::sys_seconds(std::chrono::seconds(unix_ms / 1000));
    return fmt::format("{:%Y%m%dT%H%M%SZ}", seconds);
}

// Parameters sorted by name, each with an equals sign.
std::string canonical_query(std::string_view query) {
    std::vector<std::string> parts;
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const std::string part(query.substr(0, end));
        if (!part.empty()) {
            parts.push_back(part.find('=') == std::string::npos ? part + "=" : part);
        }
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    std::ranges::sort(parts);
    std::string out;
    for (const auto& part : parts) {
        out += (out.empty() ? "" : "&") + part;
    }
    return out;
}

crypto::Hash32 hmac(BytesView key, std::string_view text) {
    return crypto::hmac_sha256(key, as_bytes(text));
}

crypto::Hash32 signing_key(const Credentials& credentials, const SigningScope& scope, std::string_view date) {
    const auto secret = "AWS4" + credentials.secret_key;
    return hmac(hmac(hmac(hmac(as_bytes(secret), date), scope.region), scope.service), "aws4_request");
}

struct SignedHeaders {
    std::string names;      // "host;range;x-amz-date"
    std::string canonical;  // "host:...\n" and so on
};

SignedHeaders signed_headers(const http::Request& request) {
    std::map<std::string, std::string> sorted{{"host", request.url.authority()}};
    for (const auto& [name, value] : request.headers.fields()) {
        sorted[name] = value;
    }
    SignedHeaders out;
    for (const auto& [name, value] : sorted) {
        out.names += (out.names.empty() ? "" : ";") + name;
        out.canonical.append(name).append(":").append(value).append("\n");
    }
    return out;
}

}  // namespace

std::string uri_encode(std::string_view text, bool keep_slashes) {
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && keep_slashes)) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

void sign(
    http::Request& request, const Credentials& credentials, const SigningScope& scope,
    std::string_view payload_sha256, std::int64_t now_unix_ms
) {
    const auto time = basic_time(now_unix_ms);
    const auto date = time.substr(0, 8);
    request.headers.set("x-amz-date", time);
    request.headers.set("x-amz-content-sha256", std::string(payload_sha256));
    if (!credentials.session_token.empty()) {
        request.headers.set("x-amz-security-token", credentials.session_token);
    }
    const auto headers = signed_headers(request);
    const std::string_view target = request.url.target;
    const auto question = std::min(target.find('?'), target.size());
    const auto query = target.substr(std::min(question + 1, target.size()));
    const auto canonical = fmt::format(
        "{}\n{}\n{}\n{}\n{}\n{}", request.method, target.substr(0, question), canonical_query(query),
        headers.canonical, headers.names, payload_sha256
    );
    const auto where = fmt::format("{}/{}/{}/aws4_request", date, scope.region, scope.service);
    const auto to_sign = fmt::format(
        "{}\n{}\n{}\n{}", kAlgorithm, time, where, crypto::hex(crypto::sha256(as_bytes(canonical)))
    );
    const auto signature = crypto::hex(hmac(signing_key(credentials, scope, date), to_sign));
    request.headers.set(
        "authorization", fmt::format(
                             "{} Credential={}/{},SignedHeaders={},Signature={}", kAlgorithm,
                             credentials.access_key, where, headers.names, signature
                         )
    );
}

}  // namespace framegrid::objects_s3
