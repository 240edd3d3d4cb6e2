// `framegrid orchestrator`: composition root of the orchestrator role.
#include <framegrid/app/commands.hpp>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/payments.hpp>
#include <framegrid/app/receipts.hpp>
#include <framegrid/base/at_exit.hpp>
#include <framegrid/orchestrator/orchestrator.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/orchestrator_server.hpp>

namespace framegrid::app {

namespace {

struct OrchestratorOptions {
    ListenOptions listen{.listen = "127.0.0.1:8935", .tls = true, .certificate = "", .key = ""};
    std::string service_uri;
    std::string secret;
    std::string secret_file;
    std::size_t sessions_max = 10;
    SellOptions sell;
    LedgerOptions ledger;
    std::string key_file;
    std::string password_file;
    std::string receipts;
    std::string store = "512M";
    OperationOptions operation;
};

Task<void> drain(Session& session, orchestrator::Orchestrator& role, int seconds) {
    session.log.info("orchestrator.draining", {{"seconds", seconds}});
    return role.drain(session.clock.now() + std::chrono::seconds(seconds));
}

// What a paid node needs: a ledger, and prices.
struct Earnings {
    std::unique_ptr<ledger_sqlite::LedgerFile> ledger;  // null: nothing is paid
    std::unique_ptr<NodeReceipts> receipts{};           // null: none are written
    orchestrator::CashierSettings settings;
    std::optional<pay::PriceTable> prices{};
};

Result<Earnings> open_earnings(
    Session& session, const OrchestratorOptions& options, const std::optional<crypto::PrivateKey>& key,
    const std::string& service_uri
) {
    Earnings out;
    FG_TRY(settings, cashier_settings(options.sell));
    FG_TRY(prices, price_table(options.sell, session.clock.now()));
    out.settings = std::move(settings);
    out.prices = std::move(prices);
    if (options.ledger.ledger != kNoLedger && !key) {
        return fail(Errc::kInvalidArgument, "who is paid needs a key: name its file with --key", "key");
    }
    const Recipient recipient{key ? key->address() : crypto::Address{}, service_uri};
    FG_TRY(ledger, open_ledger(options.ledger, recipient, session.clock, session.random));
    out.ledger = std::move(ledger);
    FG_TRY(receipts, NodeReceipts::open(session, options.receipts, key ? &*key : nullptr));
    out.receipts = std::move(receipts);
    return out;
}

Result<std::optional<crypto::PrivateKey>> key_of(const OrchestratorOptions& options) {
    std::optional<crypto::PrivateKey> key;
    if (!options.key_file.empty()) {
        FG_TRY(loaded, load_key(options.key_file, options.password_file));
        key.emplace(std::move(loaded));
    }
    return key;
}

orchestrator::Ports ports_of(
    Session& session, const std::optional<crypto::PrivateKey>& key, Earnings& earnings
) {
    orchestrator::Ports ports{session.loop.executor(), session.clock,
                              session.random,          session.log,
                              key ? &*key : nullptr,   {},
                              session.tracer};
    if (earnings.ledger) {
        auto& ledger = *earnings.ledger;
        ports.payments.emplace(
            session.pool, ledger.ledger(), ledger.chain(), ledger.winning_tickets(),
            std::move(*earnings.prices), earnings.receipts ? &earnings.receipts->desk() : nullptr
        );
    }
    return ports;
}

Task<Result<bool>> serve_role(
    Session& session, orchestrator::Orchestrator& role, const SellOptions& sell, NodeReceipts* receipts
) {
    std::vector<Task<Result<bool>>> services;
    services.push_back(role.serve());
    if (!sell.usd_per_eth_file.empty()) {
        services.push_back(follow_usd_rate(session, role, sell.usd_per_eth_file));
    }
    if (receipts != nullptr) {
        services.push_back(receipts->desk().serve());
    }
    auto results = co_await all_of(std::move(services));
    co_return std::move(results.front());
}

Task<void> shut_down(
    http::Server& server, MetricsListener& metrics, orchestrator::Orchestrator& role, Duration grace,
    NodeReceipts* receipts
) {
    role.stop();
    co_await server.stop(grace);
    co_await metrics.stop();
    if (receipts != nullptr) {
        co_await receipts->finish();
    }
}

Task<Result<int>> serve(Session& session, OrchestratorOptions options) {
    auto secret = resolve_secret(options.secret, options.secret_file);
    auto listen = server_settings(options.listen);
    auto store = parse_bytes(options.store, "store");
    if (!secret || !listen || !store) {
        co_return fail(!secret ? secret.error() : !listen ? listen.error() : store.error());
    }
    FG_CO_CHECK(session.trace_to(options.operation.otlp_endpoint));
    FG_CO_TRY(key, key_of(options));
    listen->body_bytes_max = api::kTransferBytesMax;  // every other route has its own, smaller limit
    listen->ping_period =
        std::chrono::seconds(2);  // a silent worker is gone, and its tasks go to others at once
    // The service URI holds the port, which is known only after listening; requests wait for the role until
    // then.
    std::unique_ptr<orchestrator::Orchestrator> role;
    std::unique_ptr<wire::OrchestratorServer> routes;
    http::Server server(
        session.loop.executor(), session.clock, *listen,
        [&](http::Exchange& exchange) { return routes->serve(exchange); }, session.log
    );
    if (auto listening = server.listen(); !listening) {
        co_return fail(std::move(listening.error()));
    }
    orchestrator::Settings settings;
    settings.service_uri =
        options.service_uri.empty() ? local_uri(*listen, server.port()) : options.service_uri;
    while (settings.service_uri.ends_with('/')) {  // gateways put their path behind it
        settings.service_uri.pop_back();
    }
    settings.version = options.operation.protocol_version;
    settings.secret = *secret;
    settings.price = {options.sell.price_wei, options.sell.price_units};
    auto money = open_earnings(session, options, key, settings.service_uri);
    if (!money) {
        co_await server.stop(Duration::zero());
        co_return fail(std::move(money.error()));
    }
    settings.cashier = money->settings;
    settings.sessions.sessions_max = options.sessions_max;
    settings.store_bytes_max = static_cast<std::size_t>(*store);
    role = orchestrator::make_orchestrator(ports_of(session, key, *money), settings);
    wire::OrchestratorServerSettings wire_settings;
    wire_settings.service_uri = settings.service_uri;
    routes = std::make_unique<wire::OrchestratorServer>(
        wire::ServerPorts{*role, session.client, session.clock, session.pool, session.log}, wire_settings
    );
    MetricsListener metrics(session, [&](MetricsWriter& out) {
        orchestrator::dump(out, role->stats());
        wire::dump(out, routes->stats());
        if (money->receipts) {
            pay::dump(out, money->receipts->desk().stats());
        }
    });
    FG_CO_CHECK(metrics.listen(options.operation.admin_listen));
    session.before_stop = [&] { return drain(session, *role, options.operation.drain_seconds); };
    session.log.info("orchestrator.listening", {{"uri", settings.service_uri}});
    announce_ready(settings.service_uri);
    // Results that are being fetched have as long as the jobs had.
    const AtExit books([&] { log_books(session.log, "orchestrator.balance", role->books()); });
    const auto grace =
        std::max(std::chrono::seconds(1), std::chrono::seconds(options.operation.drain_seconds));
    (void)co_await with_cleanup<bool>(
        serve_role(session, *role, options.sell, money->receipts.get()),
        shut_down(server, metrics, *role, grace, money->receipts.get())
    );
    co_return kExitOk;
}

}  // namespace

void add_orchestrator_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<OrchestratorOptions>();
    auto* command = app.add_subcommand("orchestrator", "Sell the capacity of workers to gateways");
    add_listen_options(*command, options->listen, true);
    command->add_option("--service-uri", options->service_uri, "as gateways and workers reach this node")
        ->envname("FRAMEGRID_SERVICE_URI");
    command->add_option("--secret", options->secret, "shared with workers")->envname("FRAMEGRID_SECRET");
    command->add_option("--secret-file", options->secret_file, "file whose first line is the secret");
    command->add_option("--max-sessions", options->sessions_max, "streams served at once")
        ->capture_default_str();
    add_sell_options(*command, options->sell);
    add_ledger_options(*command, options->ledger);
    command->add_option(
        "--key", options->key_file, "key file that signs results and is paid (see 'framegrid key')"
    );
    command->add_option("--key-password-file", options->password_file, "file with the key file's password");
    add_receipts_option(*command, options->receipts);
    command->add_option("--store", options->store, "memory for inputs and results that peers fetch")
        ->capture_default_str();
    add_operation_options(*command, options->operation);
    command->footer(
        "Example:\n  FRAMEGRID_SECRET=... framegrid orchestrator --listen 0.0.0.0:8935 "
        "--service-uri https://node.example:8935"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "orchestrator", 2);
            session.reloads = true;
            return session.run([&] { return serve(session, *options); });
        };
    });
}

}  // namespace framegrid::app
