#include <framegrid/rest/jwt_auth.hpp>

#include <boost/json.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kDocumentBytesMax = 1 << 20;

Result<http::Url> parse_key_url(const std::string& text) {
    FG_TRY(url, http::parse_url(text));
    const bool is_here = url.host == "localhost" || url.host == "::1" || url.host.starts_with("127.");
    if (url.scheme != "https" && !is_here) {
        return fail(
            Errc::kInvalidArgument, "keys are fetched over https only, except from this machine", "jwt-jwks"
        );
    }
    return url;
}

std::string text_of(const json::value& document, const char* name) {
    const auto* object = document.if_object();
    const auto* value = object == nullptr ? nullptr : object->if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Result<UrlKeySource> UrlKeySource::make(
    http::Client& client, std::string issuer, const std::string& jwks_url
) {
    std::optional<http::Url> jwks;
    if (jwks_url.empty()) {
        FG_CHECK(parse_key_url(issuer));
    } else {
        FG_TRY(url, parse_key_url(jwks_url));
        jwks = std::move(url);
    }
    return UrlKeySource(client, std::move(issuer), std::move(jwks));
}

Task<Result<std::string>> UrlKeySource::get(http::Url url, Deadline deadline) {
    http::Request request;
    request.url = std::move(url);
    request.headers = http::Headers{{"accept", "application/json"}};
    auto fetched = co_await client_->fetch(std::move(request), kDocumentBytesMax, deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()).with_context("the token issuer"));
    }
    if (fetched->status != 200) {
        co_return fail(Errc::kUnavailable, "the token issuer answered " + std::to_string(fetched->status));
    }
    co_return std::string(fetched->body.text());
}

Task<Result<std::string>> UrlKeySource::fetch(Deadline deadline) {
    if (jwks_) {
        co_return co_await get(*jwks_, deadline);
    }
    std::string base = issuer_;
    while (base.ends_with('/')) {
        base.pop_back();
    }
    FG_CO_TRY(url, parse_key_url(base + "/.well-known/openid-configuration"));
    FG_CO_TRY(text, co_await get(std::move(url), deadline));
    boost::system::error_code error;
    const auto document = json::parse(text, error);
    if (error || text_of(document, "issuer") != issuer_) {
        co_return fail(Errc::kUnavailable, "the token issuer's configuration is another issuer's");
    }
    FG_CO_TRY(jwks, parse_key_url(text_of(document, "jwks_uri")));
    co_return co_await get(std::move(jwks), deadline);
}

Task<Result<void>> JwtAuthenticator::fetch_keys() {
    const auto deadline = Deadline::after(clock_, settings_.fetch_time_max);
    auto text = co_await source_.fetch(deadline);
    if (!text) {
        co_return fail(std::move(text.error()));
    }
    auto keys = account::TokenKeys::parse(*text);
    if (!keys) {
        co_return fail(std::move(keys.error()));
    }
    keys_ = *std::move(keys);
    co_return Result<void>{};
}

Task<Result<void>> JwtAuthenticator::reload() {
    if (loading_) {
        co_await loaded_.wait_until(clock_, clock_.now() + settings_.fetch_time_max);
        co_return Result<void>{};
    }
    struct Loading {
        JwtAuthenticator& self;
        ~Loading() {
            self.loading_ = false;
            self.loaded_.notify_all();
        }
    };
    loading_ = true;
    const Loading loading{*this};
    tried_at_ = clock_.now();
    co_return co_await fetch_keys();
}

Task<Result<account::Permit>> JwtAuthenticator::authenticate(AccessRequest request) {
    if (request.token.empty()) {
        co_return fail(Errc::kUnauthorized, "this gateway wants a token of its identity provider");
    }
    for (bool again = false;; again = true) {
        Result<account::Permit> permit =
            fail(Errc::kUnavailable, "the token issuer's keys are not known yet");
        if (keys_) {
            permit = account::verify_token(request.token, *keys_, settings_.rules, clock_.unix_ms());
        }
        const bool lacks_key = !keys_ || (!permit && permit.error().field == "kid");
        const bool may_reload = loading_ || !tried_at_ || clock_.now() - *tried_at_ >= settings_.reload_pause;
        if (!lacks_key || again || !may_reload) {
            if (permit) {
                seen_.note(permit->owner, permit->limits);
            }
            co_return permit;
        }
        (void)co_await reload();
    }
}

Task<Result<bool>> JwtAuthenticator::serve() {
    for (;;) {
        co_await sleep_for(clock_, keys_ ? settings_.reload_period : settings_.reload_pause);
        const auto loaded = co_await reload();
        if (!loaded) {
            log_.warn("rest.token_keys_not_read", {{"error", loaded.error().message}});
        }
    }
}

}  // namespace framegrid::rest
