#include <framegrid/app/session.hpp>

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/version.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

constexpr Duration kFlushTimeMax = std::chrono::seconds(2);
constexpr std::size_t kInstanceBytes = 8;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

struct Outcome {
    std::optional<Result<int>> result;
    bool interrupted = false;
    OneShot done;
};

Task<void> run_into(std::shared_ptr<Outcome> outcome, std::function<Task<Result<int>>()> main) {
    struct Fire {
        std::shared_ptr<Outcome> outcome;
        ~Fire() { outcome->done.fire(); }
    };
    const Fire fire{outcome};
    outcome->result = co_await main();
}

Task<void> fire_on_signal(OneShot fired, const Executor executor) {
    host::StopSignals signals(executor);
    (void)co_await signals.next();
    fired.fire();
}

Task<void> fire_after(OneShot fired, Task<void> work) {
    co_await std::move(work);
    fired.fire();
}

// Until it is over or another signal comes.
Task<void> in_spite_of_signals(const Executor executor, Logger log, Task<void> work) {
    const OneShot over;
    TaskGroup both(executor, 2, log);
    both.spawn(fire_on_signal(over, executor));
    both.spawn(fire_after(over, std::move(work)));
    co_await over.wait();
    co_await both.close();
}

Task<void> interrupt_on_signal(std::shared_ptr<Outcome> outcome, const Executor executor) {
    host::StopSignals signals(executor);
    (void)co_await signals.next();
    outcome->interrupted = true;
    outcome->done.fire();
}

}  // namespace

namespace {

host::LogSettings log_settings(const CommonOptions& options, const std::string& role) {
    host::LogSettings settings;
    settings.level = host::parse_log_level(options.log_level).value_or(LogLevel::kWarn);
    settings.role = role;
    settings.format = options.log_format == "json" ? host::LogFormat::kJson : host::LogFormat::kText;
    return settings;
}

}  // namespace

Logger process_logger(const CommonOptions& options, const std::string& role) {
    return host::make_stderr_logger(log_settings(options, role));
}

Session::Session(const CommonOptions& options, const std::string& role, std::size_t threads)
    : common(options),
      stderr_log(host::make_changeable_log(log_settings(options, role))),
      log(stderr_log.log),
      clock(loop.executor()),
      pool(threads),
      client(loop.executor(), clock, {}, log),
      role_(role) {}

int Session::run(std::function<Task<Result<int>>()> main) {
    const auto result = loop.run_main(guarded(std::move(main)));
    if (!result) {
        print_error(common, result.error());
        return kExitFailed;
    }
    return *result;
}

Task<Result<int>> Session::guarded(std::function<Task<Result<int>>()> main) {
    const auto outcome = std::make_shared<Outcome>();
    TaskGroup work(loop.executor(), 1, log);
    TaskGroup watch(loop.executor(), 3, log);
    work.spawn(run_into(outcome, std::move(main)));
    watch.spawn(interrupt_on_signal(outcome, loop.executor()));
    if (reloads) {
        watch.spawn(reload_log());
    }
    if (exporter_) {
        watch.spawn(send_spans());
    }
    co_await outcome->done.wait();
    if (outcome->interrupted && before_stop) {
        co_await in_spite_of_signals(loop.executor(), log, before_stop());
        before_stop = nullptr;
    }
    co_await work.close();
    co_await watch.close();
    if (exporter_) {
        co_await exporter_->flush(Deadline::after(clock, kFlushTimeMax));
    }
    co_await client.stop();
    if (outcome->interrupted) {
        co_return kExitInterrupted;
    }
    if (!outcome->result) {
        co_return fail(
            Errc::kInternal, "the command ended without a result; run it again with --log-level debug"
        );
    }
    co_return std::move(*outcome->result);
}

// What the command line says of logging must not change; the file and the environment may.
Task<void> Session::reload_log() {
    host::ReloadSignals signals(loop.executor());
    for (;;) {
        (void)co_await signals.next();
        CommonOptions fresh;
        Run unused;
        CLI::App app;
        add_common_options(app, fresh);
        add_all_commands(app, fresh, unused);
        if (const auto parsed = parse_arguments(app, common.arguments); !parsed) {
            log.error("app.log_not_reloaded", {{"error", parsed.error().message}});
            continue;
        }
        const auto settings = log_settings(fresh, role_);
        stderr_log.change(settings.level, settings.format);
        log.info("app.log_reloaded", {{"level", fresh.log_level}, {"format", fresh.log_format}});
    }
}

