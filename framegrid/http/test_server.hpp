// For tests: a server with a set of handlers and a client, over loopback sockets in one loop.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::http {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Mode {
    bool tls;
    bool http2;
};

// What the handlers did, for the tests to look at.
struct Seen {
    int cancelled = 0;
    int running = 0;
    std::size_t received = 0;
    std::size_t sent = 0;
    std::optional<Error> write_error;
    std::optional<Error> read_error;
    RequestHead head;
    std::shared_ptr<OneShot> go = std::make_shared<OneShot>();
};

struct Running {
    explicit Running(Seen& s) : seen(s) { ++seen.running; }
    ~Running() {
        --seen.running;
        seen.cancelled += ended ? 0 : 1;
    }
    Seen& seen;
    bool ended = false;
};

inline Task<void> echo(Exchange& exchange) {
    ResponseHead head;
    head.headers.add("content-type", "application/octet-stream");
    (void)co_await exchange.response.start(std::move(head));
    for (;;) {
        Result<Blob> piece = co_await exchange.body.read();
        if (!piece || piece->empty()) {
            break;
        }
        const Result<void> written = co_await exchange.response.write(std::move(*piece));
        if (!written) {
            co_return;
        }
    }
    Headers trailers = exchange.body.trailers();
    (void)co_await exchange.response.finish(std::move(trailers));
}

inline Task<void> respond_text(Exchange& exchange, int status, std::string text) {
    ResponseHead head;
    head.status = status;
    head.headers.add("content-type", "text/plain");
    Blob body = Blob::copy_of(std::string_view(text));
    (void)co_await exchange.response.respond(std::move(head), std::move(body));
}

inline Task<void> early(Exchange& exchange) {
    ResponseHead head;
    (void)co_await exchange.response.start(std::move(head));
    Blob first = Blob::copy_of("early ");
    (void)co_await exchange.response.write(std::move(first));
    const Result<Blob> body = co_await read_all(exchange.body, 1 << 30);
    Blob second = Blob::copy_of(body ? std::to_string(body->size()) : "error");
    (void)co_await exchange.response.write(std::move(second));
    (void)co_await exchange.response.finish();
}

inline Task<void> flood(Exchange& exchange, Seen& seen) {
    ResponseHead head;
    (void)co_await exchange.response.start(std::move(head));
    for (int i = 0; i < 1024; ++i) {
        Blob piece(Bytes(64 * 1024, 'x'));
        const Result<void> written = co_await exchange.response.write(std::move(piece));
        if (!written) {
            seen.write_error = written.error();
            co_return;
        }
        seen.sent += 64 * 1024;
    }
    (void)co_await exchange.response.finish();
}

inline Task<void> route(Exchange& exchange, Seen& seen, Clock& clock) {
    Running running(seen);
    seen.head = exchange.head;
    const std::string path(exchange.head.path());
    if (path == "/echo") {
        co_await echo(exchange);
    } else if (path == "/early") {
        co_await early(exchange);
    } else if (path == "/flood") {
        co_await flood(exchange, seen);
    } else if (path == "/wait") {
        co_await seen.go->wait();
        co_await respond_text(exchange, 200, "waited");
    } else if (path == "/sleep") {
        co_await sleep_for(clock, 20ms);
        co_await respond_text(exchange, 200, "slept");
    } else if (path == "/size") {
        Result<Blob> body = co_await read_all(exchange.body, 1 << 30);
        if (!body) {
            seen.read_error = body.error();
        }
        co_await respond_text(exchange, body ? 200 : 400, body ? std::to_string(body->size()) : "?");
    } else if (path == "/trailers-only") {
        ResponseHead head;
        head.headers.add("content-type", "application/grpc");
        Headers trailers{{"grpc-status", "12"}};
        (void)co_await exchange.response.start(std::move(head));
        (void)co_await exchange.response.finish(std::move(trailers));
    } else if (path == "/throw") {
        throw std::runtime_error("a handler's bug");
    } else if (path == "/half") {
        (void)co_await exchange.response.start(ResponseHead{});
        Blob piece = Blob::copy_of("half");
        (void)co_await exchange.response.write(std::move(piece));
    } else if (path == "/small") {
        co_await respond_text(exchange, 200, "hello");
    } else if (path != "/nothing") {
        co_await respond_text(exchange, 404, "no such path");
    }
    running.ended = true;
}

