// Server and client over loopback sockets, in one loop: both protocol versions, TLS and clear text.
#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::http {
namespace {

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

Task<void> echo(Exchange& exchange) {
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

Task<void> respond_text(Exchange& exchange, int status, std::string text) {
    ResponseHead head;
    head.status = status;
    head.headers.add("content-type", "text/plain");
    Blob body = Blob::copy_of(std::string_view(text));
    (void)co_await exchange.response.respond(std::move(head), std::move(body));
}

Task<void> early(Exchange& exchange) {
    ResponseHead head;
    (void)co_await exchange.response.start(std::move(head));
    Blob first = Blob::copy_of("early ");
    (void)co_await exchange.response.write(std::move(first));
    const Result<Blob> body = co_await read_all(exchange.body, 1 << 30);
    Blob second = Blob::copy_of(body ? std::to_string(body->size()) : "error");
    (void)co_await exchange.response.write(std::move(second));
    (void)co_await exchange.response.finish();
}

Task<void> flood(Exchange& exchange, Seen& seen) {
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

Task<void> route(Exchange& exchange, Seen& seen, Clock& clock) {
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

INSTANTIATE_TEST_SUITE_P(
    All, HttpTest,
    testing::Values(Mode{true, true}, Mode{true, false}, Mode{false, true}, Mode{false, false}),
    [](const auto& test) {
        return std::string(test.param.tls ? "Tls" : "Clear") + (test.param.http2 ? "Http2" : "Http11");
    }
);

Blob pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    }
    return Blob(std::move(bytes));
}

TEST_P(HttpTest, SmallRequest) {
    start();
    Request what = request("GET", "/small?a=b");
    what.headers.add("x-test", "one");
    const auto got = fetch(std::move(what));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 200);
    EXPECT_EQ(got->body.text(), "hello");
    EXPECT_EQ(got->headers.get("content-type"), "text/plain");
    EXPECT_EQ(seen_.head.query(), "a=b");
    EXPECT_EQ(seen_.head.headers.get("x-test"), "one");
    EXPECT_EQ(seen_.head.authority, "127.0.0.1:" + std::to_string(server_->port()));
    EXPECT_EQ(seen_.head.scheme, mode().tls ? "https" : "http");
    EXPECT_EQ(seen_.head.version, mode().http2 ? Version::kHttp2 : Version::kHttp11);
    EXPECT_TRUE(seen_.head.peer.starts_with("127.0.0.1:"));
}

TEST_P(HttpTest, ConnectionIsReused) {
    start();
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(fetch(request("POST", "/echo", Blob::copy_of("x"))).value().body.text(), "x");
    }
    EXPECT_EQ(server_->stats().connections, 1u);
    EXPECT_EQ(server_->stats().requests, 20u);
}

TEST_P(HttpTest, LargeBodyBothWays) {
    start();
    const Blob body = pattern(20'000'000);
    const auto got = fetch(request("POST", "/echo", body));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(std::ranges::equal(got->body.view(), body.view()));
}

TEST_P(HttpTest, HeadHasNoBody) {
    start();
    for (int i = 0; i < 2; ++i) {
        const auto got = fetch(request("HEAD", "/small"));
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(got->headers.get("content-length"), "5");
        EXPECT_TRUE(got->body.empty());
    }
    EXPECT_EQ(server_->stats().connections, 1u);
}

TEST_P(HttpTest, HandlersFaults) {
    start();
    EXPECT_EQ(fetch(request("GET", "/throw")).value().status, 500);
    EXPECT_EQ(fetch(request("GET", "/nothing")).value().status, 500);
    EXPECT_EQ(fetch(request("GET", "/else")).value().status, 404);
    const auto half = fetch(request("GET", "/half"));
    ASSERT_FALSE(half);
    EXPECT_EQ(half.error().code, Errc::kUnavailable);
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
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

TEST_P(HttpTest, StreamedBodyAndTrailers) {
    start();
    Source source(100, 10'000);
    Request what = request("POST", "/echo");
    what.body_source = &source;
    const auto got = fetch(std::move(what));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->body.size(), 1'000'000u);
    EXPECT_EQ(got->trailers.get("x-checksum"), "1234");
}

TEST_P(HttpTest, TrailersWithoutBody) {
    start();
    const auto got = fetch(request("POST", "/trailers-only"));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->trailers.get("grpc-status"), "12");
}

