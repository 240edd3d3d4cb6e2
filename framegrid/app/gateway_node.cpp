// `framegrid gateway`: composition root of the gateway role.
#include <framegrid/app/commands.hpp>

#include <algorithm>
#include <array>
#include <sstream>

#include <framegrid/app/gateway_auth.hpp>
#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/gateway_media.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/payments.hpp>
#include <framegrid/app/version.hpp>
#include <framegrid/app/wallet.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/host/signals.hpp>
#include <framegrid/rest/artifacts_api.hpp>
#include <framegrid/rest/cors.hpp>
#include <framegrid/rest/rest.hpp>
#include <framegrid/rest/sources.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/orchestrator_client.hpp>

namespace framegrid::app {

namespace {

constexpr Duration kDrainTick = std::chrono::milliseconds(50);

struct GatewayOptions {
    ListenOptions listen{.listen = "127.0.0.1:9935", .tls = false, .certificate = "", .key = ""};
    std::string orchestrators;
    std::string webhook;
    std::string public_url;
    std::string memory = "2G";
    std::int64_t price_wei = 0;
    std::int64_t price_units = 1;
    BuyOptions buy;
    WalletOptions wallet;
    int attempts = 6;
    int drain_seconds = 25;
    std::size_t connections_max = 16'384;
    JobOptions jobs;
    AuthOptions auth;
    std::vector<std::string> cors_origins;
    std::vector<std::string> default_models;
    std::string otlp_endpoint;
};

std::optional<Price> price_max_of(const GatewayOptions& options) {
    return options.price_wei > 0 ? std::optional(Price{options.price_wei, options.price_units})
                                 : std::nullopt;
}

Result<gateway::Settings> role_settings(const GatewayOptions& options) {
    gateway::Settings settings;
    FG_TRY(payments, payment_settings(options.buy));
    settings.payments = std::move(payments);
    settings.attempts_max = options.attempts;
    settings.pool.price_max = price_max_of(options);
    return settings;
}

struct Source {
    std::unique_ptr<gateway::OrchestratorSource> any;
    rest::StaticSource* fixed = nullptr;  // when the operator names the orchestrators
};

Result<Source> make_source(Session& session, const GatewayOptions& options) {
    if (!options.webhook.empty()) {
        FG_TRY(url, http::parse_url(options.webhook));
        return Source{
            std::make_unique<rest::WebhookSource>(session.client, session.clock, std::move(url), session.log)
        };
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
    auto source = std::make_unique<rest::StaticSource>(std::move(fixed));
    auto* const named = source.get();
    return Source{std::move(source), named};
}

void add_gateway_options(CLI::App& command, GatewayOptions& options);

// The options as they would be at a start now, and all of them as text, a line each.
struct ReadAgain {
    GatewayOptions options;
    std::vector<std::string> lines;
};

Result<ReadAgain> read_again(const CommonOptions& common) {
    ReadAgain out;
    CommonOptions fresh;
    CLI::App app;
    add_common_options(app, fresh);
    auto* command = app.add_subcommand("gateway");
    add_gateway_options(*command, out.options);
    FG_CHECK(parse_arguments(app, common.arguments));
    std::istringstream text(app.config_to_str(true));
    for (std::string line; std::getline(text, line);) {
        out.lines.push_back(line);
    }
    return out;
}

// What SIGHUP does: the orchestrators, the price limit and the certificate; the rest needs a restart.
class Reloader {
  public:
    Reloader(Session& session, gateway::Gateway& role, http::Server& server, rest::StaticSource* fixed)
        : session_(session), role_(role), server_(server), fixed_(fixed) {
        if (auto now = read_again(session_.common)) {
            lines_ = std::move(now->lines);
        }
    }
    Task<Result<bool>> serve() {
        host::ReloadSignals signals(session_.loop.executor());
        for (;;) {
            (void)co_await signals.next();
            if (const auto done = reload(); !done) {
                session_.log.error(
                    "gateway.reload_failed", {{"error", done.error().message}, {"field", done.error().field}}
                );
            }
        }
    }

  private:
    Result<void> reload() {
        FG_TRY(fresh, read_again(session_.common));
        FG_CHECK(server_.reload_certificate());
        if (fixed_ != nullptr) {
            FG_CHECK(fixed_->replace(split_list(fresh.options.orchestrators)));
        }
        role_.reconfigure(price_max_of(fresh.options));
        for (const auto& line : fresh.lines) {
            const bool changed = std::ranges::find(lines_, line) == lines_.end();
            if (changed && !works_at_once(line)) {
                session_.log.warn("gateway.restart_needed", {{"option", line.substr(0, line.find('='))}});
            }
        }
        session_.log.info("gateway.reloaded");
        return {};
    }
    static bool works_at_once(std::string_view line) {
        constexpr std::array kNames{
            "gateway.orchestrators=", "gateway.max-price-per-unit=", "gateway.pixels-per-unit="
        };
        return std::ranges::any_of(kNames, [&](const char* name) { return line.starts_with(name); });
    }

    Session& session_;
    gateway::Gateway& role_;
    http::Server& server_;
    rest::StaticSource* fixed_;
    std::vector<std::string> lines_;  // as they were at the start
};

Task<Result<bool>> run_services(
    gateway::Gateway& role, rest::Rest& api, GatewayJobs& jobs, rest::Authenticator* authenticator,
    Reloader& reloader, NodeReceipts* receipts
) {
    std::vector<Task<Result<bool>>> services;
    services.push_back(role.serve());
    services.push_back(api.serve());
    services.push_back(jobs.serve());
    services.push_back(reloader.serve());
    if (receipts != nullptr) {
        services.push_back(receipts->desk().serve());
    }
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
    Wallet& wallet;
};

Task<void> shut_down(Stoppable all) {
    co_await all.server.stop(std::chrono::seconds(1));
    co_await all.admin.stop();
    co_await all.client.stop();
    co_await all.auth.stop();
    co_await all.jobs.stop();
    co_await all.media.stop();
    co_await all.wallet.stop();
}

// What runs gets its time, then durable jobs go back to the queue.
Task<void> drain(Session& session, GatewayJobs& jobs, const gateway::Gateway& role, int seconds) {
    session.log.info("gateway.draining", {{"seconds", seconds}});
    const TimePoint until = session.clock.now() + std::chrono::seconds(seconds);
    co_await jobs.drain(until);
    while (role.stats().in_flight > 0 && session.clock.now() < until) {
        co_await sleep_for(session.clock, kDrainTick);
    }
}

gateway::Ports role_ports(
    Session& session, api::OrchestratorDirectory& directory, gateway::OrchestratorSource& source,
    Wallet& wallet
) {
    return {session.loop.executor(), session.clock, session.random, session.log, directory, source,
            wallet.ports(),          session.tracer};
}

http::ClientSettings client_settings() {
    http::ClientSettings out;
    out.ping_period = std::chrono::seconds(2);
    out.cleartext_http2 = true;
    return out;
}

Result<http::ServerSettings> listen_settings(const GatewayOptions& options) {
    FG_TRY(out, server_settings(options.listen));
    // Whole files; every handler has its own, smaller limit.
    out.body_bytes_max = rest::ArtifactsSettings{}.file_bytes_max;
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
    FG_TRY(models, gateway::read_default_models(options.default_models));
    out.ai.default_models = std::move(models);
    out.playback_open = options.auth.playback == "open";
    return out;
}

void limit_owners(gateway::Gateway& role, GatewayJobs& jobs, rest::Authenticator* authenticator) {
    if (authenticator != nullptr) {
        jobs.limit_owners(owner_limits(*authenticator));
        role.limit_spending(
            [authenticator](const std::string& owner) { return authenticator->limits_of(owner); },
            &jobs.keys()
        );
    }
}

void announce(Session& session, const std::string& uri) {
    session.log.info("gateway.listening", {{"uri", uri}});
    announce_ready(uri);
}

// What comes before anything is opened.
Result<void> prepare(
    Session& session, GatewayOptions& options, http::ServerSettings& listen, const rest::RestSettings& rest
) {
    options.jobs.default_models = rest.ai.default_models;
    listen.connections_max = options.connections_max;
    host::raise_open_files();
    FG_CHECK(choose_auth(options.auth, listen.address, session.log));
    return session.trace_to(options.otlp_endpoint);
}

Task<Result<int>> serve(Session& session, GatewayOptions options) {
    auto listen = listen_settings(options);
    auto source = make_source(session, options);
    auto rest_settings = rest_settings_of(options);
    if (!listen || !source || !rest_settings) {
        co_return fail(!listen ? listen.error() : !source ? source.error() : rest_settings.error());
    }
    FG_CO_CHECK(prepare(session, options, *listen, *rest_settings));
    FG_CO_TRY(settings, role_settings(options));
    FG_CO_TRY(money, co_await Wallet::open(session, options.wallet));
    http::Client client(session.loop.executor(), session.clock, client_settings(), session.log);
    wire::WireDirectory directory(
        {client, session.clock, session.pool, session.random, money->request_signer()}
    );
    const auto role =
        gateway::make_gateway(role_ports(session, directory, *source->any, *money), std::move(settings));
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
    limit_owners(*role, **jobs, authenticator);
    http::Server* serving = nullptr;
    rest::Rest api(
        {session.loop.executor(), session.clock, session.random, session.log, session.pool, *role,
         (*media)->probe(),
         [&serving, &media, &jobs, &money, &session](MetricsWriter& out) {
             session.dump(out);
             sandbox::dump(out, (*media)->probe_stats());
             money->dump(out);
             (*jobs)->dump(out);
             if (serving != nullptr) {
                 http::dump(out, serving->stats());
             }
         },
         (*jobs)->ports(), authenticator, session.tracer},
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
    session.before_stop = [&] { return drain(session, **jobs, *role, options.drain_seconds); };
    announce(session, local_uri(*listen, server.port()));
    const AtExit books([&] { log_books(session.log, "gateway.balance", role->books()); });
    Reloader reloader(session, *role, server, source->fixed);
    auto services = run_services(*role, api, **jobs, authenticator, reloader, money->receipts());
    auto stop = shut_down({server, admin, client, **auth, **jobs, **media, *money});
    (void)co_await with_cleanup<bool>(std::move(services), std::move(stop));
    co_return kExitOk;
}

void add_gateway_options(CLI::App& command, GatewayOptions& options) {
    add_listen_options(command, options.listen, true);
    command.add_option("--orchestrators", options.orchestrators, "service URIs, separated by commas")
        ->envname("FRAMEGRID_ORCHESTRATORS");
    command.add_option("--orchestrator-webhook", options.webhook, "URL that lists orchestrators as JSON")
        ->envname("FRAMEGRID_ORCHESTRATOR_WEBHOOK");
    command.add_option(
        "--public-url", options.public_url, "base of the URLs in answers; default: as requested"
    );
    command.add_option("--max-price-per-unit", options.price_wei, "wei per --pixels-per-unit; 0: any price")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command.add_option("--pixels-per-unit", options.price_units, "pixels that the price is for")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command.add_option("--attempts", options.attempts, "orchestrators asked for one job")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    command
        .add_option(
            "--drain-seconds", options.drain_seconds,
            "time for running jobs after SIGTERM; then they go back to the queue"
        )
        ->check(CLI::Range(0, 24 * 3600))
        ->capture_default_str();
    command.add_option("--max-connections", options.connections_max, "of clients at once; more are closed")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command.add_option("--memory", options.memory, "for media in flight; more is refused with 503")
        ->capture_default_str();
    add_buy_options(command, options.buy);
    add_wallet_options(command, options.wallet);
    add_job_options(command, options.jobs);
    add_auth_options(command, options.auth);
    add_telemetry_option(command, options.otlp_endpoint);
    add_default_model_option(command, options.default_models)->envname("FRAMEGRID_DEFAULT_MODELS");
    command.add_option(
        "--cors-origin", options.cors_origins,
        "origin whose pages may use the API (https://app.example, or *); may be repeated"
    );
}

}  // namespace

void add_gateway_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<GatewayOptions>();
    auto* command = app.add_subcommand("gateway", "Accept jobs over HTTP and run them on orchestrators");
    add_gateway_options(*command, *options);
    command->footer(
        "Examples:\n"
        "  framegrid gateway --orchestrators https://a.example:8935,https://b.example:8935\n"
        "  framegrid gateway --orchestrators https://a.example:8935 --listen 0.0.0.0:9935 --tls --auth keys\n"
        "  framegrid gateway --orchestrators https://a.example:8935 --ledger sqlite:ledger.db \\\n"
        "      --signer https://signer.example:8936 --signer-key-file signer.key    # holds no key itself"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "gateway", 2);
            session.reloads = true;
            return session.run([&] { return serve(session, *options); });
        };
    });
}

}  // namespace framegrid::app
