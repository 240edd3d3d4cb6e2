#include <framegrid/app/gateway_auth.hpp>

#include <framegrid/app/loopback.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/rest/jwt_auth.hpp>
#include <framegrid/rest/key_auth.hpp>
#include <framegrid/rest/webhook_auth.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

namespace {

constexpr const char* kAdminListen = "127.0.0.1:9936";
constexpr std::size_t kKeySetBytesMax = 1 << 20;

std::unexpected<Error> missing(const std::string& option, const std::string& what) {
    return fail(Errc::kInvalidArgument, what + ": add --" + option, option);
}

// A JWKS file, read anew each time.
class FileKeySource final : public rest::TokenKeySource {
  public:
    FileKeySource(host::Path file, WorkPool& pool) : file_(std::move(file)), pool_(pool) {}
    Task<Result<std::string>> fetch(Deadline /*deadline*/) override {
        const auto read = [this] { return host::read_file(file_, kKeySetBytesMax); };
        auto content = co_await offload(pool_, read);
        if (!content) {
            co_return fail(std::move(content.error()));
        }
        co_return std::string(as_text(*content));
    }

  private:
    host::Path file_;
    WorkPool& pool_;
};

http::ClientSettings client_settings() {
    http::ClientSettings out;
    out.verify_certificates = true;
    out.origins_max = 10;
    return out;
}

Result<std::unique_ptr<rest::TokenKeySource>> make_key_source(
    http::Client& client, const AuthOptions& options, WorkPool& pool
) {
    const auto& keys = options.jwt_keys;
    const bool is_url = keys.starts_with("https://") || keys.starts_with("http://");
    if (!keys.empty() && !is_url) {
        return std::make_unique<FileKeySource>(host::expand_home(keys), pool);
    }
    FG_TRY(source, rest::UrlKeySource::make(client, options.jwt_issuer, keys));
    return std::make_unique<rest::UrlKeySource>(std::move(source));
}

class Auth final : public GatewayAuth {
  public:
    explicit Auth(Session& session)
        : session_(session),
          client_(session.loop.executor(), session.clock, client_settings(), session.log) {}

    Task<Result<void>> fill(AuthOptions options, api::KeyStore& keys) {
        if (options.mode == "keys") {
            auto made = std::make_unique<rest::KeyAuthenticator>(keys, session_.clock, session_.log);
            FG_CO_CHECK(co_await made->refresh());
            authenticator_ = std::move(made);
        } else if (options.mode == "webhook") {
            FG_CO_CHECK(use_webhook(options));
        } else if (options.mode == "jwt") {
            co_return co_await use_tokens(std::move(options));
        }
        co_return Result<void>{};
    }
    rest::Authenticator* authenticator() override { return authenticator_.get(); }
    Task<void> stop() override { return client_.stop(); }

  private:
    Result<void> use_webhook(const AuthOptions& options) {
        if (options.webhook.empty()) {
            return missing("auth-webhook", "webhook authorisation needs a URL");
        }
        FG_TRY(url, http::parse_url(options.webhook));
        rest::WebhookAuthSettings settings;
        settings.url = std::move(url);
        settings.cache_time = std::chrono::seconds(options.webhook_cache_seconds);
        authenticator_ =
            std::make_unique<rest::WebhookAuthenticator>(client_, session_.clock, std::move(settings));
        return {};
    }
    Task<Result<void>> use_tokens(AuthOptions options) {
        if (options.jwt_issuer.empty()) {
            co_return missing("jwt-issuer", "tokens need an issuer");
        }
        if (options.jwt_audience.empty()) {
            co_return missing("jwt-audience", "tokens for other programs must not work here");
        }
        auto source = make_key_source(client_, options, session_.pool);
        if (!source) {
            co_return fail(std::move(source.error()));
        }
        source_ = *std::move(source);
        rest::JwtAuthSettings settings;
        settings.rules = {
            .issuer = options.jwt_issuer,
            .audience = options.jwt_audience,
            .owner_claim = options.jwt_owner_claim,
            .scope_claim = options.jwt_scope_claim
        };
        auto made = std::make_unique<rest::JwtAuthenticator>(
            *source_, session_.clock, session_.log, std::move(settings)
        );
        const auto loaded = co_await made->reload();
        if (!loaded && default_disposition(loaded.error().code) == Disposition::kReject) {
            co_return fail(loaded.error());
        }
        if (!loaded) {  // the issuer may come up later than this gateway
            session_.log.warn("gateway.token_keys_not_read", {{"error", loaded.error().message}});
        }
        authenticator_ = std::move(made);
        co_return Result<void>{};
    }

