#include <framegrid/http/server.hpp>

#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <framegrid/http/server_core.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kScratchBytes = 64 * 1024;
constexpr std::size_t kFirstBytesMax = 4 * 1024;
constexpr Duration kTickMin = std::chrono::milliseconds(5);
constexpr Duration kTickMax = std::chrono::seconds(1);
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);  // after running out of file descriptors

struct Opened {
    std::unique_ptr<Transport> transport;
    bool http2 = false;
    Bytes initial;  // read while finding out
};

Task<void> run_handler(std::shared_ptr<ServerCore> core, std::shared_ptr<ServedStream> stream) {
    Exchange exchange{std::move(stream->request), *stream, *stream};
    co_await core->handler(exchange);
}

// Clear text: HTTP/2 starts with its preface, anything else is HTTP/1.1.
Task<Result<Opened>> open_clear(Socket socket) {
    Opened out;
    for (;;) {
        co_await socket.async_wait(Socket::wait_read, asio::as_tuple(asio::use_awaitable));
        std::array<std::uint8_t, kFirstBytesMax> buffer;  // NOLINT: filled before it is read
        ErrorCode code;
        const std::size_t n = socket.read_some(asio::buffer(buffer), code);
        if (code == asio::error::would_block) {
            continue;
        }
        if (code) {
            co_return fail(Errc::kUnavailable, "closed before the first request");
        }
        out.initial.insert(
            out.initial.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n)
        );
        const std::string_view text = as_text(out.initial).substr(0, kPreface.size());
        out.http2 = text == kPreface;
        if (out.http2 || !kPreface.starts_with(text)) {
            break;
        }
    }
    out.transport = make_plain_transport(std::move(socket));
    co_return out;
}

Task<Result<Opened>> open_tls(TlsContext context, Socket socket) {
    FG_CO_TRY(connected, co_await accept_tls(std::move(context), std::move(socket)));
    Opened out;
    out.transport = std::move(connected.transport);
    out.http2 = connected.http2;
    co_return out;
}

Task<void> set_up(std::shared_ptr<ServerCore> core, std::optional<TlsContext> tls, Socket socket) {
    prepare(socket);
    std::string peer = peer_of(socket);
    const Deadline deadline = Deadline::after(core->clock, core->settings.header_time_max);
    Task<Result<Opened>> opening = tls ? open_tls(*tls, std::move(socket)) : open_clear(std::move(socket));
    auto opened = co_await with_deadline<Opened>(core->clock, deadline, std::move(opening));
    if (!opened) {
        if (opened.error().code == Errc::kProtocol) {
            ++core->stats.protocol_errors;
        }
        core->log.debug("http.connection_failed", {{"peer", peer}, {"error", opened.error().message}});
        co_return;
    }
    if (core->stopping) {
        co_return;
    }
    auto start = opened->http2 ? start_h2_connection : start_h1_connection;
    start(core, std::move(opened->transport), std::move(peer), tls.has_value(), opened->initial);
}

Task<void> accept_loop(std::shared_ptr<ServerCore> core, std::shared_ptr<Acceptor> acceptor) {
    while (acceptor->is_open()) {
        auto [code, socket] = co_await acceptor->async_accept(asio::as_tuple(asio::use_awaitable));
        if (code == asio::error::operation_aborted || !acceptor->is_open()) {
            co_return;
        }
        if (code) {
            core->log.warn("http.accept_failed", {{"error", code.message()}});
            co_await sleep_for(core->clock, kAcceptPause);
            continue;
        }
        ++core->stats.connections;
        // Two entries of the group are this loop and the time limits.
        const std::size_t open = core->connections.size() + core->setups.size() - 2;
        if (open >= core->settings.connections_max ||
            !core->setups.spawn(set_up(core, core->tls, std::move(socket)))) {
            ++core->stats.refused;
        }
    }
}

Duration tick_period(const ServerSettings& settings) {
    Duration shortest = std::min<Duration>(settings.header_time_max, settings.body_stall_max);
    shortest = std::min<Duration>(shortest, settings.idle_time_max);
    if (settings.ping_period.count() > 0) {
        shortest = std::min<Duration>(shortest, settings.ping_period);
    }
    return std::clamp(shortest / 4, kTickMin, kTickMax);
}

Task<void> tick_loop(std::shared_ptr<ServerCore> core) {
    const Duration period = tick_period(core->settings);
    for (;;) {
        co_await sleep_for(core->clock, period);
        const TimePoint now = core->clock.now();
        std::vector<std::shared_ptr<ServerConnection>> connections;
        connections.reserve(core->connections.size());
        for (const auto& [key, connection] : core->connections) {
            connections.push_back(connection);
        }
        for (const auto& connection : connections) {
            connection->tick(now);
        }
    }
}

}  // namespace

ServerCore::ServerCore(
    Executor executor_in, Clock& clock_in, ServerSettings settings_in, Handler handler_in, Logger log_in
)
    : executor(std::move(executor_in)),
      clock(clock_in),
      settings(std::move(settings_in)),
      handler(std::move(handler_in)),
      log(std::move(log_in)),
      handlers(executor),
      setups(executor, settings.connections_max + 2, log),
      scratch(kScratchBytes) {}

void ServerCore::serve(std::shared_ptr<ServedStream> stream) {
    ++stats.requests;
    ServedStream* raw = stream.get();
    serving.insert(raw);
    handlers.spawn(
        run_handler(shared_from_this(), stream), stream, raw->task,
        [core = shared_from_this(), raw](std::exception_ptr exception) {
            core->serving.erase(raw);
            if (exception) {
                const Error error = error_from(exception);
                if (error.code != Errc::kCancelled) {
                    core->log.error("http.handler_failed", {{"error", error.message}});
                }
            }
            raw->on_handler_ended(core->stopping);
        }
    );
}

