// A small server for third-party tools to talk to: http_echo_server <tls: 0|1> [port]. Prints its port, ends
// on SIGTERM.
#include <charconv>
#include <cstdio>

#include <boost/asio/signal_set.hpp>

#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>

namespace framegrid::http {
namespace {

namespace asio = boost::asio;

// Enough of the body arrives in big pieces; it goes back as it comes.
Task<void> echo(Exchange& exchange) {
    ResponseHead head;
    head.headers.add("content-type", "application/octet-stream");
    const Result<void> started = co_await exchange.response.start(std::move(head));
    while (started) {
        Result<Blob> piece = co_await exchange.body.read();
        if (!piece) {
            co_return;
        }
        if (piece->empty()) {
            break;
        }
        const Result<void> written = co_await exchange.response.write(std::move(*piece));
        if (!written) {
            co_return;
        }
    }
    (void)co_await exchange.response.finish();
}

Task<void> respond(Exchange& exchange, int status, Blob body) {
    ResponseHead head;
    head.status = status;
    head.headers.add("content-type", "text/plain");
    (void)co_await exchange.response.respond(std::move(head), std::move(body));
}

struct Upstream {
    Client& client;
    Clock& clock;
    Url url;
};

Task<void> proxy(Exchange& exchange, Upstream& upstream) {
    Request request;
    request.method = exchange.head.method;
    request.url = upstream.url;
    Result<Blob> body = co_await read_all(exchange.body, 1 << 30);
    if (!body) {
        co_return;
    }
    request.body = std::move(*body);
    const Deadline deadline = Deadline::after(upstream.clock, std::chrono::seconds(20));
    Result<Fetched> got = co_await upstream.client.fetch(std::move(request), 1 << 30, deadline);
    Blob answer = got ? got->body : Blob::copy_of(std::string_view(got.error().message));
    co_await respond(exchange, got ? got->status : status_of(got.error().code), std::move(answer));
}

// /hello, /echo, /bytes?N (N zero bytes), /size (answers the size of what was sent).
Task<void> route(Exchange& exchange, Upstream& upstream) {
    const std::string path(exchange.head.path());
    if (path == "/hello") {
        Blob body = Blob::copy_of("hello\n");
        co_await respond(exchange, 200, std::move(body));
    } else if (path == "/echo") {
        co_await echo(exchange);
    } else if (path == "/bytes") {
        std::size_t size = 0;
        const std::string_view query = exchange.head.query();
        std::from_chars(query.data(), query.data() + query.size(), size);
        Blob body(Bytes(std::min<std::size_t>(size, 1 << 30)));
        co_await respond(exchange, 200, std::move(body));
    } else if (path == "/proxy") {
        co_await proxy(exchange, upstream);
    } else if (path == "/size") {
        Result<Blob> got = co_await read_all(exchange.body, 1 << 30);
        Blob body = Blob::copy_of(got ? std::to_string(got->size()) + "\n" : got.error().message);
        co_await respond(exchange, got ? 200 : status_of(got.error().code), std::move(body));
    } else {
        co_await respond(exchange, 404, Blob{});
    }
}

Task<void> run(asio::io_context& loop, Server& server, Client& client) {
    asio::signal_set signals(loop, SIGTERM, SIGINT);
    (void)co_await signals.async_wait(asio::use_awaitable);
    co_await server.stop(std::chrono::seconds(2));
    co_await client.stop();
    const ServerStats& stats = server.stats();
    std::printf(
        "connections %llu requests %llu protocol_errors %llu open %zu streams %zu\n",
        static_cast<unsigned long long>(stats.connections), static_cast<unsigned long long>(stats.requests),
        static_cast<unsigned long long>(stats.protocol_errors), stats.connections_open, stats.streams_open
    );
}

int serve(bool tls, std::uint16_t port, const std::string& upstream_url) {
    asio::io_context loop(1);
    SteadyClock clock(loop);
    ServerSettings settings;
    settings.tls = tls;
    settings.port = port;
    settings.body_bytes_max = 600'000'000;
    settings.header_bytes_max = 32 * 1024;
    Client client(loop.get_executor(), clock, {}, Logger{});
    Upstream upstream{client, clock, parse_url(upstream_url).value_or(Url{})};
    const auto handler = [&upstream](Exchange& exchange) { return route(exchange, upstream); };
    Server server(loop.get_executor(), clock, settings, handler, Logger{});
    if (const auto listening = server.listen(); !listening) {
        std::fprintf(stderr, "%s\n", listening.error().message.c_str());
        return 1;
    }
    std::printf("%u\n", server.port());
    std::fflush(stdout);
    asio::co_spawn(loop, run(loop, server, client), [](std::exception_ptr) {});
    loop.run();
    return 0;
}

}  // namespace
}  // namespace framegrid::http

int main(int argc, char** argv) {
    const bool tls = argc > 1 && argv[1][0] == '1';
    const int port = argc > 2 ? std::atoi(argv[2]) : 0;
    return framegrid::http::serve(tls, static_cast<std::uint16_t>(port), argc > 3 ? argv[3] : "");
}