Result<void> Session::trace_to(const std::string& otlp_endpoint) {
    if (otlp_endpoint.empty()) {
        return {};
    }
    telemetry::ExporterSettings settings;
    auto url = telemetry::traces_url(otlp_endpoint);
    if (!url) {
        return fail(std::move(url.error()).with_context("--otlp-endpoint"));
    }
    settings.url = std::move(*url);
    FG_TRY(headers, telemetry::parse_export_headers(environment("OTEL_EXPORTER_OTLP_HEADERS")));
    settings.headers = std::move(headers);
    const auto name = environment("OTEL_SERVICE_NAME");
    settings.resource = {
        name.empty() ? "framegrid-" + role_ : name, version_text(), random.hex(kInstanceBytes)
    };
    exporter_ = std::make_unique<telemetry::OtlpExporter>(client, clock, log, std::move(settings));
    tracer = Tracer(*exporter_, clock, random);
    return {};
}

Task<void> Session::send_spans() {
    return exporter_->serve();
}

void Session::dump(MetricsWriter& out) const {
    if (exporter_) {
        telemetry::dump(out, exporter_->stats());
    }
}

void add_telemetry_option(CLI::App& command, std::string& otlp_endpoint) {
    command
        .add_option(
            "--otlp-endpoint", otlp_endpoint,
            "OpenTelemetry collector that gets spans over HTTP, for example http://127.0.0.1:4318"
        )
        ->envname("OTEL_EXPORTER_OTLP_ENDPOINT");
}

void print_error(const CommonOptions& common, const Error& error) {
    if (common.json) {
        boost::json::object body{{"code", to_string(error.code)}, {"message", error.message}};
        if (!error.field.empty()) {
            body["field"] = error.field;
        }
        std::printf("%s\n", boost::json::serialize(boost::json::object{{"error", std::move(body)}}).c_str());
        return;
    }
    const host::Colours colours{host::has_colours(2)};
    const std::string field = error.field.empty() ? "" : " (" + error.field + ")";
    std::fprintf(
        stderr, "%s %s%s\n", colours.red("framegrid:").c_str(), error.message.c_str(), field.c_str()
    );
}

namespace {

Task<bool> answers(Session& session, std::string url) {
    auto parsed = http::parse_url(url + "/healthz");
    if (!parsed) {
        co_return false;
    }
    http::Request request;
    request.url = std::move(*parsed);
    const Deadline deadline = Deadline::after(session.clock, std::chrono::milliseconds(500));
    auto fetched = co_await session.client.fetch(std::move(request), 4096, deadline);
    co_return fetched && fetched->status == 200;
}

}  // namespace

Task<Result<GatewayAccess>> reach_gateway(
    Session& session, std::string wanted, LocalNetworkSettings settings
) {
    GatewayAccess access;
    if (!wanted.empty()) {
        if (auto parsed = http::parse_url(wanted); !parsed) {
            co_return fail(std::move(parsed.error()).with_context("--gateway"));
        }
        while (wanted.ends_with('/')) {
            wanted.pop_back();
        }
        access.url = std::move(wanted);
        co_return access;
    }
    const bool running = co_await answers(session, kDefaultGateway);
    if (running) {
        access.url = kDefaultGateway;
        co_return access;
    }
    auto logs = host::TempDir::make("framegrid-network");
    if (!logs) {
        co_return fail(std::move(logs.error()));
    }
    access.logs = std::make_unique<host::TempDir>(std::move(*logs));
    settings.log_dir = access.logs->path();
    auto network = co_await LocalNetwork::start(
        session.loop.executor(), session.clock, session.random, session.log, std::move(settings)
    );
    if (!network) {
        co_return fail(std::move(network.error()));
    }
    access.network = std::move(*network);
    access.url = access.network->gateway_url();
    co_return access;
}

Task<void> leave_gateway(GatewayAccess& access) {
    if (access.network) {
        co_await access.network->stop();
    }
}

}  // namespace framegrid::app
