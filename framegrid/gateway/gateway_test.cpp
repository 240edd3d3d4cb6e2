#include <framegrid/gateway/gateway.hpp>

#include <deque>

#include <boost/asio/io_context.hpp>

#include <framegrid/gateway/result_check.hpp>
#include <framegrid/gateway/stream_sessions.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

using namespace std::chrono_literals;

Blob ts_packet(std::uint8_t fill = 0) {
    Bytes bytes(188, fill);
    bytes[0] = 0x47;
    return Blob(std::move(bytes));
}

api::JobOutput good_output(const api::Job& job) {
    api::JobOutput out;
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&job.work.kind)) {
        for (const auto& profile : transcode->profiles) {
            out.output.artifacts.push_back({profile.name, "video/mp2t", ts_packet(), {}, {}});
        }
    } else {
        out.output.artifacts.push_back({"out.png", "image/png", Blob::copy_of("png"), {}, {}});
    }
    return out;
}

// Answers as the test says: a failure for each entry of `failures`, then good results.
class FakeOrchestrator final : public api::Orchestrator {
  public:
    FakeOrchestrator(Clock& clock, std::string uri) : clock_(clock), uri_(std::move(uri)) {}

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override {
        ++infos;
        if (!behind.empty()) {
            std::ranges::rotate(behind, behind.begin() + 1);
            co_return co_await behind.back()->get_info(std::move(request), deadline);
        }
        if (down) {
            co_return fail(Errc::kUnavailable, "connection refused");
        }
        lost += request.lost;
        if (silent) {
            co_await sleep_until(clock_, deadline.at + 1h);
        }
        if (request.needs && capped) {
            co_return fail(Errc::kCapacity, "OrchestratorCapped");
        }
        api::OrchestratorInfo info;
        info.service_uri = uri_;
        info.capabilities = offer;
        info.price = price;
        info.auth_token.session_id = uri_ + "/" + std::to_string(++sessions);
        info.auth_token.token = to_bytes(secret);
        info.auth_token.expires_unix_s = clock_.unix_ms() / 1000 + 1800;
        co_return info;
    }
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override {
        ++jobs;
        tokens.push_back(job.token.session_id);
        if (down) {
            co_return fail(Errc::kUnavailable, "connection refused");
        }
        if (as_text(job.token.token) != secret) {
            co_return fail(Errc::kForbidden, "invalid auth token");
        }
        if (silent) {
            co_await sleep_until(clock_, deadline.at + 1h);
        }
        early_wanted = std::get_if<api::TranscodeWork>(&job.work.kind) != nullptr &&
                       std::get<api::TranscodeWork>(job.work.kind).early;
        co_await sleep_for(clock_, takes / 2);
        if (job.early) {
            for (const auto& [index, bytes] : tells) {
                job.early(index, {"P", "video/mp2t", bytes, {}, {}});
            }
        }
        co_await sleep_for(clock_, takes / 2);
        if (!failures.empty()) {
            Error error = failures.front();
            failures.pop_front();
            co_return fail(std::move(error));
        }
        if (always) {
            co_return fail(*always);
        }
        auto out = good_output(job);
        if (garbage) {
            out.output.artifacts.back().bytes = Blob::copy_of("rubbish");
        }
        co_return out;
    }
    Task<Result<void>> end_session(api::AuthToken token, Deadline) override {
        ended.push_back(token.session_id);
        co_return Result<void>{};
    }

    job::Capabilities offer = job::default_capabilities();
    std::optional<Price> price;
    api::LostJobs lost;  // as it was told
    std::deque<Error> failures;
    std::optional<Error> always;
    std::vector<std::pair<std::size_t, Blob>> tells;  // of renditions, half way through each job
    bool early_wanted = false;                        // by the last job
    std::vector<FakeOrchestrator*> behind;            // who answers in its place, in turn
    std::string secret = "s";
    bool down = false;
    bool silent = false;
    bool capped = false;
    bool garbage = false;
    Duration takes = 100ms;
    int infos = 0;
    int jobs = 0;
    int sessions = 0;
    std::vector<std::string> tokens;
    std::vector<std::string> ended;

