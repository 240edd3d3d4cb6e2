// A Rest on fakes: no sockets, no threads, virtual time. Tests only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include <framegrid/rest/rest.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::rest {

class FakeGateway final : public gateway::Gateway {
  public:
    Task<Result<bool>> serve() override { co_return true; }
    Task<Result<gateway::JobResult>> run(gateway::JobRequest request, Deadline deadline) override {
        jobs.push_back(request);
        deadlines.push_back(deadline);
        if (gate) {
            const OneShot wait = *gate;
            co_await wait.wait();
        }
        co_return answer(request);
    }
    std::optional<gateway::Offer> offer(const gateway::JobRequest& /*request*/) override { return offered; }
    market::Explanation explain(const gateway::JobRequest& /*request*/) const override { return {}; }
    void reconfigure(std::optional<Price> /*price_max*/) override {}
    void limit_spending(
        std::function<account::Limits(const std::string& owner)> /*limits_of*/, api::KeyStore* /*store*/
    ) override {}
    Task<void> end_stream(std::string manifest_id) override {
        ended.push_back(std::move(manifest_id));
        co_return;
    }
    std::vector<market::PoolEntryView> pool() const override {
        return {{"https://one", true, false, 1, 4, 0.5, 0}};
    }
    std::vector<market::OfferedModel> models() const override {
        return {{"framegrid/scenes", job::Capability::kTextToImage, 2, 1}};
    }
    gateway::Stats stats() const override {
        gateway::Stats out;
        out.jobs_done = jobs.size();
        out.pool.usable = usable;
        return out;
    }

    // Echoes the input once for each profile, or once.
    static Result<gateway::JobResult> repeat_input(const gateway::JobRequest& request) {
        gateway::JobResult out;
        out.orchestrator = "https://one";
        const auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind);
        if (transcode == nullptr) {
            out.output.artifacts.push_back({"out", "text/html", request.work.input, {}, {}});
            return out;
        }
        for (const auto& profile : transcode->profiles) {
            out.output.artifacts.push_back({profile.name, "", Blob::copy_of(profile.name + "!"), {}, {}});
        }
        return out;
    }

    std::function<Result<gateway::JobResult>(const gateway::JobRequest&)> answer = repeat_input;
    std::optional<OneShot> gate;  // jobs wait here
    std::optional<gateway::Offer> offered = gateway::Offer{{2, 1}, {}};
    std::size_t usable = 0;  // orchestrators, in stats()
    std::vector<gateway::JobRequest> jobs;
    std::vector<Deadline> deadlines;
    std::vector<std::string> ended;
};

class FakeProbe final : public api::MediaProbe {
  public:
    Task<Result<api::ProbeResult>> probe(Blob segment, Deadline deadline) override {
        probed.push_back(std::move(segment));
        deadlines.push_back(deadline);
        co_return result;
    }
    std::vector<Blob> probed;
    std::vector<Deadline> deadlines;
    Result<api::ProbeResult> result = api::ProbeResult{"h264", "aac", "yuv420p", {1280, 720}};
};

class InlinePool final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

class MemoryBody final : public http::BodyReader {
  public:
    Task<Result<Blob>> read() override {
        if (next_ < pieces.size()) {
            co_return pieces[next_++];
        }
        if (broken) {
            co_return fail(Errc::kUnavailable, "the peer vanished");
        }
        co_return Blob{};
    }
    const http::Headers& trailers() const override { return trailers_; }
    std::vector<Blob> pieces;
    bool broken = false;
    std::size_t pieces_read() const { return next_; }

  private:
    std::size_t next_ = 0;
    http::Headers trailers_;
};

class RecordedResponse final : public http::ResponseWriter {
  public:
    Task<Result<void>> start(http::ResponseHead answer) override {
        EXPECT_FALSE(started_);
        started_ = true;
        head = std::move(answer);
        co_return Result<void>{};
    }
    Task<Result<void>> write(Blob piece) override {
        EXPECT_TRUE(started_ && !finished);
        body += piece.text();
        co_return Result<void>{};
    }
    Task<Result<void>> finish(http::Headers fields) override {
        finished = true;
        trailers = std::move(fields);
        co_return Result<void>{};
    }
    using http::ResponseWriter::finish;
    bool started() const override { return started_; }

    http::ResponseHead head;
    std::string body;
    http::Headers trailers;
    bool finished = false;

  private:
    bool started_ = false;
};

// One request and what came back.
struct Sent {
    MemoryBody body;
    RecordedResponse response;
    std::optional<http::Exchange> exchange;
    bool done = false;

    int status() const { return response.head.status; }
    const std::string& text() const { return response.body; }
    std::string header(std::string_view name) const {
        return std::string(response.head.headers.get(name).value_or("(none)"));
    }
};

class RestTest : public testing::Test {
  protected:
    using Fields = std::vector<http::Headers::Field>;

    ~RestTest() override {
        group_.cancel();
        loop_.restart();
        loop_.poll();
    }

    // Made on first use, so that a test can change the settings before.
    Rest& rest() {
        if (!rest_) {
            rest_.emplace(
                RestPorts{
                    loop_.get_executor(),
                    clock_,
                    random_,
                    Logger{},
                    pool_,
                    gateway_,
                    probe_,
                    {},
                    jobs_,
                    authenticator_
                },
                settings_
            );
        }
        return *rest_;
    }
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    std::unique_ptr<Sent> start(
        const std::string& method, const std::string& target, const Fields& headers = {},
        std::string_view body = {}
    ) {
        auto sent = std::make_unique<Sent>();
        if (!body.empty()) {
            sent->body.pieces.push_back(Blob::copy_of(body));
        }
        return start(std::move(sent), method, target, headers);
    }
    std::unique_ptr<Sent> start(
        std::unique_ptr<Sent> sent, const std::string& method, const std::string& target,
        const Fields& headers
    ) {
        http::RequestHead head;
        head.method = method;
        head.target = target;
        head.scheme = "https";
        head.authority = "gateway.test:9935";
        for (const auto& field : headers) {
            head.headers.add(field.name, field.value);
        }
        sent->exchange.emplace(http::Exchange{std::move(head), sent->body, sent->response});
        auto handler = to_admin_ ? rest().admin_handler() : rest().handler();
        EXPECT_TRUE(group_.spawn(drive(std::move(handler), *sent)));
        poll();
        return sent;
    }
    std::unique_ptr<Sent> send(
        const std::string& method, const std::string& target, const Fields& headers = {},
        std::string_view body = {}
    ) {
        auto sent = start(method, target, headers, body);
        EXPECT_TRUE(sent->done && sent->response.finished);
        return sent;
    }
    static Task<void> drive(http::Handler handler, Sent& sent) {
        co_await handler(*sent.exchange);
        sent.done = true;
    }
    static Task<void> serve(Rest& rest) { (void)co_await rest.serve(); }
    // Lets the sweeps run while time passes.
    void pass(Duration duration) {
        if (!serving_) {
            serving_ = group_.spawn(serve(rest()));
            poll();
        }
        for (const TimePoint end = clock_.now() + duration; clock_.now() < end;) {
            clock_.advance(std::chrono::milliseconds(500));
            poll();
        }
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    InlinePool pool_;
    FakeGateway gateway_;
    FakeProbe probe_;
    RestSettings settings_;
    Authenticator* authenticator_ = nullptr;
    std::optional<JobPorts> jobs_;
    std::optional<Rest> rest_;
    TaskGroup group_{loop_.get_executor(), 100};
    bool serving_ = false;
    bool to_admin_ = false;  // requests go to the operators' listener
};

}  // namespace framegrid::rest