TEST_P(HttpTest, EarlyResponseWhileTheBodyIsSent) {
    start();
    // Ends only after the head of the response has been seen.
    class Gated final : public BodyReader {
      public:
        explicit Gated(OneShot gate) : gate_(std::move(gate)) {}
        Task<Result<Blob>> read() override {
            const OneShot gate = gate_;
            if (sent_++ == 0) {
                co_return Blob::copy_of("first");
            }
            co_await gate.wait();
            co_return sent_ == 2 ? Blob::copy_of("second") : Blob{};
        }
        const Headers& trailers() const override { return none_; }

      private:
        OneShot gate_;
        int sent_ = 0;
        Headers none_;
    };
    const auto talk = [](HttpTest& test) -> Task<void> {
        OneShot gate;
        Gated source(gate);
        Request what = test.request("POST", "/early");
        what.body_source = &source;
        Result<Response> response = co_await test.client().open(std::move(what), test.in(5s));
        EXPECT_TRUE(response);
        if (!response) {
            co_return;
        }
        const Result<Blob> first = co_await response->body->read();
        EXPECT_EQ(first.value().text(), "early ");
        gate.fire();
        const Result<Blob> rest = co_await read_all(*response->body, 100);
        EXPECT_EQ(rest.value().text(), "11");
    };
    run(talk(*this));
}

TEST_P(HttpTest, SlowReaderHoldsTheSenderBack) {
    start();
    const auto talk = [](HttpTest& test) -> Task<void> {
        Result<Response> response = co_await test.client().open(test.request("GET", "/flood"), test.in(5s));
        EXPECT_TRUE(response);
        co_await sleep_for(test.clock_, 300ms);
        // 64 MiB are waiting to be sent; only what the windows and socket buffers hold may have left.
        EXPECT_LT(test.seen_.sent, 24u << 20);
        std::size_t total = 0;
        for (;;) {
            Result<Blob> piece = co_await response->body->read();
            EXPECT_TRUE(piece);
            if (!piece || piece->empty()) {
                break;
            }
            total += piece->size();
        }
        EXPECT_EQ(total, 64u << 20);
    };
    run(talk(*this));
}

TEST_P(HttpTest, SlowHandlerHoldsTheClientBack) {
    start();
    const auto talk = [](HttpTest& test) -> Task<void> {
        Source source(1000, 64 * 1024);
        Request what = test.request("POST", "/wait");
        what.body_source = &source;
        const Result<Response> response = co_await test.client().open(std::move(what), test.in(300ms));
        EXPECT_FALSE(response);
        EXPECT_EQ(response.error().code, Errc::kDeadline);
        EXPECT_LT(source.produced, 24 * 16);
    };
    run(talk(*this));
    until([&] { return seen_.cancelled == 1; });
}

Task<void> count_fetch(Client& client, Request what, Deadline deadline, int& good, int& ended) {
    const Result<Fetched> got = co_await client.fetch(std::move(what), 1000, deadline);
    good += got && got->status == 200 ? 1 : 0;
    ++ended;
}

TEST_P(HttpTest, FiveHundredAtOnce) {
    start();
    int good = 0;
    int ended = 0;
    TaskGroup group(loop_.get_executor(), 1000);
    for (int i = 0; i < 500; ++i) {
        group.spawn(count_fetch(client(), request("GET", "/sleep"), in(30s), good, ended));
    }
    run(group.join());
    EXPECT_EQ(good, 500);
    EXPECT_LE(server_->stats().connections, 8u);
    EXPECT_EQ(server_->stats().requests, 500u);
}

TEST_P(HttpTest, DeadlineCancelsTheHandler) {
    start();
    const auto got = fetch(request("GET", "/wait"), 50ms);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kDeadline);
    until([&] { return seen_.cancelled == 1; });
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
}

TEST_P(HttpTest, DroppedResponseCancelsTheHandler) {
    start();
    const auto talk = [](HttpTest& test) -> Task<void> {
        Result<Response> response = co_await test.client().open(test.request("GET", "/flood"), test.in(5s));
        EXPECT_TRUE(response);
    };
    run(talk(*this));
    until([&] { return seen_.running == 0; });
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
}

