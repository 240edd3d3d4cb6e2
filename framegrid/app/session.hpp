// What a client command runs on: a loop, a clock, threads, a logger and Ctrl-C, and a gateway to talk to.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <framegrid/app/commands.hpp>
#include <framegrid/app/local_network.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/host/log_sink.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/host/signals.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/telemetry/otlp_exporter.hpp>

namespace framegrid::app {

// Made on the main thread, in this order; destroyed in reverse.
struct Session {
    explicit Session(const CommonOptions& options, const std::string& role, std::size_t threads = 2);

    CommonOptions common;
    host::StderrLog stderr_log;
    Logger log;
    host::Loop loop;
    host::SteadyClock clock;
    host::SystemRandom random;
    host::ThreadPool pool;
    http::Client client;

    // Runs `main` until it ends or Ctrl-C/SIGTERM cancels it; prints an error for people (or as JSON) and
    // returns the process's exit code.
    int run(std::function<Task<Result<int>>()> main);
    // What is done after the first signal and before `main` is cancelled: time to bring work to its end. A
    // second signal cuts it short.
    std::function<Task<void>()> before_stop;

    // Of a role that runs for long: SIGHUP reads --log-level and --log-format again instead of ending it.
    bool reloads = false;
    // Records spans when --otlp-endpoint names a collector.
    Result<void> trace_to(const std::string& otlp_endpoint);
    Tracer tracer;
    void dump(MetricsWriter& out) const;

  private:
    Task<Result<int>> guarded(std::function<Task<Result<int>>()> main);
    Task<void> reload_log();
    Task<void> send_spans();

    std::string role_;
    std::unique_ptr<telemetry::OtlpExporter> exporter_;
};

// --otlp-endpoint, for commands that call Session::trace_to().
void add_telemetry_option(CLI::App& command, std::string& otlp_endpoint);

// Logs to standard error as the options say; `role` names the process.
Logger process_logger(const CommonOptions& options, const std::string& role);

// Prints an error as the command line shows it: one line, with the field when there is one.
void print_error(const CommonOptions& common, const Error& error);

// The gateway a client command uses: the one named, else one running at the default address, else a private
// network that lives as long as this object.
struct GatewayAccess {
    std::string url;
    std::unique_ptr<LocalNetwork> network;  // null when the gateway is somebody else's
    std::unique_ptr<host::TempDir> logs;    // the private network's
};

inline constexpr const char* kDefaultGateway = "http://127.0.0.1:9935";

// `wanted`: the --gateway option, or empty.
Task<Result<GatewayAccess>> reach_gateway(
    Session& session, std::string wanted, LocalNetworkSettings settings
);
// Stops the private network, if there is one.
Task<void> leave_gateway(GatewayAccess& access);

}  // namespace framegrid::app
