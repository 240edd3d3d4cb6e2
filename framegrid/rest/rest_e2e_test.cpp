// The API over a real server and client: TLS with HTTP/2, and clear text with HTTP/1.1.
#include <framegrid/http/client.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>
#include <framegrid/rest/sources.hpp>
#include <framegrid/rest/test_fakes.hpp>

namespace framegrid::rest {
namespace {

using namespace std::chrono_literals;

class RestOverSockets : public testing::TestWithParam<bool> {
  protected:
    bool tls() const { return GetParam(); }
    void SetUp() override {
        RestSettings settings;
        settings.ingest.segment_bytes_max = 5'000'000;
        rest_.emplace(
            RestPorts{loop_.get_executor(), clock_, random_, Logger{}, pool_, gateway_, probe_, {}}, settings
        );
        http::ServerSettings server;
        server.tls = tls();
        server.body_stall_max = 1s;
        server_.emplace(loop_.get_executor(), clock_, server, rest_->handler(), Logger{});
        const auto listening = server_->listen();
        ASSERT_TRUE(listening) << listening.error().message;
        client_.emplace(loop_.get_executor(), clock_, http::ClientSettings{}, Logger{});
    }
    void TearDown() override {
        run(client_->stop());
        run(server_->stop(Duration::zero()));
        EXPECT_EQ(rest_->stats().jobs_in_flight, 0u);
        EXPECT_EQ(rest_->stats().memory_bytes, 0u);
    }
    void run(Task<void> task) {
        bool done = false;
        boost::asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr exception) {
            EXPECT_FALSE(exception) << error_from(exception).message;
            done = true;
        });
        loop_.restart();
        while (!done && loop_.run_one() > 0) {
        }
    }
    static Task<void> fetch_into(
        http::Client& client, http::Request request, Deadline deadline,
        std::optional<Result<http::Fetched>>& out
    ) {
        out = co_await client.fetch(std::move(request), 100'000'000, deadline);
    }
    static Task<void> list_into(
        WebhookSource& source, Deadline deadline, std::optional<Result<std::vector<std::string>>>& out
    ) {
        out = co_await source.list(deadline);
    }
    http::Url url(std::string target) const {
        return {tls() ? "https" : "http", "127.0.0.1", server_->port(), std::move(target)};
    }
    Result<http::Fetched> fetch(
        std::string method, std::string target, http::Headers headers = {}, Blob body = {},
        Duration limit = 20s
    ) {
        http::Request request{std::move(method), url(std::move(target)), std::move(headers), std::move(body)};
        std::optional<Result<http::Fetched>> out;
        run(fetch_into(*client_, std::move(request), Deadline::after(clock_, limit), out));
        return std::move(*out);
    }

    boost::asio::io_context loop_{1};
    http::SteadyClock clock_{loop_};
    SeededRandom random_{2};
    InlinePool pool_;
    FakeGateway gateway_;
    FakeProbe probe_;
    std::optional<Rest> rest_;
    std::optional<http::Server> server_;
    std::optional<http::Client> client_;
};

INSTANTIATE_TEST_SUITE_P(All, RestOverSockets, testing::Values(true, false), [](const auto& test) {
    return std::string(test.param ? "Tls" : "Clear");
});

TEST_P(RestOverSockets, SegmentsGoInAndRenditionsComeOut) {
    const Blob segment(Bytes(2'000'000, 'm'));
    gateway_.answer = [](const gateway::JobRequest& request) {
        auto out = FakeGateway::repeat_input(request);
        for (auto& artifact : out->output.artifacts) {
            artifact.bytes = request.work.input;
        }
        return out;
    };
    const http::Headers headers{{"accept", "multipart/mixed"}, {"content-duration", "2000"}};
    for (int i = 0; i < 3; ++i) {
        const auto got = fetch("POST", "/live/show/" + std::to_string(i) + ".ts", headers, segment);
        ASSERT_TRUE(got) << got.error().message;
        ASSERT_EQ(got->status, 200) << got->body.text();
        const auto boundary = http::boundary_of(got->headers.get("content-type").value_or(""));
        ASSERT_TRUE(boundary);
        const auto parts = http::parse_multipart(got->body, *boundary);
        ASSERT_TRUE(parts);
        ASSERT_EQ(parts->size(), 2u);
        EXPECT_EQ((*parts)[1].headers.get("rendition-name"), "P360p30fps16x9");
        EXPECT_EQ((*parts)[1].body.size(), segment.size());
    }
    EXPECT_EQ(gateway_.jobs.back().work.input.size(), segment.size());
    const auto list = fetch("GET", "/stream/show/P240p30fps16x9.m3u8");
    ASSERT_TRUE(list);
    EXPECT_EQ(list->status, 200);
    const auto played = fetch("GET", "/stream/show/P240p30fps16x9/2.ts");
    EXPECT_EQ(played->body.size(), segment.size());
}

