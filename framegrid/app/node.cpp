#include <framegrid/app/node.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include <framegrid/app/keys.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

void add_listen_options(CLI::App& command, ListenOptions& options, bool with_tls_switch) {
    command.add_option("--listen", options.listen, "host:port to listen on; port 0: any free one")
        ->capture_default_str();
    command.add_option(
        "--tls-certificate", options.certificate, "PEM file; without it an ephemeral certificate"
    );
    command.add_option("--tls-key", options.key, "PEM file of the certificate's key");
    if (with_tls_switch) {
        command.add_flag("--tls,!--no-tls", options.tls, "serve over TLS, or in clear text");
    }
}

void add_operation_options(CLI::App& command, OperationOptions& options) {
    command
        .add_option(
            "--drain-seconds", options.drain_seconds, "time for what runs after SIGTERM; nothing new is taken"
        )
        ->check(CLI::Range(0, 24 * 3600))
        ->capture_default_str();
    add_telemetry_option(command, options.otlp_endpoint);
    command.add_option(
        "--admin-listen", options.admin_listen, "host:port that serves /metrics and /healthz; default: none"
    );
    command
        .add_option(
            "--protocol-version", options.protocol_version,
            "version that peers are told; nodes of the original refuse older than their own minimum"
        )
        ->capture_default_str();
}

Result<void> MetricsListener::listen(const std::string& address) {
    if (address.empty()) {
        return {};
    }
    auto settings = server_settings({.listen = address, .tls = false, .certificate = "", .key = ""});
    if (!settings) {
        settings.error().field = "admin-listen";
        return fail(std::move(settings.error()));
    }
    server_.emplace(
        session_.loop.executor(), session_.clock, *settings,
        [this](http::Exchange& exchange) { return serve(exchange); }, session_.log
    );
    if (auto listening = server_->listen(); !listening) {
        return fail(std::move(listening.error()).with_context("--admin-listen"));
    }
    session_.log.info("app.admin_listening", {{"uri", local_uri(*settings, server_->port())}});
    return {};
}

Task<void> MetricsListener::serve(http::Exchange& exchange) {
    http::ResponseHead head;
    head.headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}};
    PrometheusText text;
    if (exchange.head.path() == "/metrics") {
        dump_(text);
        session_.dump(text);
        if (server_) {
            http::dump(text, server_->stats());
        }
    } else if (exchange.head.path() != "/healthz") {
        head.status = 404;
    }
    (void)co_await exchange.response.respond(std::move(head), Blob(to_bytes(text.text())));
}

Task<void> MetricsListener::stop() {
    if (server_) {
        co_await server_->stop(std::chrono::seconds(1));
    }
}

Result<http::ServerSettings> server_settings(const ListenOptions& options) {
    http::ServerSettings settings;
    const auto colon = options.listen.rfind(':');
    if (colon == std::string::npos) {
        return fail(Errc::kInvalidArgument, "--listen wants host:port, for example 127.0.0.1:8935", "listen");
    }
    settings.address = options.listen.substr(0, colon);
    if (settings.address.starts_with('[') && settings.address.ends_with(']')) {
        settings.address = settings.address.substr(1, settings.address.size() - 2);
    }
    const std::string port = options.listen.substr(colon + 1);
    char* end = nullptr;
    const auto number = std::strtoul(port.c_str(), &end, 10);
    if (port.empty() || *end != '\0' || number > 65'535) {
        return fail(Errc::kInvalidArgument, "'" + port + "' is not a port number", "listen");
    }
    settings.port = static_cast<std::uint16_t>(number);
    settings.tls = options.tls;
    settings.tls_files = {options.certificate, options.key};
    return settings;
}

std::string local_uri(const http::ServerSettings& settings, std::uint16_t port) {
    const bool any = settings.address == "0.0.0.0" || settings.address == "::";
    const bool six = !any && settings.address.find(':') != std::string::npos;
    const std::string host = any ? "127.0.0.1" : six ? "[" + settings.address + "]" : settings.address;
    return fmt::format("{}://{}:{}", settings.tls ? "https" : "http", host, port);
}

Result<std::string> resolve_secret(const std::string& secret, const std::string& secret_file) {
    if (!secret_file.empty()) {
        return read_secret_file(secret_file);
    }
    if (secret.empty()) {
        return fail(
            Errc::kInvalidArgument,
            "orchestrators and workers share a secret: set FRAMEGRID_SECRET or use --secret-file", "secret"
        );
    }
    return secret;
}

std::vector<std::string> split_list(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    while (from <= text.size()) {
        const auto comma = std::min(text.find(',', from), text.size());
        if (comma > from) {
            parts.push_back(text.substr(from, comma - from));
        }
        from = comma + 1;
    }
    return parts;
}

Result<std::int64_t> parse_bytes(const std::string& text, const std::string& field) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    std::string unit(end);
    while (unit.ends_with('B') || unit.ends_with('i')) {
        unit.pop_back();
    }
    const std::string units = " KMGT";
    const auto power = unit.empty() ? 0 : units.find(unit);
    if (end == text.c_str() || number < 0 || unit.size() > 1 || power == std::string::npos) {
        return fail(Errc::kInvalidArgument, "'" + text + "' is not a size; write 512M or 2G", field);
    }
    double bytes = number;
    for (std::size_t i = 0; i < power; ++i) {
        bytes *= 1024;
    }
    return static_cast<std::int64_t>(std::min(bytes, 9e18));
}

host::Path own_model_directory() {
    return host::data_dir() / "models";
}

std::vector<std::string> model_directories(const std::string& option) {
    std::vector<std::string> wanted = split_list(option);
    if (wanted.empty()) {
        if (const char* value = std::getenv("FRAMEGRID_MODELS")) {
            wanted = split_list(value);
        }
    }
    if (wanted.empty()) {
        if (const auto program = host::executable_path()) {
            const auto folder = program->parent_path();
            // Installed beside bin/, or in a build tree two levels under the sources.
            for (const auto& place : {folder / "../share/framegrid/models", folder / "../../models"}) {
                wanted.push_back(place.lexically_normal().string());
            }
        }
        wanted.push_back(own_model_directory().string());
    }
    std::vector<std::string> found;
    for (const auto& folder : wanted) {
        if (std::filesystem::is_directory(folder)) {
            found.push_back(folder);
        }
    }
    return found;
}

void announce_ready(const std::string& what) {
    std::printf("%s\n", ready_line(what).c_str());
    std::fflush(stdout);
}

}  // namespace framegrid::app