  private:
    Clock& clock_;
    std::string uri_;
};

class FakeSource final : public OrchestratorSource {
  public:
    Task<Result<std::vector<std::string>>> list(Deadline) override {
        if (broken) {
            co_return fail(Errc::kUnavailable, "webhook down");
        }
        co_return uris;
    }
    std::vector<std::string> uris;
    bool broken = false;
};

Task<void> keep(Task<Result<JobResult>> task, std::optional<Result<JobResult>>& out) {
    auto result = co_await std::move(task);
    out.emplace(std::move(result));
}
Task<void> serve(Gateway& gateway) {
    auto ended = co_await gateway.serve();
    (void)ended;
}

class GatewayTest : public testing::Test, public api::OrchestratorDirectory {
  protected:
    ~GatewayTest() override {
        group_.cancel();
        poll();
    }
    std::shared_ptr<api::Orchestrator> at(const std::string& uri) override { return nodes_.at(uri); }
    FakeOrchestrator& node(const std::string& uri) {
        if (!nodes_.contains(uri)) {
            nodes_[uri] = std::make_shared<FakeOrchestrator>(clock_, uri);
            source_.uris.push_back(uri);
        }
        return *nodes_[uri];
    }
    Gateway& role() {
        if (!role_) {
            role_ = make_gateway({loop_.get_executor(), clock_, random_, {}, *this, source_}, settings_);
            group_.spawn(serve(*role_));
            poll();
        }
        return *role_;
    }
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    void advance(Duration duration) {
        const TimePoint until = clock_.now() + duration;
        poll();
        while (clock_.now() < until) {
            clock_.advance(std::min<Duration>(10ms, until - clock_.now()));
            poll();
        }
    }
    static JobRequest transcode(std::string manifest = "m") {
        JobRequest out;
        out.manifest_id = std::move(manifest);
        api::TranscodeWork work;
        work.profiles.resize(2);
        out.needs = job::transcode_needs(work.profiles, job::SourceCodec::kH264, false);
        out.work.kind = std::move(work);
        return out;
    }
    static JobRequest upscale() {
        JobRequest out;
        out.needs = job::ai_needs(job::Capability::kUpscale, "model");
        out.work.kind = api::AiWork{"upscale", "model", "{}"};
        return out;
    }
    using Answer = std::optional<Result<JobResult>>;
    Answer& start(JobRequest request, Duration limit = 60s) {
        auto& out = *answers_.emplace_back(std::make_unique<Answer>());
        const Deadline deadline = Deadline::after(clock_, limit);
        group_.spawn(keep(role().run(std::move(request), deadline), out));
        poll();
        return out;
    }
    // Runs a job to its end.
    Result<JobResult> finish(JobRequest request, Duration limit = 60s) {
        Answer& answer = start(std::move(request), limit);
        for (int i = 0; i < 20'000 && !answer; ++i) {
            advance(10ms);
        }
        return answer ? std::move(*answer) : fail(Errc::kInternal, "not finished");
    }
    market::PoolEntryView view(const std::string& uri) {
        for (auto& entry : role().pool()) {
            if (entry.uri == uri) {
                return entry;
            }
        }
        return {};
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    Settings settings_;
    FakeSource source_;
    std::map<std::string, std::shared_ptr<FakeOrchestrator>> nodes_;
    std::unique_ptr<Gateway> role_;
    std::vector<std::unique_ptr<Answer>> answers_;
    TaskGroup group_{loop_.get_executor(), 1000};
};

TEST_F(GatewayTest, RunsAJob) {
    node("a");
    const auto result = finish(transcode());
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->output.artifacts.size(), 2u);
    EXPECT_EQ(result->orchestrator, "a");
    EXPECT_EQ(result->attempts, 1);
    EXPECT_EQ(role().stats().jobs_done, 1u);
}

