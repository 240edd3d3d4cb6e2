// Peers that break the protocol, stall or vanish, on sockets of our own.
#include <openssl/x509v3.h>
#include <boost/asio/basic_socket_acceptor.hpp>

#include <framegrid/http/certificate.hpp>
#include <framegrid/http/test_server.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::http {
namespace {

class ClearTest : public HttpTest {
  public:
    Mode mode() const override { return {.tls = false, .http2 = http2_}; }
    bool http2_ = false;
};
INSTANTIATE_TEST_SUITE_P(Clear, ClearTest, testing::Values(Mode{false, false}), [](const auto&) {
    return "Http11";
});

std::size_t count(std::string_view text, std::string_view what) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) {
        ++n;
    }
    return n;
}

TEST_P(ClearTest, PipelinedRequestsAreAnsweredInOrder) {
    start();
    const std::string got =
        raw("GET /small HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "\r\nGET /sleep HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(count(got, "HTTP/1.1 200 OK"), 3u) << got;
    EXPECT_LT(got.find("hello"), got.find("abc"));
    EXPECT_LT(got.find("abc"), got.find("slept"));
    EXPECT_EQ(server_->stats().connections, 1u);
}

TEST_P(ClearTest, ChunkedBothWaysWithTrailers) {
    start();
    const std::string got =
        raw("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 9\r\n\r\n");
    EXPECT_NE(got.find("Transfer-Encoding: chunked"), std::string::npos) << got;
    EXPECT_NE(got.find("hello"), std::string::npos) << got;
    EXPECT_NE(got.find("0\r\nX-Sum: 9\r\n\r\n"), std::string::npos) << got;
}

TEST_P(ClearTest, ExpectContinue) {
    start();
    const std::string got =
        raw("POST /size HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: "
            "5\r\n\r\n12345");
    // The body was there already when the handler asked for it: no invitation is needed.
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
    const std::string waits =
        raw("POST /size HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: x\r\n\r\n");
    EXPECT_TRUE(waits.starts_with("HTTP/1.1 400")) << waits;
}

TEST_P(ClearTest, Http10) {
    start();
    const std::string got = raw("GET /small HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
    EXPECT_TRUE(got.ends_with("\r\n\r\nhello")) << got;
    const std::string streamed = raw("POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab");
    EXPECT_EQ(streamed.find("chunked"), std::string::npos);
    EXPECT_TRUE(streamed.ends_with("\r\n\r\nab")) << streamed;
}

TEST_P(ClearTest, BadRequestsGetAnAnswer) {
    start();
    for (const char* bad :
         {"GARBAGE\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
          "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
          "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
          "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
          "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
        const std::string got = raw(bad);
        EXPECT_TRUE(got.starts_with("HTTP/1.1 400 Bad Request\r\n")) << bad << "\n" << got;
        EXPECT_NE(got.find(R"({"error":{"code":"invalid_argument")"), std::string::npos) << got;
    }
    EXPECT_TRUE(raw("GET / HTTP/3.0\r\n\r\n").starts_with("HTTP/1.1 505"));
    EXPECT_TRUE(raw("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 501"));
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
}

TEST_P(ClearTest, RandomBytes) {
    start();
    class Fixed final : public Random {
      public:
        void fill(std::span<std::uint8_t> out) override {
            for (auto& byte : out) {
                state_ = state_ * 6364136223846793005u + 1442695040888963407u;
                byte = static_cast<std::uint8_t>(state_ >> 56);
            }
        }

      private:
        std::uint64_t state_ = 42;
    } random;
    for (int i = 0; i < 20; ++i) {
        std::string bytes(2'000, ' ');
        random.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
        (void)raw(bytes);
        (void)raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes);
    }
    EXPECT_GT(server_->stats().protocol_errors, 20u);
    EXPECT_EQ(fetch(request("GET", "/small")).value().status, 200);
}

TEST_P(ClearTest, SlowHeadIsRefused) {
    ServerSettings settings;
    settings.header_time_max = 100ms;
    start(settings);
    const TimePoint before = clock_.now();
    const std::string got = raw("GET / HTTP/1.1\r\nHost: a\r\nX-Slow");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 408")) << got;
    EXPECT_LT(clock_.now() - before, 3s);
}

TEST_P(ClearTest, SlowPrefaceAndSlowHttp2HeadAreDropped) {
    ServerSettings settings;
    settings.header_time_max = 100ms;
    start(settings);
    EXPECT_EQ(raw("PRI * HTTP/2.0\r\n"), "");
    using namespace std::string_literals;
    const TimePoint before = clock_.now();
    // The preface, empty SETTINGS, HEADERS for stream 1 without END_HEADERS: the rest never comes.
    (void)raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\1\1\0\0\0\0\1\x82"s);
    EXPECT_LT(clock_.now() - before, 5s);
}

TEST_P(ClearTest, IdleConnectionsAreClosed) {
    ServerSettings settings;
    settings.idle_time_max = 100ms;
    start(settings);
    const TimePoint before = clock_.now();
    const std::string got = raw("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(got.ends_with("hello"));
    EXPECT_LT(clock_.now() - before, 5s);
}

TEST_P(ClearTest, HalfABodyThenClose) {
    start();
    const auto talk = [](std::uint16_t port) -> Task<void> {
        asio::ip::tcp::socket socket(co_await this_executor());
        const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
        co_await socket.async_connect(endpoint, asio::use_awaitable);
        const std::string text = "POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf";
        co_await asio::async_write(socket, asio::buffer(text), asio::use_awaitable);
    };
    run(talk(server_->port()));
    until([&] { return server_->stats().requests == 1 && seen_.running == 0; });
    EXPECT_EQ(seen_.cancelled, 1);
}

TEST_P(ClearTest, ARefusalOfALargeBodySaysThatTheConnectionEnds) {
    start();
    const std::string sized = raw("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\nabc");
    EXPECT_TRUE(sized.starts_with("HTTP/1.1 404")) << sized;
    EXPECT_NE(sized.find("Connection: close"), std::string::npos) << sized;
    const std::string unsized =
        raw("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    EXPECT_NE(unsized.find("Connection: close"), std::string::npos) << unsized;
    const std::string small =
        raw("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(small.ends_with("hello")) << small;
}

// A server made of one canned answer per connection.
class CannedServer {
  public:
    // `silent`: reads and keeps the connection open instead of answering.
    CannedServer(asio::io_context& loop, std::vector<std::string> answers, bool silent = false)
        : acceptor_(loop, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
          group_(loop.get_executor(), 100) {
        port_ = acceptor_.local_endpoint().port();
        group_.spawn(serve(std::move(answers), silent));
    }
    std::uint16_t port() const { return port_; }
    int accepted() const { return accepted_; }
    TaskGroup& group() { return group_; }

  private:
    Task<void> serve(std::vector<std::string> answers, bool silent) {
        for (std::string& answer : answers) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            ++accepted_;
            group_.spawn(talk(std::move(socket), std::move(answer), silent));
        }
    }
    static Task<void> talk(asio::ip::tcp::socket socket, std::string answer, bool silent) {
        std::array<char, 4096> buffer{};
        (void)co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
        (void)co_await asio::async_write(socket, asio::buffer(answer), asio::as_tuple(asio::use_awaitable));
        while (silent) {
            auto [code, n] =
                co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
            silent = !code;
        }
    }
    asio::ip::tcp::acceptor acceptor_;
    TaskGroup group_;
    std::uint16_t port_ = 0;
    int accepted_ = 0;
};

class CannedTest : public testing::TestWithParam<bool> {
  public:
    Result<Fetched> fetch(
        std::vector<std::string> answers, std::string method = "GET", bool silent = false, int times = 1,
        ClientSettings settings = {}
    ) {
        asio::io_context loop{1};
        SteadyClock clock(loop);
        CannedServer server(loop, std::move(answers), silent);
        settings.cleartext_http2 = GetParam();
        Client client(loop.get_executor(), clock, settings, Logger{});
        std::optional<Result<Fetched>> out;
        bool done = false;
        const auto talk = [](Client& c, Clock& t, CannedServer& s, std::string m, int n,
                             std::optional<Result<Fetched>>& into, bool& end) -> Task<void> {
            for (int i = 0; i < n; ++i) {
                Request request;
                request.method = m;
                request.url = {"http", "127.0.0.1", s.port(), "/"};
                into = co_await c.fetch(std::move(request), 1000, Deadline::after(t, 3s));
            }
            co_await c.stop();
            s.group().cancel();
            co_await s.group().join();
            end = true;
        };
        asio::co_spawn(
            loop, talk(client, clock, server, std::move(method), times, out, done), [](std::exception_ptr) {}
        );
        while (!done && loop.run_one() > 0) {
        }
        accepted = server.accepted();
        return *out;
    }
    int accepted = 0;
};
INSTANTIATE_TEST_SUITE_P(Both, CannedTest, testing::Bool(), [](const auto& test) {
    return test.param ? "Http2" : "Http11";
});

TEST_P(CannedTest, GarbageFromAServerIsAProtocolError) {
    for (const std::string& garbage :
         {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string(2'000, '\xff'), std::string(2'000, '\0')}) {
        const auto got = fetch({garbage});
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Errc::kProtocol) << got.error().message;
    }
}

TEST_P(CannedTest, AServerThatClosesIsUnavailable) {
    const auto got = fetch({"", ""});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kUnavailable) << got.error().message;
    EXPECT_EQ(accepted, 1);  // the connection was new: nobody knows what happened to the request
}

TEST_P(CannedTest, HalfAnAnswer) {
    if (GetParam()) {
        GTEST_SKIP() << "see HttpTest.HandlersFaults";
    }
    EXPECT_EQ(fetch({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}).error().code, Errc::kUnavailable);
    EXPECT_EQ(
        fetch({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}).error().code,
        Errc::kUnavailable
    );
    EXPECT_EQ(fetch({"HTTP/1.1 200 OK\r\nContent-Le"}).error().code, Errc::kUnavailable);
    const auto whole = fetch({"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\n\r\nuntil the end"});
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(whole->body.text(), "until the end");
}

TEST_P(CannedTest, StalePooledConnectionIsReplacedOnce) {
    if (GetParam()) {
        GTEST_SKIP() << "HTTP/2 says GOAWAY; see HttpTest.ServerRestartIsNoticed";
    }
    // Each connection answers one request and closes when the next one is on its way.
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const auto got = fetch({answer, answer, answer}, "GET", false, 3);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->body.text(), "ok");
    EXPECT_EQ(accepted, 3);
}

TEST_P(CannedTest, SilentServerIsNoticed) {
    if (!GetParam()) {
        GTEST_SKIP() << "HTTP/1.1 has no ping: the deadline is all there is";
    }
    using namespace std::string_literals;
    ClientSettings settings;
    settings.ping_period = 100ms;
    const auto got = fetch({"\0\0\0\4\0\0\0\0\0"s}, "GET", true, 1, settings);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kUnavailable) << got.error().message;
}

TEST_P(ClearTest, SilentClientIsNoticed) {
    ServerSettings settings;
    settings.ping_period = 100ms;
    start(settings);
    using namespace std::string_literals;
    // GET /wait: the peer then reads, but never answers a ping.
    const std::string bytes =
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\x0c\1\5\0\0\0\1\x82\x86\x41\1a\x04\5/wait"s;
    const TimePoint before = clock_.now();
    (void)raw(bytes);
    EXPECT_LT(clock_.now() - before, 5s);
    EXPECT_EQ(server_->stats().requests, 1u);
    until([&] { return seen_.cancelled == 1; });
}

TEST_P(ClearTest, RapidResetsCloseTheConnection) {
    start();
    using namespace std::string_literals;
    std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"s;
    for (int i = 0; i < 5'000; ++i) {
        const std::uint32_t id = 2 * static_cast<std::uint32_t>(i) + 1;
        const std::string number{
            static_cast<char>(id >> 24), static_cast<char>(id >> 16), static_cast<char>(id >> 8),
            static_cast<char>(id)
        };
        bytes +=
            "\0\0\x0c\1\5"s + number + "\x82\x86\x41\1a\x04\5/wait"s + "\0\0\4\3\0"s + number + "\0\0\0\x08"s;
    }
    (void)raw(bytes);
    EXPECT_LT(server_->stats().requests, 3'000u);
    until([&] { return seen_.running == 0; });
    EXPECT_GE(server_->stats().protocol_errors, 1u);
}

TEST(Certificate, IsWhatPeersExpect) {
    const auto made = make_certificate("node.example.org");
    ASSERT_TRUE(made) << made.error().message;
    X509* x509 = made->x509.get();
    EXPECT_EQ(X509_check_ca(x509), 1);
    EXPECT_EQ(X509_check_host(x509, "node.example.org", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_verify(x509, made->key.get()), 1);
    EXPECT_EQ(X509_get_key_usage(x509), static_cast<std::uint32_t>(KU_KEY_CERT_SIGN | KU_DIGITAL_SIGNATURE));
    EXPECT_EQ(X509_get_extended_key_usage(x509), static_cast<std::uint32_t>(XKU_SSL_SERVER));
    EXPECT_EQ(X509_get_version(x509), X509_VERSION_3);
    int days = 0;
    int seconds = 0;
    ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x509), X509_get0_notAfter(x509));
    EXPECT_EQ(24 * days + seconds / 3600, 8765);
    EXPECT_FALSE(make_certificate("not a name,DNS:evil"));
}

TEST(ParseUrl, Parts) {
    const auto url = parse_url("HTTP://example.org:8935/a/b?c=d#e").value();
    EXPECT_EQ(url.scheme, "http");
    EXPECT_EQ(url.authority(), "example.org:8935");
    EXPECT_EQ(url.target, "/a/b?c=d");
    EXPECT_EQ(parse_url("127.0.0.1:8935").value().origin(), "https://127.0.0.1:8935");
    EXPECT_EQ(parse_url("https://[::1]:444/x").value().host, "::1");
    EXPECT_EQ(parse_url("https://[::1]:444/x").value().authority(), "[::1]:444");
    EXPECT_EQ(parse_url("http://a?b").value().target, "/?b");
    EXPECT_EQ(parse_url("http://a:80/").value().origin(), "http://a");
    for (const char* bad :
         {"", "http://", "ftp://a/", "http://a:0/", "http://a:65536/", "http://a:x/", "http://u@a/",
          "http://a b/", "http://a/ b", "http://[::1/", "http://[x]/", "[%]", "http://[127.0.0.1]/",
          "http:///path"}) {
        const auto got = parse_url(bad);
        ASSERT_FALSE(got) << bad;
        EXPECT_EQ(got.error().field, "url");
    }
}

TEST(Status, MapsBothWays) {
    for (const Errc code :
         {Errc::kInvalidArgument, Errc::kUnauthorized, Errc::kForbidden, Errc::kNotFound, Errc::kTooLarge,
          Errc::kUnsupported, Errc::kUnprocessable, Errc::kCapacity, Errc::kUnavailable, Errc::kDeadline,
          Errc::kCancelled, Errc::kIo, Errc::kInternal}) {
        EXPECT_EQ(errc_of(status_of(code)), code) << to_string(code);
    }
}

TEST(ServerStats, AreDumped) {
    PrometheusText text;
    dump(text, ServerStats{.connections = 3});
    EXPECT_NE(text.text().find("framegrid_http_server_connections_total 3"), std::string::npos)
        << text.text();
}

}  // namespace
}  // namespace framegrid::http