void ServerCore::add(std::shared_ptr<ServerConnection> connection) {
    ServerConnection* key = connection.get();
    connections.emplace(key, std::move(connection));
    stats.connections_open = connections.size();
}

void ServerCore::remove(ServerConnection* connection) {
    connections.erase(connection);
    stats.connections_open = connections.size();
    changed.notify_all();
}

void ServerCore::cancel_handlers() {
    std::vector<ServedStream*> running(serving.begin(), serving.end());
    for (ServedStream* stream : running) {
        if (serving.contains(stream)) {
            stream->task.cancel();
        }
    }
}

class Server::Impl {
  public:
    Impl(Executor executor, Clock& clock, ServerSettings settings, Handler handler, Logger log)
        : core_(std::make_shared<ServerCore>(
              std::move(executor), clock, std::move(settings), std::move(handler), std::move(log)
          )) {}

    ~Impl() { end(make_error(Errc::kCancelled, "the server is gone")); }

    Result<void> listen();
    Result<void> reload_certificate();
    Task<void> stop(Duration grace);
    std::uint16_t port() const { return port_; }
    const ServerStats& stats() const { return core_->stats; }

  private:
    void end(const Error& why);
    static Task<Result<void>> wait_idle(std::shared_ptr<ServerCore> core);

    std::shared_ptr<ServerCore> core_;
    std::shared_ptr<Acceptor> acceptor_;
    std::uint16_t port_ = 0;
};

Result<void> Server::Impl::listen() {
    const auto& settings = core_->settings;
    FG_CHECK(reload_certificate());
    const std::string where = settings.address + ":" + std::to_string(settings.port);
    ErrorCode code;
    const auto address = asio::ip::make_address(settings.address, code);
    if (code) {
        return fail(
            Errc::kInvalidArgument, "not an IP address to listen on: " + printable(settings.address),
            "address"
        );
    }
    const asio::ip::tcp::endpoint endpoint(address, settings.port);
    auto acceptor = std::make_shared<Acceptor>(core_->executor);
    acceptor->open(endpoint.protocol(), code);
    if (!code) {
        acceptor->set_option(Acceptor::reuse_address(true), code);
    }
    if (!code) {
        acceptor->bind(endpoint, code);
    }
    if (!code) {
        acceptor->listen(asio::socket_base::max_listen_connections, code);
    }
    if (code) {
        return fail(
            Errc::kIo,
            "cannot listen on " + where + ": " + code.message() + "; choose another port or address", "port"
        );
    }
    port_ = acceptor->local_endpoint(code).port();
    acceptor_ = std::move(acceptor);
    core_->setups.spawn(tick_loop(core_));
    core_->setups.spawn(accept_loop(core_, acceptor_));
    return {};
}

Result<void> Server::Impl::reload_certificate() {
    const auto& settings = core_->settings;
    if (settings.tls) {
        FG_TRY(context, TlsContext::make_server(settings.tls_files, settings.host_name));
        core_->tls = std::move(context);
    }
    return {};
}

void Server::Impl::end(const Error& why) {
    core_->stopping = true;
    if (acceptor_) {
        ErrorCode ignored;
        acceptor_->close(ignored);
    }
    core_->setups.cancel();
    core_->cancel_handlers();
    while (!core_->connections.empty()) {
        const auto connection = core_->connections.begin()->second;
        connection->abort(why);
        core_->remove(connection.get());
    }
}

Task<Result<void>> Server::Impl::wait_idle(std::shared_ptr<ServerCore> core) {
    while (!core->connections.empty()) {
        co_await core->changed.wait();
    }
    co_return Result<void>{};
}

Task<void> Server::Impl::stop(Duration grace) {
    const auto core = core_;
    core->stopping = true;
    if (acceptor_) {
        ErrorCode ignored;
        acceptor_->close(ignored);
    }
    std::vector<std::shared_ptr<ServerConnection>> connections;
    for (const auto& [key, connection] : core->connections) {
        connections.push_back(connection);
    }
    for (const auto& connection : connections) {
        connection->drain();
    }
    connections.clear();
    if (grace > Duration::zero()) {
        const Deadline deadline = Deadline::after(core->clock, grace);
        Task<Result<void>> idle = wait_idle(core);
        co_await with_deadline<void>(core->clock, deadline, std::move(idle));
    }
    end(make_error(Errc::kCancelled, "the server is stopping"));
    co_await core->setups.join();
    co_await core->handlers.join();
}

Server::Server(Executor executor, Clock& clock, ServerSettings settings, Handler handler, Logger log)
    : impl_(std::make_unique<Impl>(
          std::move(executor), clock, std::move(settings), std::move(handler), std::move(log)
      )) {}
Server::~Server() = default;
Result<void> Server::listen() {
    return impl_->listen();
}
std::uint16_t Server::port() const {
    return impl_->port();
}
Result<void> Server::reload_certificate() {
    return impl_->reload_certificate();
}
Task<void> Server::stop(Duration grace) {
    return impl_->stop(grace);
}
const ServerStats& Server::stats() const {
    return impl_->stats();
}

void dump(MetricsWriter& out, const ServerStats& stats) {
    out.counter("framegrid_http_server_connections_total", stats.connections);
    out.counter("framegrid_http_server_connections_refused_total", stats.refused);
    out.counter("framegrid_http_server_requests_total", stats.requests);
    out.counter("framegrid_http_server_protocol_errors_total", stats.protocol_errors);
    out.gauge("framegrid_http_server_connections_open", static_cast<double>(stats.connections_open));
    out.gauge("framegrid_http_server_streams_open", static_cast<double>(stats.streams_open));
}

}  // namespace framegrid::http