TEST_F(GatewayTest, RenditionsThatAreDoneAreToldOfBeforeTheEnd) {
    node("a").takes = 1s;
    node("a").tells = {{1, ts_packet(7)}, {1, ts_packet(8)}};
    std::vector<std::size_t> told;
    JobRequest request = transcode();
    request.early = [&](std::size_t index, const api::Artifact&) { told.push_back(index); };
    Answer& answer = start(std::move(request));
    advance(700ms);
    EXPECT_EQ(told, std::vector<std::size_t>{1}) << "twice said, told once";
    EXPECT_FALSE(answer);
    advance(700ms);
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ((*answer)->output.artifacts[1].bytes.text(), ts_packet(7).text())
        << "what was told is the result";
    EXPECT_EQ((*answer)->output.artifacts[0].bytes.text(), ts_packet().text());
    EXPECT_EQ(role().stats().renditions_early, 1u);
    ASSERT_TRUE(finish(transcode()));
    EXPECT_FALSE(node("a").early_wanted) << "nobody asked";
}

TEST_F(GatewayTest, WhatWasToldStaysWhenTheJobGoesElsewhere) {
    node("a").tells = {{0, ts_packet(1)}, {1, Blob::copy_of("rubbish")}, {9, ts_packet(1)}};
    node("a").failures.assign(3, make_error(Errc::kUnavailable, "broken"));
    node("b").tells = {{0, ts_packet(2)}, {1, ts_packet(2)}};
    node("b").takes = 3s;
    for (int i = 0; i < 20; ++i) {
        std::map<std::size_t, std::string> told;
        JobRequest request = transcode("m" + std::to_string(i));
        request.early = [&](std::size_t index, const api::Artifact& artifact) {
            EXPECT_TRUE(told.emplace(index, artifact.bytes.text()).second);
        };
        const auto result = finish(std::move(request));
        ASSERT_TRUE(result) << result.error().message;
        if (result->attempts > 1) {
            ASSERT_EQ(told.size(), 2u);
            EXPECT_EQ(told[0], ts_packet(1).text()) << "from the node that failed";
            EXPECT_EQ(told[1], ts_packet(2).text()) << "no rubbish";
            EXPECT_EQ(result->output.artifacts[0].bytes.text(), told[0]);
            return;
        }
    }
    FAIL() << "the failing node was never asked first";
}

TEST_F(GatewayTest, EveryKindOfFailureIsRetriedElsewhere) {
    for (const Errc code :
         {Errc::kUnavailable, Errc::kDeadline, Errc::kProtocol, Errc::kInternal, Errc::kIo, Errc::kNotFound,
          Errc::kCancelled}) {
        nodes_.clear();
        source_.uris.clear();
        group_.cancel();
        poll();
        TaskGroup fresh(loop_.get_executor(), 100);
        node("bad").always = make_error(code, "broken");
        node("good").takes = 5s;  // slower, so that the bad one is tempting
        role_ = make_gateway({loop_.get_executor(), clock_, random_, {}, *this, source_}, settings_);
        fresh.spawn(serve(*role_));
        poll();
        for (int i = 0; i < 5; ++i) {
            Answer answer;
            fresh.spawn(
                keep(role_->run(transcode("m" + std::to_string(i)), Deadline::after(clock_, 60s)), answer)
            );
            for (int k = 0; k < 5000 && !answer; ++k) {
                advance(10ms);
            }
            ASSERT_TRUE(answer && *answer) << to_string(code);
            EXPECT_EQ((*answer)->orchestrator, "good");
        }
        EXPECT_GT(node("bad").jobs, 0);
        EXPECT_GT(role_->stats().retries, 0u);
        fresh.cancel();
        poll();
    }
}

