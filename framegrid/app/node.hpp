// What the long-running roles have in common on the command line and in their lives.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/app/session.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/job/capabilities.hpp>

namespace framegrid::app {

struct ListenOptions {
    std::string listen;  // host:port; port 0: any free one
    bool tls = true;
    std::string certificate;  // PEM files; both empty: an ephemeral self-signed certificate
    std::string key;
};

void add_listen_options(CLI::App& command, ListenOptions& options, bool with_tls_switch);

// What orchestrators and workers have in common.
struct OperationOptions {
    int drain_seconds = 25;
    std::string otlp_endpoint;
    std::string admin_listen;                              // host:port; empty: no metrics are served
    std::string protocol_version = job::kProtocolVersion;  // that peers are told
};
void add_operation_options(CLI::App& command, OperationOptions& options);

// host:port -> server settings. kInvalidArgument naming "listen".
Result<http::ServerSettings> server_settings(const ListenOptions& options);
// The URI under which a server on `settings` is reached from this machine.
std::string local_uri(const http::ServerSettings& settings, std::uint16_t port);

// Shared secret between an orchestrator and its workers: the option, else the file's first line, else
// $FRAMEGRID_SECRET (through the option's environment name).
Result<std::string> resolve_secret(const std::string& secret, const std::string& secret_file);

// "a,b,c" -> parts, empty ones dropped.
std::vector<std::string> split_list(const std::string& text);
// "512", "512M", "2G", "2GiB" -> bytes. kInvalidArgument naming `field`.
Result<std::int64_t> parse_bytes(const std::string& text, const std::string& field);

// Where `framegrid model add` and `pull` put models: $XDG_DATA_HOME/framegrid/models or
// ~/.local/share/framegrid/models. Not created.
host::Path own_model_directory();
// Where models are looked for: `option` (comma list), else $FRAMEGRID_MODELS, else beside this program and
// own_model_directory(). Only directories that exist.
std::vector<std::string> model_directories(const std::string& option);

// Serves /metrics and /healthz of a role in clear text, if the operator wants that.
class MetricsListener {
  public:
    MetricsListener(Session& session, std::function<void(MetricsWriter&)> dump)
        : session_(session), dump_(std::move(dump)) {}
    // An empty address: nothing. kInvalidArgument, kIo.
    Result<void> listen(const std::string& address);
    Task<void> stop();

  private:
    Task<void> serve(http::Exchange& exchange);

    Session& session_;
    std::function<void(MetricsWriter&)> dump_;
    std::optional<http::Server> server_;
};

// Says on standard output that this process can be used (the supervisor waits for this line).
void announce_ready(const std::string& what);

}  // namespace framegrid::app
