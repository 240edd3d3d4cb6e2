// Tokens of an identity provider, checked with the keys that it shows.
#pragma once

#include <optional>
#include <string>

#include <framegrid/account/jwt.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/rest/authenticator.hpp>
#include <framegrid/rest/seen_limits.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::rest {

// Port: where an issuer's keys are.
class TokenKeySource {
  public:
    virtual ~TokenKeySource() = default;
    // A JSON Web Key Set.
    virtual Task<Result<std::string>> fetch(Deadline deadline) = 0;
};

// From a URL, or the one that the issuer's OpenID configuration names (OpenID Connect Discovery 1.0). https,
// or http on this machine: whoever can change the keys can sign tokens. `client` outlives it, and checks
// certificates.
class UrlKeySource final : public TokenKeySource {
  public:
    // `jwks_url` empty: discovery.
    static Result<UrlKeySource> make(http::Client& client, std::string issuer, const std::string& jwks_url);
    Task<Result<std::string>> fetch(Deadline deadline) override;

  private:
    UrlKeySource(http::Client& client, std::string issuer, std::optional<http::Url> jwks)
        : client_(&client), issuer_(std::move(issuer)), jwks_(std::move(jwks)) {}
    Task<Result<std::string>> get(http::Url url, Deadline deadline);

    http::Client* client_;
    std::string issuer_;
    std::optional<http::Url> jwks_;
};

struct JwtAuthSettings {
    account::TokenRules rules;
    Duration reload_period = std::chrono::minutes(10);
    Duration reload_pause = std::chrono::seconds(5);  // between two that unknown key ids ask for
    Duration fetch_time_max = std::chrono::seconds(5);
};

// `source` and `clock` outlive it. When the issuer cannot be reached, the keys that are known go on working.
class JwtAuthenticator final : public Authenticator {
  public:
    JwtAuthenticator(TokenKeySource& source, Clock& clock, Logger log, JwtAuthSettings settings)
        : source_(source), clock_(clock), log_(std::move(log)), settings_(std::move(settings)) {}

    // Fetches the keys, once however many ask at the same time.
    Task<Result<void>> reload();
    Task<Result<account::Permit>> authenticate(AccessRequest request) override;
    account::Limits limits_of(const std::string& owner) const override { return seen_.of(owner); }
    Task<Result<bool>> serve() override;

  private:
    Task<Result<void>> fetch_keys();

    TokenKeySource& source_;
    Clock& clock_;
    Logger log_;
    const JwtAuthSettings settings_;
    std::optional<account::TokenKeys> keys_;
    bool loading_ = false;
    Notifier loaded_;
    std::optional<TimePoint> tried_at_;
    SeenLimits seen_;
};

}  // namespace framegrid::rest