TEST_F(GatewayTest, WhoLosesAJobIsToldWhyWithAPoll) {
    node("cheap").price = Price{40, 1};
    node("dear").price = Price{70, 1};
    auto request = transcode();
    request.price_max = Price{50, 1};
    request.price_told = true;
    ASSERT_TRUE(finish(request));
    node("dear").down = true;
    advance(90s);
    ASSERT_TRUE(finish(request));
    EXPECT_TRUE(node("dear").lost.empty()) << "it could not be told";
    node("dear").down = false;
    advance(90s);
    EXPECT_EQ(node("dear").lost, (api::LostJobs{2, 0, 0, 0, 0, Price{50, 1}}));
    EXPECT_TRUE(node("cheap").lost.empty());
    // Nobody does this: the client hears it, and so do they.
    EXPECT_FALSE(finish(upscale()));
    advance(90s);
    EXPECT_EQ(node("dear").lost.capability, 1u);
    EXPECT_EQ(node("cheap").lost, (api::LostJobs{0, 1, 0, 0, 0, {}}));
}

// A transfer whose own store fails.
class BrokenTransfer final : public api::Transfer {
  public:
    BrokenTransfer() : Transfer({5'000'000, {}}) {}
    std::shared_ptr<api::PieceReader> open_input() override { return nullptr; }
    Task<Result<void>> begin_output(Deadline) override { co_return Result<void>{}; }
    Task<Result<void>> append(Blob, Deadline) override { co_return Result<void>{}; }
    Task<Result<api::FileFacts>> end_output(Deadline) override { co_return api::FileFacts{}; }
    std::optional<Error> failure() const override { return own; }
    std::optional<Error> own;
};

TEST_F(GatewayTest, NobodyIsBlamedForAFailureOfOurOwnStore) {
    node("a").always = make_error(Errc::kIo, "the disk is full");
    node("b").always = make_error(Errc::kIo, "the disk is full");
    const auto transfer = std::make_shared<BrokenTransfer>();
    transfer->own = make_error(Errc::kIo, "the disk is full");
    JobRequest request = upscale();
    request.needs = {};
    request.work.transfer = transfer;
    const auto result = finish(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kIo);
    EXPECT_EQ(node("a").jobs + node("b").jobs, 1) << "nobody else could do better";
    EXPECT_FALSE(view("a").suspended || view("b").suspended);
    transfer->own.reset();
    ASSERT_FALSE(finish(request));
    EXPECT_TRUE(view("a").suspended && view("b").suspended) << "theirs is blamed on them";
}

TEST_F(GatewayTest, AFailedNodeIsSuspended) {
    node("a").always = make_error(Errc::kUnavailable, "broken");
    node("b");
    for (int i = 0; i < 20 && node("a").jobs == 0; ++i) {
        ASSERT_TRUE(finish(transcode("m" + std::to_string(i))));
    }
    ASSERT_EQ(node("a").jobs, 1);
    EXPECT_TRUE(view("a").suspended);
    EXPECT_FALSE(view("b").suspended);
    EXPECT_TRUE(finish(transcode()));
    EXPECT_EQ(node("a").jobs, 1) << "not asked while suspended";
}

TEST_F(GatewayTest, ASilentNodeCostsItsTimeAndThenTheJobGoesElsewhere) {
    settings_.discovery.list_period = 5s;
    node("a");
    role();
    advance(100ms);
    node("a").silent = true;
    node("b");
    source_.uris = {"a", "b"};
    Answer& answer = start(transcode());
    advance(30s);  // the list is read again, "b" found
    ASSERT_TRUE(answer);
    ASSERT_TRUE(*answer) << answer->error().message;
    EXPECT_EQ((*answer)->orchestrator, "b");
}

TEST_F(GatewayTest, BusyIsNotPenalised) {
    node("a").capped = true;
    Answer& answer = start(transcode());
    advance(1s);
    EXPECT_FALSE(answer);
    EXPECT_EQ(view("a").failures, 0u);
    node("a").capped = false;
    advance(2s);
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ(role().stats().retries, 0u);
}

