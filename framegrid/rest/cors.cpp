#include <framegrid/rest/cors.hpp>

#include <algorithm>

namespace framegrid::rest {

namespace {

constexpr std::string_view kRequestHeaders =
    "authorization, x-api-key, content-type, accept, idempotency-key, prefer, last-event-id, range, "
    "if-range, "
    "if-none-match, traceparent, x-request-id, content-duration, content-resolution, "
    "livepeer-transcode-configuration, x-framegrid-priority";
constexpr std::string_view kAnswerHeaders =
    "x-request-id, x-trace-id, x-seed, x-framegrid-run, x-framegrid-attempts, x-framegrid-orchestrator, "
    "x-framegrid-wei, "
    "location, retry-after, ratelimit, ratelimit-policy, www-authenticate, idempotent-replayed, "
    "preference-applied, content-disposition, content-length, content-range, accept-ranges, etag";

}  // namespace

Result<void> Cors::check_origin(std::string_view origin) {
    if (origin == "*") {
        return {};
    }
    const auto url = http::parse_url(origin);
    const bool has_scheme = origin.starts_with("http://") || origin.starts_with("https://");
    const auto after = origin.find("//");
    if (!url || !has_scheme || origin.find('/', after + 2) != std::string_view::npos) {
        return fail(
            Errc::kInvalidArgument, "an origin is a scheme, a host and perhaps a port: https://app.example",
            "cors-origin"
        );
    }
    return {};
}

void Cors::add_headers(const http::RequestHead& head, std::string_view methods, http::Headers& answer) const {
    const auto has = [this](std::string_view one) {
        return std::ranges::find(origins_, one) != origins_.end();
    };
    const auto origin = head.headers.get("origin").value_or("");
    if (head.path().starts_with("/stream/") || has("*")) {
        answer.set("access-control-allow-origin", "*");
    } else if (!origins_.empty()) {
        answer.add("vary", "origin");  // a cache must not give one page the answer of another
        if (!has(origin)) {
            return;
        }
        answer.set("access-control-allow-origin", std::string(origin));
    } else {
        return;
    }
    if (head.method == "OPTIONS") {
        answer.set("access-control-allow-methods", std::string(methods));
        answer.set("access-control-allow-headers", std::string(kRequestHeaders));
        answer.set("access-control-max-age", "86400");
    } else {
        answer.set("access-control-expose-headers", std::string(kAnswerHeaders));
    }
}

}  // namespace framegrid::rest