TEST_P(HttpTest, ServerStopCancelsHandlersAfterGrace) {
    start();
    int good = 0;
    int ended = 0;
    TaskGroup group(loop_.get_executor(), 10);
    group.spawn(count_fetch(client(), request("GET", "/wait"), in(10s), good, ended));
    until([&] { return seen_.running == 1; });
    run(server_->stop(50ms));
    EXPECT_EQ(seen_.running, 0);
    EXPECT_EQ(seen_.cancelled, 1);
    run(group.join());
    EXPECT_EQ(good, 0);
    EXPECT_EQ(ended, 1);
}

TEST_P(HttpTest, ServerStopLetsRunningRequestsFinish) {
    start();
    int good = 0;
    int ended = 0;
    TaskGroup group(loop_.get_executor(), 10);
    group.spawn(count_fetch(client(), request("GET", "/sleep"), in(10s), good, ended));
    until([&] { return seen_.running == 1; });
    const TimePoint before = clock_.now();
    run(server_->stop(5s));
    EXPECT_LT(clock_.now() - before, 2s);
    run(group.join());
    EXPECT_EQ(good, 1);
    EXPECT_EQ(fetch(request("GET", "/small"), 1s).error().code, Errc::kUnavailable);
}

TEST_P(HttpTest, ServerRestartIsNoticed) {
    start();
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
    ServerSettings settings;
    settings.port = server_->port();
    run(server_->stop(Duration::zero()));
    start(settings);
    EXPECT_EQ(fetch(request("POST", "/echo", Blob::copy_of("a"))).value().status, 200);
}

TEST_P(HttpTest, HeaderTooLarge) {
    ServerSettings settings;
    settings.header_bytes_max = 8'000;
    start(settings);
    Request what = request("GET", "/small");
    what.headers.add("x-large", std::string(20'000, 'x'));
    const auto got = fetch(std::move(what));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 431);
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
}

TEST_P(HttpTest, BodyTooLarge) {
    ServerSettings settings;
    settings.body_bytes_max = 100'000;
    start(settings);
    const auto declared = fetch(request("POST", "/size", pattern(200'000)));
    ASSERT_TRUE(declared) << declared.error().message;
    EXPECT_EQ(declared->status, 413);
    EXPECT_EQ(server_->stats().requests, 0u);
    Source source(100, 10'000);
    Request what = request("POST", "/size");
    what.body_source = &source;
    const auto streamed = fetch(std::move(what));
    ASSERT_TRUE(streamed) << streamed.error().message;
    EXPECT_EQ(streamed->status, 413);
    EXPECT_EQ(fetch(request("POST", "/size", pattern(100'000))).value().body.text(), "100000");
}

TEST_P(HttpTest, StalledBodyIsRefused) {
    ServerSettings settings;
    settings.body_stall_max = 100ms;
    start(settings);
    class Stalled final : public BodyReader {
      public:
        Task<Result<Blob>> read() override {
            if (std::exchange(sent_, true)) {
                const OneShot never;
                co_await never.wait();
            }
            co_return Blob::copy_of("x");
        }
        const Headers& trailers() const override { return none_; }

      private:
        bool sent_ = false;
        Headers none_;
    } source;
    Request what = request("POST", "/size");
    what.body_source = &source;
    const auto got = fetch(std::move(what), 5s);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 408);
}

TEST_P(HttpTest, NobodyListens) {
    start();
    Request what = request("GET", "/small");
    run(server_->stop(Duration::zero()));
    const auto got = fetch(std::move(what), 5s);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kUnavailable);
}

TEST_P(HttpTest, ResponseOverTheLimit) {
    start();
    const auto got = await(client().fetch(request("POST", "/echo", pattern(10'000)), 1'000, in(5s)));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kTooLarge);
}

TEST_P(HttpTest, TooManyConnections) {
    ServerSettings settings;
    settings.connections_max = 1;
    start(settings);
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
    Client other(loop_.get_executor(), clock_, {}, Logger{});
    const auto got = await(other.fetch(request("GET", "/small"), 1000, in(5s)));
    EXPECT_FALSE(got);
    EXPECT_GE(server_->stats().refused, 1u);
    run(other.stop());
}

}  // namespace
}  // namespace framegrid::http