TEST_F(GatewayTest, AlwaysBusyEndsInAClearErrorAfterTheWait) {
    node("a").capped = true;
    const TimePoint began = clock_.now();
    const auto result = finish(transcode(), 10min);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kCapacity);
    EXPECT_LT(clock_.now() - began, settings_.wait_max + 2s) << "refusals do not start the wait again";
}

TEST_F(GatewayTest, BadInputIsConfirmedByASecondNode) {
    const Error reject = make_error(Errc::kUnprocessable, "this is not media");
    node("a").always = reject;
    node("b").always = reject;
    node("c").always = reject;
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnprocessable);
    EXPECT_EQ(node("a").jobs + node("b").jobs + node("c").jobs, 2);
    for (const auto& uri : {"a", "b", "c"}) {
        EXPECT_FALSE(view(uri).suspended) << "honest answers are not held against anybody";
    }
}

TEST_F(GatewayTest, ALiarIsOverruledAndSuspended) {
    node("liar").always = make_error(Errc::kUnprocessable, "a lie");
    node("b").takes = 3s;
    for (int i = 0; i < 20 && node("liar").jobs == 0; ++i) {
        const auto result = finish(transcode("m" + std::to_string(i)));
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(result->orchestrator, "b");
    }
    ASSERT_GT(node("liar").jobs, 0);
    EXPECT_TRUE(view("liar").suspended);
}

TEST_F(GatewayTest, ALoneVoiceIsNotBelievedWhileTheOthersAreBusy) {
    node("liar").always = make_error(Errc::kUnprocessable, "a lie");
    node("b").capped = true;
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kCapacity);
}

TEST_F(GatewayTest, ALoneVoiceIsBelievedWhenThereIsNobodyElse) {
    node("a").always = make_error(Errc::kUnsupported, "no such codec");
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnsupported);
}

TEST_F(GatewayTest, ALoneVoiceIsNotBelievedWhileTheOthersAreAwayForLong) {
    node("liar").always = make_error(Errc::kUnprocessable, "a lie");
    node("b").takes = 3s;
    for (int i = 0; i < 20 && node("liar").jobs == 0; ++i) {
        ASSERT_TRUE(finish(transcode("m" + std::to_string(i))));
    }
    node("b").offer = {};  // its workers have left, long before the next job
    advance(settings_.pool.memory + 60s);
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kCapacity) << result.error().message;
    node("b").offer = job::default_capabilities();
    EXPECT_TRUE(finish(transcode()));
}

TEST_F(GatewayTest, ALoneVoiceIsNotBelievedWhenTheOthersFail) {
    settings_.attempts_max = 2;
    node("liar").always = make_error(Errc::kUnprocessable, "a lie");
    node("b").always = make_error(Errc::kUnavailable, "broken");
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kCapacity) << result.error().message;
}

TEST_F(GatewayTest, BadInputIsBelievedOfTheOnlyNodeAndOfThoseLeftOnTheList) {
    settings_.discovery.list_period = 5s;
    const Error reject = make_error(Errc::kUnprocessable, "this is not media");
    node("a").always = reject;
    node("b");
    role();
    advance(1s);
    source_.uris = {"a"};
    advance(10s);
    const TimePoint began = clock_.now();
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnprocessable);
    EXPECT_LT(clock_.now() - began, 1s) << "there is nobody to wait for";
}

TEST_F(GatewayTest, GarbageIsRejectedAndTheJobGoesElsewhere) {
    node("a").garbage = true;
    node("b").takes = 3s;
    const auto result = finish(transcode());
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->orchestrator, "b");
    EXPECT_EQ(role().stats().results_rejected, static_cast<std::uint64_t>(node("a").jobs));
}

TEST_F(GatewayTest, ARestartedOrchestratorGetsANewToken) {
    node("a");
    ASSERT_TRUE(finish(transcode()));
    node("a").secret = "changed";
    const auto result = finish(transcode());
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(node("a").jobs, 3);
    EXPECT_FALSE(view("a").suspended) << "a restart is no crime";
}

