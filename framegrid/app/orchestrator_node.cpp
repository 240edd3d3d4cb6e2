// `framegrid orchestrator`: composition root of the orchestrator role.
#include <framegrid/app/commands.hpp>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/payments.hpp>
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
    std::string store = "512M";
};

// What a paid node needs: a ledger, and prices.
struct Earnings {
    std::unique_ptr<ledger_sqlite::LedgerFile> ledger;  // null: nothing is paid
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
    return out;
}

Task<Result<int>> serve(Session& session, OrchestratorOptions options) {
    auto secret = resolve_secret(options.secret, options.secret_file);
    auto listen = server_settings(options.listen);
    auto store = parse_bytes(options.store, "store");
    if (!secret || !listen || !store) {
        co_return fail(!secret ? secret.error() : !listen ? listen.error() : store.error());
    }
    std::optional<crypto::PrivateKey> key;
    if (!options.key_file.empty()) {
        auto loaded = load_key(options.key_file, options.password_file);
        if (!loaded) {
            co_return fail(std::move(loaded.error()));
        }
        key.emplace(std::move(*loaded));
    }
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
    orchestrator::Ports ports{
        session.loop.executor(), session.clock, session.random, session.log, key ? &*key : nullptr, {}
    };
    if (money->ledger) {
        auto& ledger = *money->ledger;
        ports.payments.emplace(
            session.pool, ledger.ledger(), ledger.chain(), ledger.winning_tickets(), std::move(*money->prices)
        );
    }
    role = orchestrator::make_orchestrator(std::move(ports), settings);
    wire::OrchestratorServerSettings wire_settings;
    wire_settings.service_uri = settings.service_uri;
    routes = std::make_unique<wire::OrchestratorServer>(
        wire::ServerPorts{*role, session.client, session.clock, session.pool, session.log}, wire_settings
    );
    session.log.info("orchestrator.listening", {{"uri", settings.service_uri}});
    announce_ready(settings.service_uri);
    struct Shut {
        static Task<void> down(http::Server& server, orchestrator::Orchestrator& role) {
            role.stop();
            co_await server.stop(std::chrono::seconds(1));
        }
    };
    (void)co_await with_cleanup<bool>(role->serve(), Shut::down(server, *role));
    log_books(session.log, "orchestrator.balance", role->books());
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
    command->add_option("--store", options->store, "memory for inputs and results that peers fetch")
        ->capture_default_str();
    command->footer(
        "Example:\n  FRAMEGRID_SECRET=... framegrid orchestrator --listen 0.0.0.0:8935 "
        "--service-uri https://node.example:8935"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "orchestrator", 2);
            return session.run([&] { return serve(session, *options); });
        };
    });
}

}  // namespace framegrid::app
