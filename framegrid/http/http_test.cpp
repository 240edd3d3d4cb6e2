// Server and client over loopback sockets: both protocol versions, TLS and clear text.
#include <framegrid/http/test_server.hpp>

namespace framegrid::http {
namespace {

INSTANTIATE_TEST_SUITE_P(
    All, HttpTest,
    testing::Values(Mode{true, true}, Mode{true, false}, Mode{false, true}, Mode{false, false}),
    [](const auto& test) {
        return std::string(test.param.tls ? "Tls" : "Clear") + (test.param.http2 ? "Http2" : "Http11");
    }
);

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

TEST_P(HttpTest, StreamedBodyAndTrailers) {
    start();
    const auto source = std::make_shared<Source>(100, 10'000);
    Request what = request("POST", "/echo");
    what.body_source = source;
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
        const auto source = std::make_shared<Gated>(gate);
        Request what = test.request("POST", "/early");
        what.body_source = source;
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

// A read that a thread does cannot be cancelled: it returns when it is done, whoever has gone meanwhile.
TEST_P(HttpTest, SourceLivesUntilItsLastReadReturns) {
    start();
    class Held final : public BodyReader {
      public:
        explicit Held(std::move_only_function<void()>& release) : release_(release) {}
        Task<Result<Blob>> read() override {
            if (std::exchange(sent_, true)) {
                co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
                    [this](auto handler) { release_ = std::move(handler); }, boost::asio::use_awaitable
                );
            }
            co_return Blob::copy_of("x");
        }
        const Headers& trailers() const override { return none_; }

      private:
        std::move_only_function<void()>& release_;
        bool sent_ = false;
        Headers none_;
    };
    const auto talk = [](HttpTest& test) -> Task<void> {
        std::move_only_function<void()> release;
        auto source = std::make_shared<Held>(release);
        const std::weak_ptr<Held> left = source;
        Request what = test.request("POST", "/early");
        what.body_source = std::move(source);
        Result<Response> response = co_await test.client().open(std::move(what), test.in(5s));
        EXPECT_TRUE(response);
        while (!release) {
            co_await sleep_for(test.clock_, 1ms);
        }
        if (response) {
            response->body.reset();
        }
        co_await sleep_for(test.clock_, 10ms);
        EXPECT_FALSE(left.expired());
        std::exchange(release, nullptr)();
        while (!left.expired()) {
            co_await sleep_for(test.clock_, 1ms);
        }
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
        const auto source = std::make_shared<Source>(1000, 64 * 1024);
        Request what = test.request("POST", "/wait");
        what.body_source = source;
        const Result<Response> response = co_await test.client().open(std::move(what), test.in(300ms));
        EXPECT_FALSE(response);
        EXPECT_EQ(response.error().code, Errc::kDeadline);
        EXPECT_LT(source->produced, 24 * 16);
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
    const auto source = std::make_shared<Source>(100, 10'000);
    Request what = request("POST", "/size");
    what.body_source = source;
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
    };
    Request what = request("POST", "/size");
    what.body_source = std::make_shared<Stalled>();
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