TEST_F(GatewayTest, ATokenIsUsedWhereItCameFrom) {
    FakeOrchestrator& one = node("one");
    FakeOrchestrator& two = node("two");
    one.secret = "1";
    two.secret = "2";
    for (auto* one_of_them : {&one, &two}) {
        one_of_them->offer.add_model(job::Capability::kUpscale, "model", {.capacity = 1});
    }
    source_.uris.clear();
    node("front").behind = {&one, &two};
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(finish(transcode("m" + std::to_string(i))));
        ASSERT_TRUE(finish(transcode("m" + std::to_string(i)))) << "the same session";
        ASSERT_TRUE(finish(upscale()));
    }
    EXPECT_EQ(node("front").jobs, 0);
    EXPECT_GT(one.jobs, 0);
    EXPECT_GT(two.jobs, 0);
    advance(10min);
    EXPECT_EQ(one.ended.size() + two.ended.size(), 6U);
    EXPECT_GT(one.ended.size(), 0U);
    EXPECT_GT(two.ended.size(), 0U);
}

TEST_F(GatewayTest, ARefusalOfTokensDoesNotLookLikeTheClientsFault) {
    node("a").always = make_error(Errc::kForbidden, "invalid auth token");
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnavailable);
}

TEST_F(GatewayTest, NoOrchestratorIsAClearErrorAtOnce) {
    const auto result = finish(transcode());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnavailable);
    EXPECT_EQ(result.error().message, "no orchestrators are known");
}

TEST_F(GatewayTest, UnknownModelIsAClearErrorAtOnce) {
    node("a");
    role();
    advance(100ms);
    const TimePoint began = clock_.now();
    const auto result = finish(upscale());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnavailable);
    EXPECT_LT(clock_.now() - began, 1s);
}

TEST_F(GatewayTest, JobsRightAfterTheStartWaitForDiscovery) {
    node("a");
    Answer& answer = start(transcode());
    advance(2s);
    EXPECT_TRUE(answer && *answer);
}

TEST_F(GatewayTest, AnUnreachableNodeIsUsedAgainSoonAfterItAnswers) {
    node("a").down = true;
    role();
    advance(200ms);
    EXPECT_FALSE(view("a").known);
    node("a").down = false;
    advance(2s);
    EXPECT_TRUE(view("a").known);
    EXPECT_TRUE(finish(transcode()));
}

TEST_F(GatewayTest, ANodeThatGetsItsWorkersLaterIsSeenSoon) {
    node("a").offer = {};
    role();
    advance(2s);
    EXPECT_FALSE(finish(transcode()));
    node("a").offer = job::default_capabilities();
    advance(3s);
    EXPECT_TRUE(finish(transcode()));
}

TEST_F(GatewayTest, ABrokenListKeepsTheLastOne) {
    node("a");
    role();
    advance(1s);
    source_.broken = true;
    advance(130s);
    EXPECT_TRUE(finish(transcode()));
}

TEST_F(GatewayTest, SegmentsOfAStreamShareASession) {
    node("a");
    role();
    advance(100ms);
    std::vector<Answer*> answers;
    for (int i = 0; i < 4; ++i) {
        answers.push_back(&start(transcode()));
    }
    advance(1s);
    for (const Answer* answer : answers) {
        ASSERT_TRUE(*answer && **answer);
    }
    EXPECT_EQ(std::set<std::string>(node("a").tokens.begin(), node("a").tokens.end()).size(), 1u);
    EXPECT_EQ(role().stats().streams, 1u);
}

Task<void> end_stream(Gateway& gateway, std::string manifest) {
    co_await gateway.end_stream(std::move(manifest));
}

