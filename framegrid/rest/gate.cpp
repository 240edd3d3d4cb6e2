#include <framegrid/rest/gate.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/request_text.hpp>
#include <framegrid/rest/signed_url.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kTokenBytesMax = 8'192;

account::Scope scope_of(Access access, std::string_view method) {
    const bool reads = method == "GET" || method == "HEAD";
    switch (access) {
        case Access::kArtifacts:
        case Access::kSignedOrArtifacts:
            return reads ? account::Scope::kArtifactsRead : account::Scope::kArtifactsWrite;
        case Access::kLive:
            return account::Scope::kLiveWrite;
        case Access::kJobs:
        case Access::kOpen:
            break;
    }
    return reads ? account::Scope::kJobsRead : account::Scope::kJobsWrite;
}

// Whole seconds, at least one: a client that waits so long is not too early.
std::int64_t seconds_up(Duration duration) {
    return std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(duration).count());
}

// draft-ietf-httpapi-ratelimit-headers-10
http::Headers rate_headers(const account::RateVerdict& verdict) {
    http::Headers out;
    out.add("ratelimit-policy", fmt::format("\"minute\";q={};w=60", verdict.limit));
    const auto next = verdict.remaining > 0 ? verdict.reset : verdict.wait;
    out.add("ratelimit", fmt::format("\"minute\";r={};t={}", verdict.remaining, seconds_up(next)));
    return out;
}

}  // namespace

std::string token_of(const http::Headers& headers) {
    constexpr std::string_view kScheme = "bearer ";
    const auto authorization = headers.get("authorization").value_or("");
    const bool is_bearer =
        std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, [](char a, char b) {
            return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b;
        });
    auto token = is_bearer ? authorization.substr(kScheme.size()) : headers.get("x-api-key").value_or("");
    token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
    return std::string(token.substr(0, token.find_last_not_of(' ') + 1));
}

Answer Gate::refuse(const Call& call, const Error& error, bool has_token) {
    const bool unauthorized = error.code == Errc::kUnauthorized;
    const bool forbidden = error.code == Errc::kForbidden;
    ++(unauthorized ? stats_.unauthorized : forbidden ? stats_.forbidden : stats_.undecided);
    auto answer = problem_answer(error, call.trace_id, unauthorized ? 401 : forbidden ? 403 : 503);
    std::string challenge = "Bearer realm=\"framegrid\"";
    if (unauthorized) {
        challenge += has_token ? ", error=\"invalid_token\"" : "";
        answer.headers.add("www-authenticate", challenge);
    } else if (forbidden && error.field == "scope") {
        const auto scope = error.message.substr(error.message.rfind(' ') + 1);
        answer.headers.add(
            "www-authenticate", challenge + ", error=\"insufficient_scope\", scope=\"" + scope + "\""
        );
    }
    return answer;
}

std::optional<Answer> Gate::check_limits(Call& call, const Route& route) {
    const auto rate = usage_.count_request(*call.permit);
    if (rate.limit > 0) {
        call.limit_headers = rate_headers(rate);
    }
    if (!rate.allowed) {
        ++stats_.over_rate;
        const auto message = fmt::format("the key may send {} requests a minute", rate.limit);
        auto answer =
            problem_answer(make_error(Errc::kCapacity, message, "requests_per_minute"), call.trace_id, 429);
        answer.headers.set("retry-after", std::to_string(seconds_up(rate.wait)));
        return answer;
    }
    if (route.kind == RouteKind::kJob) {
        auto running = usage_.begin_job(*call.permit);
        if (!running) {
            ++stats_.over_jobs;
            return problem_answer(running.error(), call.trace_id, 429);
        }
        call.running = *std::move(running);
    }
    return std::nullopt;
}

Task<std::optional<Answer>> Gate::admit(Call& call, const Route& route) {
    const bool shared = route.access == Access::kSignedOrArtifacts && is_signed(call.exchange.head.query());
    if (open() || route.access == Access::kOpen || shared) {
        co_return std::nullopt;
    }
    const auto& head = call.exchange.head;
    AccessRequest request{
        token_of(head.headers),
        head.method,
        std::string(head.path()),
        origin_of(head, "") + std::string(head.path()),
        head.peer,
        route.access == Access::kLive
    };
    const bool has_token = !request.token.empty();
    if (request.token.size() > kTokenBytesMax) {
        co_return refuse(call, make_error(Errc::kUnauthorized, "the key is too long to be one"), has_token);
    }
    auto permit = co_await authenticator_->authenticate(std::move(request));
    if (!permit) {
        co_return refuse(call, permit.error(), has_token);
    }
    const auto scope = scope_of(route.access, head.method);
    if (!permit->scopes.has(scope)) {
        const auto message = "the key lacks the scope " + std::string(account::to_string(scope));
        co_return refuse(call, make_error(Errc::kForbidden, message, "scope"), has_token);
    }
    call.owner = permit->owner;
    call.permit = *std::move(permit);
    co_return check_limits(call, route);
}

}  // namespace framegrid::rest
