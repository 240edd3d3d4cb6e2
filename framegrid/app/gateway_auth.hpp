// Who may use a gateway: the command line's choice, what it is made of, and the operators' listener.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <framegrid/api/key_store.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/rest/authenticator.hpp>

namespace framegrid::app {

struct AuthOptions {
    std::string mode;  // "none", "keys", "webhook", "jwt"; empty: not chosen
    std::string webhook;
    int webhook_cache_seconds = 30;
    std::string jwt_issuer;
    std::string jwt_audience;
    std::string jwt_keys;  // file or URL of a JWKS; empty: OpenID discovery at the issuer
    std::string jwt_owner_claim = "sub";
    std::string jwt_scope_claim = "scope";
    std::string playback = "open";  // or "keys"
    std::string admin_listen;       // host:port or "none"; empty: 127.0.0.1:9936 with authentication
};
void add_auth_options(CLI::App& command, AuthOptions& options);

// Settles what was not chosen: none on loopback addresses. kInvalidArgument (field "auth") on others.
Result<void> choose_auth(AuthOptions& options, const std::string& listen_address, const Logger& log);

// Session and store outlive it.
class GatewayAuth {
  public:
    // Reads keys before it is done: the first request finds them. kInvalidArgument, kIo.
    static Task<Result<std::unique_ptr<GatewayAuth>>> open(
        Session& session, AuthOptions options, api::KeyStore& keys
    );
    virtual ~GatewayAuth() = default;
    virtual rest::Authenticator* authenticator() = 0;  // nullptr: no authentication
    virtual Task<void> stop() = 0;
};

// `authenticator` outlives it.
std::function<gateway::OwnerLimits(const std::string& owner)> owner_limits(
    const rest::Authenticator& authenticator
);

// Serves the operators' pages in clear text, if there is such a listener.
class AdminListener {
  public:
    AdminListener(Session& session, http::Handler handler)
        : session_(session), handler_(std::move(handler)) {}
    Result<void> listen(const AuthOptions& options);
    Task<void> stop();

  private:
    Session& session_;
    http::Handler handler_;
    std::optional<http::Server> server_;
};

}  // namespace framegrid::app