TEST_P(RestOverSockets, RefusalsReachTheClientAlthoughItIsStillSending) {
    const Blob large(Bytes(6'000'000, 'm'));
    const auto got = fetch("POST", "/live/show/0.ts", {}, large);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 413);
    const auto bad = fetch("POST", "/live/show/0.m3u8", {}, large);
    ASSERT_TRUE(bad) << bad.error().message;
    EXPECT_EQ(bad->status, 400);
    EXPECT_EQ(fetch("GET", "/healthz").value().status, 200);
}

TEST_P(RestOverSockets, AClientThatLeavesCancelsItsJob) {
    gateway_.gate.emplace();
    const auto got = fetch("POST", "/echo", {}, Blob::copy_of(std::string_view("x")), 200ms);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kDeadline);
    for (int i = 0; i < 100 && rest_->stats().jobs_in_flight > 0; ++i) {
        run(sleep_for(clock_, 10ms));
    }
    EXPECT_EQ(rest_->stats().jobs_in_flight, 0u);
    gateway_.gate.reset();
    const auto again = fetch("POST", "/echo", {}, Blob::copy_of(std::string_view("x")));
    EXPECT_EQ(again->body.text(), "x");
}

// Its body begins and does not go on.
class StalledBody final : public http::BodyReader {
  public:
    explicit StalledBody(Clock& clock) : clock_(clock) {}
    Task<Result<Blob>> read() override {
        if (std::exchange(begun_, true)) {
            co_await sleep_for(clock_, 60s);
        }
        co_return Blob::copy_of(std::string_view("begun"));
    }
    const http::Headers& trailers() const override { return trailers_; }

  private:
    Clock& clock_;
    bool begun_ = false;
    http::Headers trailers_;
};

TEST_P(RestOverSockets, ABodyThatStallsIsCountedAsWhatWasSent) {
    http::Request request{"POST", url("/echo"), {{"content-length", "100"}}, {}};
    request.body_source = std::make_shared<StalledBody>(clock_);
    std::optional<Result<http::Fetched>> got;
    run(fetch_into(*client_, std::move(request), Deadline::after(clock_, 20s), got));
    ASSERT_TRUE(*got) << got->error().message;
    EXPECT_EQ((*got)->status, 408);
    const auto page = fetch("GET", "/metrics");
    ASSERT_TRUE(page);
    const std::string metrics(page->body.text());
    const auto counted = [&](const std::string& line) { return metrics.find(line) != std::string::npos; };
    EXPECT_TRUE(counted(R"(framegrid_rest_requests_total{result="client_error"} 1)")) << metrics;
    EXPECT_TRUE(counted(R"(framegrid_rest_requests_total{result="server_error"} 0)")) << metrics;
    EXPECT_TRUE(counted(R"(framegrid_rest_request_seconds_count{route="POST /echo",status="4xx"} 1)"))
        << metrics;
}

TEST_P(RestOverSockets, PagesAndHead) {
    const auto head = fetch("HEAD", "/");
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->status, 200);
    EXPECT_TRUE(head->body.empty());
    EXPECT_EQ(fetch("OPTIONS", "/echo").value().status, 204);
    EXPECT_EQ(fetch("GET", "/status").value().headers.get("content-type"), "application/json");
}

TEST_P(RestOverSockets, WebhookListIsFetched) {
    const auto ask = [&](std::string target) {
        WebhookSource source(*client_, clock_, url(std::move(target)), Logger{});
        std::optional<Result<std::vector<std::string>>> out;
        run(list_into(source, Deadline::after(clock_, 10s), out));
        return std::move(*out);
    };
    EXPECT_EQ(ask("/status").error().code, Errc::kProtocol) << "JSON, but no array";
    EXPECT_EQ(ask("/nothing").error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace framegrid::rest