class HttpTest : public testing::TestWithParam<Mode> {
  public:
    ~HttpTest() override { tear_down(); }

    void start(ServerSettings settings = {}) {
        settings.tls = mode().tls;
        server_ = std::make_unique<Server>(
            loop_.get_executor(), clock_, settings,
            [this](Exchange& exchange) { return route(exchange, seen_, clock_); }, Logger{}
        );
        const auto listening = server_->listen();
        ASSERT_TRUE(listening) << listening.error().message;
    }
    Client& client(ClientSettings settings = {}) {
        if (!client_) {
            settings.cleartext_http2 = mode().http2;
            settings.offer_http2 = mode().http2;
            client_ = std::make_unique<Client>(loop_.get_executor(), clock_, settings, Logger{});
        }
        return *client_;
    }
    virtual Mode mode() const { return GetParam(); }
    Request request(std::string method, std::string target, Blob body = {}) {
        Request out;
        out.method = std::move(method);
        out.url = {mode().tls ? "https" : "http", "127.0.0.1", server_->port(), std::move(target)};
        out.body = std::move(body);
        return out;
    }
    Deadline in(Duration duration) { return Deadline::after(clock_, duration); }

    // Runs the loop until `task` has ended.
    void run(Task<void> task) {
        bool done = false;
        asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr exception) {
            EXPECT_FALSE(exception) << error_from(exception).message;
            done = true;
        });
        loop_.restart();
        while (!done && loop_.run_one() > 0) {
        }
        ASSERT_TRUE(done);
    }
    template <class T>
    T await(Task<T> task) {
        std::optional<T> out;
        const auto store = [](Task<T> inner, std::optional<T>& into) -> Task<void> {
            into.emplace(co_await std::move(inner));
        };
        run(store(std::move(task), out));
        return std::move(*out);
    }
    Result<Fetched> fetch(Request what, Duration limit = 20s) {
        return await(client().fetch(std::move(what), 1 << 30, in(limit)));
    }
    // Runs the loop until `reached`; fails after a while.
    void until(std::function<bool()> reached) {
        const TimePoint give_up = clock_.now() + 10s;
        while (!reached() && clock_.now() < give_up) {
            spin(2ms);
        }
        EXPECT_TRUE(reached());
    }
    void spin(Duration duration) { run(sleep_for(clock_, duration)); }
    void tear_down() {
        if (client_) {
            run(client_->stop());
            client_.reset();
        }
        if (server_) {
            run(server_->stop(Duration::zero()));
            EXPECT_EQ(seen_.running, 0);
            EXPECT_EQ(server_->stats().streams_open, 0u);
            EXPECT_EQ(server_->stats().connections_open, 0u);
            server_.reset();
        }
    }
    // A connection without our client: sends `bytes`, returns what comes back until the server closes.
    std::string raw(std::string bytes) { return await(raw_exchange(server_->port(), std::move(bytes))); }
    static Task<std::string> raw_exchange(std::uint16_t port, std::string bytes) {
        asio::ip::tcp::socket socket(co_await this_executor());
        const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
        co_await socket.async_connect(endpoint, asio::use_awaitable);
        co_await asio::async_write(socket, asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
        std::string out;
        for (;;) {
            std::array<char, 4096> buffer{};
            auto [code, n] =
                co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
            out.append(buffer.data(), n);
            if (code) {
                co_return out;
            }
        }
    }

    asio::io_context loop_{1};
    SteadyClock clock_{loop_};
    Seen seen_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Client> client_;
};

inline Blob pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    }
    return Blob(std::move(bytes));
}

// Produces `pieces` pieces of `size` bytes and trailers.
class Source final : public BodyReader {
  public:
    Source(int pieces, std::size_t size) : left_(pieces), piece_(Bytes(size, 'y')) {}
    Task<Result<Blob>> read() override {
        if (left_ == 0) {
            co_return Blob{};
        }
        --left_;
        ++produced;
        co_return piece_;
    }
    const Headers& trailers() const override { return trailers_; }
    int produced = 0;

  private:
    int left_;
    Blob piece_;
    Headers trailers_{{"x-checksum", "1234"}};
};

}  // namespace framegrid::http
