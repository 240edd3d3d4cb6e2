#include <framegrid/rest/outgoing.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/public_address.hpp>

namespace framegrid::rest {

namespace {

constexpr int kRedirectsMax = 5;
constexpr std::size_t kAnswerBytesMax = 64 * 1024;  // of a webhook; what it says is not looked at
constexpr Duration kFetchTimeMax = std::chrono::minutes(5);

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Result<http::Url> redirect_target(const http::Url& from, std::string_view location) {
    if (location.starts_with('/') && !location.starts_with("//")) {
        http::Url out = from;
        out.target = std::string(location);
        return out;
    }
    if (!location.starts_with("http://") && !location.starts_with("https://")) {
        return fail(Errc::kForbidden, "the URL redirects to something that is no http(s) address", "url");
    }
    return http::parse_url(location);
}

http::ClientSettings stranger_client_settings(bool anywhere) {
    http::ClientSettings out;
    out.verify_certificates = true;
    out.origins_max = 1'000;
    if (!anywhere) {
        out.may_connect = [](const std::string& address) { return http::is_public_address(address); };
    }
    return out;
}

Task<Result<Blob>> HttpFetcher::fetch(std::string url, std::size_t limit, Deadline deadline) {
    auto target = http::parse_url(url);
    const auto soon = deadline.at_most(clock_, kFetchTimeMax);
    for (int hop = 0; target && hop <= kRedirectsMax; ++hop) {
        http::Request request;
        request.url = *target;
        request.headers = http::Headers{{"accept", "*/*"}, {"user-agent", "framegrid"}};
        auto fetched = co_await client_.fetch(std::move(request), limit, soon);
        if (!fetched) {
            co_return fail(std::move(fetched.error()).with_context("the input's URL"));
        }
        if (fetched->status == 200) {
            co_return std::move(fetched->body);
        }
        const auto location = fetched->headers.get("location");
        if (!is_redirect(fetched->status) || !location) {
            // The client's URL is at fault, nobody else would get more from it.
            co_return fail(
                Errc::kUnprocessable, "the input's URL answered " + std::to_string(fetched->status)
            );
        }
        target = redirect_target(*target, *location);
    }
    if (!target) {
        co_return fail(std::move(target.error()));
    }
    co_return fail(Errc::kUnprocessable, "the input's URL redirects more than five times");
}

Task<Result<int>> WebhookSender::send(job::Delivery message, Deadline deadline) {
    auto url = http::parse_url(message.url);
    if (!url) {
        co_return fail(std::move(url.error()));
    }
    const auto timestamp = std::to_string(clock_.unix_ms() / 1000);
    const auto text = message.id + "." + timestamp + "." + message.body;
    const auto mac = crypto::hmac_sha256(secret_, as_bytes(text));
    http::Request request;
    request.method = "POST";
    request.url = *std::move(url);
    request.headers = http::Headers{
        {"content-type", "application/json"},
        {"user-agent", "framegrid"},
        {"webhook-id", message.id},
        {"webhook-timestamp", timestamp},
        {"webhook-signature", "v1," + crypto::base64(mac)}
    };
    request.body = Blob(to_bytes(message.body));
    const auto answer = co_await client_.fetch(std::move(request), kAnswerBytesMax, deadline);
    if (!answer) {
        co_return fail(answer.error());
    }
    co_return answer->status;
}

}  // namespace framegrid::rest