    Session& session_;
    http::Client client_;
    std::unique_ptr<rest::TokenKeySource> source_;
    std::unique_ptr<rest::Authenticator> authenticator_;
};

}  // namespace

void add_auth_options(CLI::App& command, AuthOptions& options) {
    command
        .add_option(
            "--auth", options.mode,
            "who may use the API: none, keys (see 'framegrid keys'), webhook or jwt; default: none on "
            "loopback "
            "addresses"
        )
        ->envname("FRAMEGRID_AUTH")
        ->check(CLI::IsMember({"none", "keys", "webhook", "jwt"}));
    command.add_option("--auth-webhook", options.webhook, "URL that is asked about each request's key")
        ->envname("FRAMEGRID_AUTH_WEBHOOK");
    command
        .add_option(
            "--auth-webhook-cache", options.webhook_cache_seconds, "seconds for which its answers are kept"
        )
        ->check(CLI::Range(0, 3'600))
        ->capture_default_str();
    command.add_option("--jwt-issuer", options.jwt_issuer, "\"iss\" of tokens: the identity provider's URL");
    command.add_option("--jwt-audience", options.jwt_audience, "\"aud\" of tokens for this gateway");
    command.add_option(
        "--jwt-jwks", options.jwt_keys,
        "file or URL of the provider's keys; default: what its OpenID configuration names"
    );
    command.add_option("--jwt-owner-claim", options.jwt_owner_claim, "whose jobs and files they are")
        ->capture_default_str();
    command.add_option("--jwt-scope-claim", options.jwt_scope_claim, "what the token allows")
        ->capture_default_str();
    command
        .add_option(
            "--playback", options.playback, "/stream/ without a key (open), or with one of the owner (keys)"
        )
        ->check(CLI::IsMember({"open", "keys"}))
        ->capture_default_str();
    command.add_option(
        "--admin-listen", options.admin_listen,
        "host:port of /status and /metrics, or none; default with authentication: 127.0.0.1:9936"
    );
}

Result<void> choose_auth(AuthOptions& options, const std::string& listen_address, const Logger& log) {
    const bool is_private = is_loopback(listen_address);
    if (options.mode.empty() && !is_private) {
        return fail(
            Errc::kInvalidArgument,
            listen_address +
                " can be reached from other machines: choose --auth keys (make one with 'framegrid keys "
                "create'), webhook or jwt, or write --auth none if whoever reaches it may use it",
            "auth"
        );
    }
    if (options.mode.empty()) {
        options.mode = "none";
    }
    if (options.mode == "none" && !is_private) {
        log.warn("gateway.open_to_everybody", {{"address", listen_address}, {"auth", "none"}});
    }
    return {};
}

Task<Result<std::unique_ptr<GatewayAuth>>> GatewayAuth::open(
    Session& session, AuthOptions options, api::KeyStore& keys
) {
    auto out = std::make_unique<Auth>(session);
    if (auto filled = co_await out->fill(std::move(options), keys); !filled) {
        co_await out->stop();
        co_return fail(std::move(filled.error()));
    }
    co_return std::unique_ptr<GatewayAuth>(std::move(out));
}

std::function<gateway::OwnerLimits(const std::string& owner)> owner_limits(
    const rest::Authenticator& authenticator
) {
    return [&authenticator](const std::string& owner) {
        const auto limits = authenticator.limits_of(owner);
        return gateway::OwnerLimits{limits.running_max, limits.queued_max, limits.weight};
    };
}

Result<void> AdminListener::listen(const AuthOptions& options) {
    std::string where = options.admin_listen;
    if (where.empty() && options.mode != "none") {
        where = kAdminListen;
    }
    if (where.empty() || where == "none") {
        return {};
    }
    auto settings = server_settings({.listen = where, .tls = false, .certificate = "", .key = ""});
    if (!settings) {
        settings.error().field = "admin-listen";
        return fail(std::move(settings.error()));
    }
    if (!is_loopback(settings->address)) {
        session_.log.warn("gateway.admin_open_to_everybody", {{"address", settings->address}});
    }
    server_.emplace(session_.loop.executor(), session_.clock, *settings, handler_, session_.log);
    if (auto listening = server_->listen(); !listening) {
        return fail(std::move(listening.error()).with_context("--admin-listen"));
    }
    session_.log.info("gateway.admin_listening", {{"uri", local_uri(*settings, server_->port())}});
    return {};
}

Task<void> AdminListener::stop() {
    if (server_) {
        co_await server_->stop(std::chrono::seconds(1));
    }
}

}  // namespace framegrid::app