TEST_F(GatewayTest, EndedAndIdleStreamsEndTheirSessions) {
    node("a");
    ASSERT_TRUE(finish(transcode("one")));
    ASSERT_TRUE(finish(transcode("two")));
    group_.spawn(end_stream(role(), "one"));
    advance(10ms);
    EXPECT_EQ(node("a").ended.size(), 1u);
    EXPECT_EQ(role().stats().streams, 1u);
    advance(80s);
    EXPECT_EQ(node("a").ended.size(), 2u);
    EXPECT_EQ(role().stats().streams, 0u);
}

TEST_F(GatewayTest, TheDeadlineIsKept) {
    node("a").takes = 30s;
    const TimePoint began = clock_.now();
    const auto result = finish(transcode(), 2s);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kDeadline);
    EXPECT_LE(clock_.now() - began, 2100ms);
}

TEST_F(GatewayTest, OverTheLimitJobsAreRefused) {
    settings_.jobs_max = 2;
    node("a");
    start(transcode());
    start(transcode());
    Answer& third = start(transcode());
    ASSERT_TRUE(third);
    EXPECT_EQ(third->error().code, Errc::kCapacity);
    EXPECT_EQ(role().stats().jobs_refused, 1u);
}

TEST_F(GatewayTest, CancellationLeavesNothingBehindAndBlamesNobody) {
    node("a").takes = 5s;
    role();
    advance(100ms);
    TaskGroup jobs(loop_.get_executor(), 10);
    Answer answer;
    jobs.spawn(keep(role().run(transcode(), Deadline::after(clock_, 60s)), answer));
    advance(1s);
    EXPECT_EQ(view("a").in_flight, 1u);
    jobs.cancel();
    poll();
    EXPECT_EQ(jobs.size(), 0u);
    EXPECT_EQ(view("a").in_flight, 0u);
    EXPECT_EQ(view("a").failures, 0u);
    EXPECT_FALSE(view("a").suspended);
    EXPECT_EQ(role().stats().in_flight, 0u);
}

TEST(ResultCheck, LooksAtTheForm) {
    api::Work work;
    api::TranscodeWork transcode;
    transcode.profiles.resize(2);
    transcode.profiles[1].container = media::Container::kMp4;
    work.kind = transcode;
    api::WorkOutput out;
    EXPECT_FALSE(check_result(work, out));
    out.artifacts.push_back({"a", "video/mp2t", ts_packet(), {}, {}});
    out.artifacts.push_back(
        {"b",
         "video/mp4",
         Blob::copy_of(std::string("\0\0\0\x18") + "ftypisom" + std::string(40, 'x')),
         {},
         {}}
    );
    EXPECT_FALSE(check_result(work, out)) << "the text ended at its first zero byte";
    out.artifacts[1].bytes = Blob::copy_of(std::string(4, '\0') + "ftypisom" + std::string(40, 'x'));
    EXPECT_TRUE(check_result(work, out));
    out.artifacts[0].bytes = Blob::copy_of(std::string(188, 'x'));
    EXPECT_FALSE(check_result(work, out));
    out.artifacts[0].bytes = {};
    EXPECT_EQ(check_result(work, out).error().code, Errc::kProtocol);
    work.kind = api::AiWork{};
    EXPECT_TRUE(check_result(work, out));
    EXPECT_FALSE(check_result(work, {}));
}

TEST(StreamSessions, AreBounded) {
    StreamSessions sessions(2, 60s);
    const TimePoint now{};
    for (int i = 0; i < 5; ++i) {
        sessions.put("m" + std::to_string(i), {0, "a", {}}, now + std::chrono::seconds(i));
        EXPECT_LE(sessions.size(), 2u);
    }
    EXPECT_EQ(sessions.expire(now + 10s).size(), 1u) << "makes room for a new one";
    EXPECT_EQ(sessions.size(), 1u);
    EXPECT_EQ(sessions.end("m1").size(), 1u);
    EXPECT_EQ(sessions.size(), 0u);
}

}  // namespace
}  // namespace framegrid::gateway
