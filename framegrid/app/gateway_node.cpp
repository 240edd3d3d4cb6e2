// `framegrid gateway`: composition root of the gateway role.
#include <framegrid/app/commands.hpp>

#include <framegrid/app/gateway_auth.hpp>
#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/gateway_media.hpp>
#include <framegrid/app/keys.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/version.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/cors.hpp>
#include <framegrid/rest/rest.hpp>
#include <framegrid/rest/sources.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/orchestrator_client.hpp>

namespace framegrid::app {

namespace {

struct GatewayOptions {
    ListenOptions listen{.listen = "127.0.0.1:9935", .tls = false, .certificate = "", .key = ""};
    std::string orchestrators;
    std::string webhook;
    std::string public_url;
    std::string key_file;
    std::string password_file;
    std::string memory = "2G";
    std::int64_t price_wei = 0;
    std::int64_t price_units = 1;
    int attempts = 6;
    JobOptions jobs;
    AuthOptions auth;
    std::vector<std::string> cors_origins;
};

gateway::Settings role_settings(const GatewayOptions& options) {
    gateway::Settings settings;
    settings.attempts_max = options.attempts;
    if (options.price_wei > 0) {
        settings.pool.price_max = Price{options.price_wei, options.price_units};
    }
    return settings;
}

Result<std::unique_ptr<gateway::OrchestratorSource>> make_source(
    Session& session, const GatewayOptions& options
) {
    if (!options.webhook.empty()) {
        FG_TRY(url, http::parse_url(options.webhook));
        return std::make_unique<rest::WebhookSource>(
            session.client, session.clock, std::move(url), session.log
        );
    }
    const auto uris = split_list(options.orchestrators);
    if (uris.empty()) {
        return fail(
            Errc::kInvalidArgument,
            "no orchestrators: name some with --orchestrators, or a list with --orchestrator-webhook",
            "orchestrators"
        );
    }
    FG_TRY(fixed, rest::StaticSource::make(uris));
    return std::make_unique<rest::StaticSource>(std::move(fixed));
}

Task<Result<bool>> run_services(
    gateway::Gateway& role, rest::Rest& api, GatewayJobs& jobs, rest::Authenticator* authenticator
) {
    std::vector<Task<Result<bool>>> services;
    services.push_back(role.serve());
    services.push_back(api.serve());
    services.push_back(jobs.serve());
    if (authenticator != nullptr) {
        services.push_back(authenticator->serve());
    }
    auto results = co_await all_of(std::move(services));
    co_return std::move(results.front());
}

struct Stoppable {
    http::Server& server;
    AdminListener& admin;
    http::Client& client;
    GatewayAuth& auth;
    GatewayJobs& jobs;
    GatewayMedia& media;
};

Task<void> shut_down(Stoppable all) {
    co_await all.server.stop(std::chrono::seconds(1));
    co_await all.admin.stop();
    co_await all.client.stop();
    co_await all.auth.stop();
    co_await all.jobs.stop();
    co_await all.media.stop();
}

Result<std::optional<crypto::PrivateKey>> signing_key(const GatewayOptions& options) {
    if (options.key_file.empty()) {
        return std::nullopt;
    }
    FG_TRY(key, load_key(options.key_file, options.password_file));
    return std::optional<crypto::PrivateKey>(std::move(key));
}

http::ClientSettings client_settings() {
    http::ClientSettings out;
    out.ping_period = std::chrono::seconds(2);
    out.cleartext_http2 = true;
    return out;
}

Result<rest::RestSettings> rest_settings_of(const GatewayOptions& options) {
    FG_TRY(memory, parse_bytes(options.memory, "memory"));
    rest::RestSettings out;
    out.public_url = options.public_url;
    out.memory_bytes_max = static_cast<std::size_t>(memory);
    out.version = version_text();
    for (const auto& origin : options.cors_origins) {
        FG_CHECK(rest::Cors::check_origin(origin));
    }
    out.cors_origins = options.cors_origins;
    out.playback_open = options.auth.playback == "open";
    return out;
}

void announce(Session& session, const std::string& uri) {
    session.log.info("gateway.listening", {{"uri", uri}});
    announce_ready(uri);
}

Task<Result<int>> serve(Session& session, GatewayOptions options) {
    auto listen = server_settings(options.listen);
    auto source = make_source(session, options);
    auto rest_settings = rest_settings_of(options);
    if (!listen || !source || !rest_settings) {
        co_return fail(!listen ? listen.error() : !source ? source.error() : rest_settings.error());
    }
    if (auto chosen = choose_auth(options.auth, listen->address, session.log); !chosen) {
        co_return fail(std::move(chosen.error()));
    }
    auto key = signing_key(options);
    if (!key) {
        co_return fail(std::move(key.error()));
    }
    http::Client client(session.loop.executor(), session.clock, client_settings(), session.log);
    wire::WireDirectory directory(
        {client, session.clock, session.pool, session.random, *key ? &**key : nullptr}
    );
    const auto role = gateway::make_gateway(
        {session.loop.executor(), session.clock, session.random, session.log, directory, **source},
        role_settings(options)
    );
    auto media = GatewayMedia::make(session, rest_settings->jobs_max);
    if (!media) {
        co_return fail(std::move(media.error()));
    }
    auto jobs = GatewayJobs::open(
        session, {*role, (*media)->probe(), (*media)->operations()}, options.jobs, options.public_url
    );
    if (!jobs) {
        co_return fail(std::move(jobs.error()));
    }
    auto auth = co_await GatewayAuth::open(session, options.auth, (*jobs)->keys());
    if (!auth) {
        co_return fail(std::move(auth.error()));
    }
    auto* const authenticator = (*auth)->authenticator();
    if (authenticator != nullptr) {
        (*jobs)->limit_owners(owner_limits(*authenticator));
    }
    http::Server* serving = nullptr;
    rest::Rest api(
        {session.loop.executor(), session.clock, session.random, session.log, session.pool, *role,
         (*media)->probe(),
         [&serving, &media, &jobs](MetricsWriter& out) {
             sandbox::dump(out, (*media)->probe_stats());
             (*jobs)->dump(out);
             if (serving != nullptr) {
                 http::dump(out, serving->stats());
             }
         },
         (*jobs)->ports(), authenticator},
        *rest_settings
    );
    http::Server server(session.loop.executor(), session.clock, *listen, api.handler(), session.log);
    serving = &server;
    if (auto listening = server.listen(); !listening) {
        co_return fail(std::move(listening.error()));
    }
    AdminListener admin(session, api.admin_handler());
    if (auto listening = admin.listen(options.auth); !listening) {
        co_return fail(std::move(listening.error()));
    }
    announce(session, local_uri(*listen, server.port()));
    auto services = run_services(*role, api, **jobs, authenticator);
    auto stop = shut_down({server, admin, client, **auth, **jobs, **media});
    (void)co_await with_cleanup<bool>(std::move(services), std::move(stop));
    co_return kExitOk;
}

}  // namespace

void add_gateway_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<GatewayOptions>();
    auto* command = app.add_subcommand("gateway", "Accept jobs over HTTP and run them on orchestrators");
    add_listen_options(*command, options->listen, true);
    command->add_option("--orchestrators", options->orchestrators, "service URIs, separated by commas")
        ->envname("FRAMEGRID_ORCHESTRATORS");
    command->add_option("--orchestrator-webhook", options->webhook, "URL that lists orchestrators as JSON")
        ->envname("FRAMEGRID_ORCHESTRATOR_WEBHOOK");
    command->add_option(
        "--public-url", options->public_url, "base of the URLs in answers; default: as requested"
    );
    command->add_option("--max-price-per-unit", options->price_wei, "wei per --pixels-per-unit; 0: any price")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command->add_option("--pixels-per-unit", options->price_units, "pixels that the price is for")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command->add_option("--attempts", options->attempts, "orchestrators asked for one job")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    command->add_option("--memory", options->memory, "for media in flight; more is refused with 503")
        ->capture_default_str();
    command->add_option("--key", options->key_file, "key file that signs requests (see 'framegrid key')");
    command->add_option("--key-password-file", options->password_file, "file with the key file's password");
    add_job_options(*command, options->jobs);
    add_auth_options(*command, options->auth);
    command->add_option(
        "--cors-origin", options->cors_origins,
        "origin whose pages may use the API (https://app.example, or *); may be repeated"
    );
    command->footer(
        "Examples:\n"
        "  framegrid gateway --orchestrators https://a.example:8935,https://b.example:8935\n"
        "  framegrid gateway --orchestrators https://a.example:8935 --listen 0.0.0.0:9935 --tls --auth keys"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "gateway", 2);
            return session.run([&] { return serve(session, *options); });
        };
    });
}

}  // namespace framegrid::app
