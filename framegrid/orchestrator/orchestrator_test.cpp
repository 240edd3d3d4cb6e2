#include <framegrid/orchestrator/orchestrator.hpp>

#include <boost/asio/io_context.hpp>

#include <framegrid/orchestrator/memory_store.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::orchestrator {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSecret = "s3cret";
constexpr const char* kModel = "framegrid/sr-2x";

template <class T>
Task<void> keep(Task<Result<T>> task, std::optional<Result<T>>& out) {
    auto result = co_await std::move(task);
    out.emplace(std::move(result));
}

// A registered worker that the test drives by hand.
struct FakeWorker {
    std::unique_ptr<api::TaskStream> stream;
    std::vector<api::WorkerTask> tasks;
    std::optional<Error> ended;
};

Task<void> take(FakeWorker& worker) {
    for (;;) {
        auto task = co_await worker.stream->next();
        if (!task) {
            worker.ended = std::move(task.error());
            co_return;
        }
        worker.tasks.push_back(std::move(*task));
    }
}

api::WorkOutput good_output(std::size_t files = 1) {
    api::WorkOutput out;
    for (std::size_t i = 0; i < files; ++i) {
        out.artifacts.push_back({"P240", "video/mp2t", Blob::copy_of(std::string(188, 'x')), {}, {}});
    }
    return out;
}

class OrchestratorTest : public testing::Test {
  protected:
    OrchestratorTest() {
        settings_.service_uri = "https://me";
        settings_.secret = kSecret;
    }
    ~OrchestratorTest() override {
        group_.cancel();
        loop_.restart();
        loop_.poll();
    }
    Orchestrator& role() {
        if (!role_) {
            role_ = make_orchestrator({loop_.get_executor(), clock_, random_, {}, nullptr}, settings_);
        }
        return *role_;
    }
    // Runs what is ready; time stands still.
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    void advance(Duration duration) {
        const TimePoint until = clock_.now() + duration;
        poll();
        while (clock_.now() < until) {
            clock_.advance(std::min<Duration>(100ms, until - clock_.now()));
            poll();
        }
    }
    template <class T>
    Result<T> get(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        group_.spawn(keep<T>(std::move(task), out));
        poll();
        return out ? std::move(*out) : fail(Errc::kInternal, "not finished");
    }
    Deadline later(Duration duration = 60s) { return Deadline::after(clock_, duration); }

    static api::Registration registration(
        api::WorkerKind kind = api::WorkerKind::kTranscoder, int capacity = 1
    ) {
        api::Registration out;
        out.kind = kind;
        out.secret = kSecret;
        out.capacity = capacity;
        out.capabilities = job::default_capabilities();
        if (kind == api::WorkerKind::kAi) {
            out.capabilities.add_model(
                job::Capability::kUpscale, kModel,
                {.warm = true, .capacity = static_cast<std::uint32_t>(capacity)}
            );
        }
        return out;
    }
    FakeWorker& worker(api::Registration wanted = registration()) {
        auto stream = get(role().register_worker(std::move(wanted), later()));
        EXPECT_TRUE(stream) << stream.error().message;
        auto& out = *workers_.emplace_back(std::make_unique<FakeWorker>());
        out.stream = std::move(*stream);
        group_.spawn(take(out));
        poll();
        return out;
    }
    api::AuthToken token() {
        auto info = get(role().get_info({}, later()));
        return info ? info->auth_token : api::AuthToken{};
    }
    static api::Job transcode(api::AuthToken token, std::size_t profiles = 1) {
        api::Job job;
        job.manifest_id = "m";
        job.token = std::move(token);
        api::TranscodeWork work;
        work.profiles.resize(profiles);
        job.needs = job::transcode_needs(work.profiles, job::SourceCodec::kH264, false);
        job.work.kind = std::move(work);
        job.work.input = Blob::copy_of("segment");
        return job;
    }
    static api::Job upscale(api::AuthToken token) {
        api::Job job;
        job.token = std::move(token);
        job.needs = job::ai_needs(job::Capability::kUpscale, kModel);
        job.work.kind = api::AiWork{"upscale", kModel, "{}"};
        return job;
    }
    using Answer = std::optional<Result<api::JobOutput>>;
    Answer& start(api::Job job, Duration limit = 60s) {
        auto& out = *answers_.emplace_back(std::make_unique<Answer>());
        group_.spawn(keep<api::JobOutput>(role().run(std::move(job), later(limit)), out));
        poll();
        return out;
    }
    Result<void> submit(
        const api::WorkerTask& task, Result<api::WorkOutput> outcome, std::string secret = kSecret
    ) {
        api::TaskReport report;
        report.kind = std::holds_alternative<api::AiWork>(task.work.kind) ? api::WorkerKind::kAi
                                                                          : api::WorkerKind::kTranscoder;
        report.id = task.id;
        report.secret = std::move(secret);
        report.outcome = std::move(outcome);
        auto result = get(role().submit(std::move(report), later()));
        poll();
        return result;
    }

    // A job that wants its renditions early, and who was told of what.
    Answer& start_early(std::size_t profiles, std::vector<std::pair<std::size_t, std::string>>& told) {
        api::Job job = transcode(token(), profiles);
        std::get<api::TranscodeWork>(job.work.kind).early = true;
        job.early = [&told](std::size_t index, const api::Artifact& artifact) {
            told.emplace_back(index, artifact.bytes.text());
        };
        return start(std::move(job));
    }
    Result<void> submit_early(
        const api::WorkerTask& task, std::size_t index, std::string_view bytes, std::string secret = kSecret
    ) {
        api::EarlyReport report{task.id, std::move(secret), index, {}};
        report.artifact.bytes = Blob::copy_of(bytes);
        return get(role().submit_early(std::move(report), later()));
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    Settings settings_;
    std::unique_ptr<Orchestrator> role_;
    std::vector<std::unique_ptr<FakeWorker>> workers_;
    std::vector<std::unique_ptr<Answer>> answers_;
    TaskGroup group_{loop_.get_executor(), 1000};
};

TEST_F(OrchestratorTest, RunsAJobOnItsWorker) {
    FakeWorker& w = worker();
    Answer& answer = start(transcode(token()));
    ASSERT_EQ(w.tasks.size(), 1u);
    EXPECT_EQ(w.tasks[0].work.input.text(), "segment");
    EXPECT_EQ(role().stats().in_flight, 1u);
    EXPECT_TRUE(submit(w.tasks[0], good_output()));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ((*answer)->output.artifacts.size(), 1u);
    EXPECT_EQ((*answer)->info->service_uri, "https://me");
    EXPECT_EQ(role().stats().in_flight, 0u);
    EXPECT_EQ(role().stats().jobs_done, 1u);
}

TEST_F(OrchestratorTest, AWorkerThatStopsGetsNoMore) {
    FakeWorker& first = worker();
    FakeWorker& second = worker();
    Answer& answer = start(transcode(token()));
    ASSERT_EQ(first.tasks.size(), 1u);
    api::TaskReport refusal;
    refusal.id = first.tasks[0].id;
    refusal.secret = kSecret;
    refusal.outcome = fail(Errc::kCapacity, "the worker stops");
    refusal.draining = true;
    EXPECT_TRUE(get(role().submit(std::move(refusal), later())));
    poll();
    ASSERT_EQ(second.tasks.size(), 1u);
    EXPECT_TRUE(submit(second.tasks[0], good_output()));
    ASSERT_TRUE(answer && *answer);
    start(transcode(token()));
    EXPECT_EQ(first.tasks.size(), 1u);
    EXPECT_EQ(second.tasks.size(), 2u);
    const auto info = get(role().get_info({}, later()));
    EXPECT_EQ(info->capabilities->capacities.at(0), 1u) << "one worker's H.264";
}

TEST_F(OrchestratorTest, DrainingFinishesWhatRunsAndRefusesTheRest) {
    settings_.fetch_time = 1s;
    FakeWorker& w = worker();
    Answer& answer = start(transcode(token()));
    std::optional<Result<bool>> drained;
    struct Drain {
        static Task<Result<bool>> run(Orchestrator& role, TimePoint until) {
            co_await role.drain(until);
            co_return true;
        }
    };
    group_.spawn(keep<bool>(Drain::run(role(), clock_.now() + 60s), drained));
    advance(2s);
    EXPECT_FALSE(drained);
    const auto full = get(role().get_info({}, later()));
    ASSERT_TRUE(full) << "a poll never fails";
    EXPECT_FALSE(job::compatible(transcode({}).needs, full->capabilities));
    const auto refused = get(role().get_info({.needs = transcode({}).needs}, later()));
    EXPECT_EQ(refused.error().message, kTextCapped);
    EXPECT_EQ(role().admit(transcode(full->auth_token)).error().message, kTextCapped);
    EXPECT_FALSE(get(role().register_worker(registration(), later())));
    EXPECT_TRUE(submit(w.tasks[0], good_output()));
    ASSERT_TRUE(answer && *answer);
    EXPECT_FALSE(drained) << "the gateway has not fetched the result";
    advance(2s);
    EXPECT_TRUE(drained);
}

TEST_F(OrchestratorTest, TellsOfRenditionsBeforeTheJobEnds) {
    FakeWorker& w = worker();
    std::vector<std::pair<std::size_t, std::string>> told;
    Answer& answer = start_early(2, told);
    ASSERT_EQ(w.tasks.size(), 1u);
    const std::string early(200, 'e');
    EXPECT_TRUE(submit_early(w.tasks[0], 1, early));
    EXPECT_TRUE(submit_early(w.tasks[0], 1, std::string(200, 'f'))) << "sent twice, told once";
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0], std::pair(std::size_t{1}, early));
    EXPECT_FALSE(answer);

    api::TaskReport report;
    report.id = w.tasks[0].id;
    report.secret = kSecret;
    report.delivered = {1};
    report.outcome = good_output(2);
    report.outcome->artifacts[1].bytes = {};
    EXPECT_TRUE(get(role().submit(std::move(report), later())));
    poll();
    ASSERT_TRUE(answer && *answer) << answer->error().message;
    EXPECT_EQ((*answer)->output.artifacts.at(1).bytes.text(), early);
    EXPECT_EQ(told.size(), 1u);
    EXPECT_EQ(role().stats().renditions_early, 2u);
}

TEST_F(OrchestratorTest, WhatWasToldStaysWhenAnotherWorkerEndsTheJob) {
    auto& first = worker();
    auto& second = worker();
    std::vector<std::pair<std::size_t, std::string>> told;
    Answer& answer = start_early(2, told);
    auto& busy = first.tasks.empty() ? second : first;
    auto& other = first.tasks.empty() ? first : second;
    const std::string early(200, 'e');
    EXPECT_TRUE(submit_early(busy.tasks.at(0), 0, early));
    busy.stream.reset();
    poll();
    ASSERT_EQ(other.tasks.size(), 1u);
    EXPECT_EQ(submit_early(busy.tasks[0], 1, early).error().code, Errc::kNotFound);
    EXPECT_TRUE(submit_early(other.tasks[0], 0, std::string(200, 'f')));
    EXPECT_TRUE(submit(other.tasks[0], good_output(2)));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ((*answer)->output.artifacts.at(0).bytes.text(), early);
    EXPECT_EQ(told.size(), 1u);
}

TEST_F(OrchestratorTest, TellsHowFarAnAiJobIsUntilNobodyWaits) {
    FakeWorker& w = worker(registration(api::WorkerKind::kAi));
    std::vector<int> told;
    api::Job job = upscale(token());
    job.progress = [&told](const api::Progress& progress) { told.push_back(progress.done); };
    Answer& answer = start(std::move(job));
    ASSERT_EQ(w.tasks.size(), 1u);
    EXPECT_TRUE(std::get<api::AiWork>(w.tasks[0].work.kind).progress);
    const auto report = [&](int done, std::string secret = kSecret) {
        return get(role().submit_progress({w.tasks[0].id, std::move(secret), {done, 10, {}}}, later()));
    };
    EXPECT_TRUE(report(1));
    EXPECT_EQ(report(2, "wrong").error().code, Errc::kUnauthorized);
    EXPECT_TRUE(report(3));
    EXPECT_EQ(told, (std::vector<int>{1, 3}));
    EXPECT_TRUE(submit(w.tasks[0], good_output(1)));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ(report(4).error().code, Errc::kNotFound);
}

TEST_F(OrchestratorTest, EarlyRenditionsAreChecked) {
    FakeWorker& w = worker();
    std::vector<std::pair<std::size_t, std::string>> told;
    Answer& answer = start_early(2, told);
    const std::string good(200, 'e');
    EXPECT_EQ(submit_early(w.tasks.at(0), 0, good, "guess").error().code, Errc::kUnauthorized);
    EXPECT_EQ(submit_early(w.tasks[0], 2, good).error().code, Errc::kInvalidArgument);
    EXPECT_EQ(submit_early(w.tasks[0], 0, "x").error().code, Errc::kInvalidArgument);
    EXPECT_TRUE(told.empty());

    api::TaskReport report;
    report.id = w.tasks[0].id;
    report.secret = kSecret;
    report.delivered = {0};
    report.outcome = good_output(2);
    EXPECT_TRUE(get(role().submit(std::move(report), later())));
    poll();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().code, Errc::kProtocol) << "it never delivered what it left out";

    Answer& plain = start(transcode(token(), 2));
    ASSERT_EQ(w.tasks.size(), 2u);
    EXPECT_EQ(submit_early(w.tasks[1], 0, good).error().code, Errc::kInvalidArgument) << "nobody asked";
    EXPECT_TRUE(submit(w.tasks[1], good_output(2)));
    EXPECT_TRUE(plain && *plain);
}

TEST_F(OrchestratorTest, EchoNeedsNoWorker) {
    api::Job job;
    job.token = token();
    job.work.kind = api::AiWork{"echo", "", "{}"};
    job.work.input = Blob::copy_of("hello");
    Answer& answer = start(std::move(job));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ((*answer)->output.artifacts[0].bytes.text(), "hello");
}

TEST_F(OrchestratorTest, WrongSecretIsRefusedAndItsResultsIgnored) {
    auto wrong = registration();
    wrong.secret = "guess";
    const auto refused = get(role().register_worker(wrong, later()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kUnauthorized);
    EXPECT_EQ(refused.error().message, "invalid secret");

    FakeWorker& w = worker();
    Answer& answer = start(transcode(token()));
    const auto forged = submit(w.tasks.at(0), good_output(), "guess");
    ASSERT_FALSE(forged);
    EXPECT_EQ(forged.error().code, Errc::kUnauthorized);
    EXPECT_FALSE(answer) << "a forged result must not be used";
    EXPECT_EQ(role().stats().results_refused, 1u);
    EXPECT_TRUE(submit(w.tasks[0], good_output()));
    EXPECT_TRUE(answer);
}

TEST_F(OrchestratorTest, ZeroCapacityIsRefused) {
    const auto refused = get(role().register_worker(registration(api::WorkerKind::kTranscoder, 0), later()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(refused.error().message, "zero capacity");
}

TEST_F(OrchestratorTest, AVanishedWorkersTaskGoesToAnotherAtOnce) {
    FakeWorker& first = worker();
    FakeWorker& second = worker();
    Answer& answer = start(transcode(token()));
    ASSERT_EQ(first.tasks.size(), 1u);
    const TimePoint before = clock_.now();
    first.stream.reset();
    poll();
    EXPECT_EQ(clock_.now(), before);
    ASSERT_EQ(second.tasks.size(), 1u);
    EXPECT_EQ(role().stats().redispatched, 1u);
    EXPECT_TRUE(submit(first.tasks[0], good_output())) << "a late result is accepted";
    EXPECT_FALSE(answer) << "... and ignored";
    EXPECT_EQ(role().stats().results_late, 1u);
    EXPECT_TRUE(submit(second.tasks[0], good_output()));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ(role().stats().workers, 1u);
}

TEST_F(OrchestratorTest, AFailedTaskIsTriedElsewhereButABadInputIsNot) {
    FakeWorker& first = worker();
    FakeWorker& second = worker();
    const auto auth = token();
    Answer& answer = start(transcode(auth));
    submit(first.tasks.at(0), fail(Errc::kUnavailable, "the executor died"));
    ASSERT_EQ(second.tasks.size(), 1u);
    submit(second.tasks[0], fail(Errc::kUnprocessable, "this is not media"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().code, Errc::kUnprocessable);
    EXPECT_EQ(first.tasks.size(), 1u);
}

TEST_F(OrchestratorTest, AResultThatIsNotWhatWasAskedForIsTriedElsewhere) {
    FakeWorker& first = worker();
    FakeWorker& second = worker();
    Answer& answer = start(transcode(token(), 2));
    submit(first.tasks.at(0), good_output(1));
    ASSERT_EQ(second.tasks.size(), 1u);
    auto empty = good_output(2);
    empty.artifacts[1].bytes = Blob::copy_of("tiny");
    submit(second.tasks[0], std::move(empty));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().code, Errc::kProtocol);
    EXPECT_EQ(answer->error().message, "ZeroSegments");
}

TEST_F(OrchestratorTest, SilentWorkersAreDroppedAfterTwoTimeouts) {
    settings_.attempts_max = 1;
    FakeWorker& w = worker();
    const auto auth = token();
    for (int i = 0; i < 2; ++i) {
        EXPECT_FALSE(w.ended);
        Answer& answer = start(transcode(auth));
        advance(9s);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->error().code, Errc::kDeadline);
    }
    EXPECT_TRUE(w.ended) << "its stream ends, so that it registers again if it lives";
    EXPECT_EQ(role().stats().workers, 0u);
    w.stream.reset();
}

TEST_F(OrchestratorTest, ACallersShortDeadlineIsNotHeldAgainstTheWorker) {
    FakeWorker& w = worker();
    const auto auth = token();
    for (int i = 0; i < 5; ++i) {
        start(transcode(auth), 1s);
        advance(2s);
    }
    EXPECT_FALSE(w.ended);
    EXPECT_EQ(role().stats().workers, 1u);
}

TEST_F(OrchestratorTest, TokensAreChecked) {
    worker();
    const auto error_of = [&](api::AuthToken auth) {
        Answer& answer = start(transcode(std::move(auth)));
        return answer && !*answer ? answer->error() : Error{};
    };
    EXPECT_EQ(error_of({}).message, "missing auth token");
    EXPECT_EQ(error_of({}).code, Errc::kForbidden);
    auto forged = token();
    forged.expires_unix_s += 3600;
    EXPECT_EQ(error_of(forged).message, "invalid auth token");
    const auto good = token();
    advance(31min);
    EXPECT_EQ(error_of(good).message, "expired auth token");
    EXPECT_EQ(role().stats().jobs_refused, 4u);
}

TEST_F(OrchestratorTest, IncompatibleJobsAreRefusedWithTheProtocolsText) {
    Answer& answer = start(transcode(token()));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().code, Errc::kForbidden);
    EXPECT_EQ(answer->error().message, "incompatible capabilities");
}

TEST_F(OrchestratorTest, SessionsAreLimited) {
    settings_.sessions.sessions_max = 2;
    worker(registration(api::WorkerKind::kTranscoder, 20));
    start(transcode(token()));
    start(transcode(token()));
    Answer& third = start(transcode(token()));
    ASSERT_TRUE(third);
    EXPECT_EQ(third->error().code, Errc::kCapacity);
    EXPECT_EQ(third->error().message, "OrchestratorCapped");
    api::InfoRequest ask;
    ask.needs = job::Capabilities{};
    const auto capped = get(role().get_info(ask, later()));
    ASSERT_FALSE(capped);
    EXPECT_EQ(capped.error().message, "OrchestratorCapped");
    EXPECT_TRUE(get(role().get_info({}, later()))) << "a poll must not fail because the node is busy";
}

TEST_F(OrchestratorTest, AnIdleSessionGivesWayAndTheLimitHolds) {
    settings_.sessions.sessions_max = 2;
    FakeWorker& w = worker(registration(api::WorkerKind::kTranscoder, 20));
    for (int i = 0; i < 6; ++i) {
        Answer& answer = start(transcode(token()));
        ASSERT_FALSE(answer) << i;
        for (const auto& task : w.tasks) {
            if (!task.session_ended) {
                submit(task, good_output());
            }
        }
        w.tasks.clear();
        EXPECT_LE(role().stats().sessions, 2u);
        advance(20s);
    }
}

TEST_F(OrchestratorTest, ASessionsQueueIsLimited) {
    settings_.sessions.queue_max = 4;
    worker(registration(api::WorkerKind::kTranscoder, 20));
    const auto auth = token();
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(start(transcode(auth)));
    }
    Answer& fifth = start(transcode(auth));
    ASSERT_TRUE(fifth);
    EXPECT_EQ(fifth->error().message, "OrchestratorBusy");
}

TEST_F(OrchestratorTest, JobsWaitForRoom) {
    FakeWorker& w = worker();
    Answer& first = start(transcode(token()));
    Answer& second = start(transcode(token()));
    EXPECT_EQ(w.tasks.size(), 1u);
    EXPECT_EQ(role().stats().waiting, 1u);
    submit(w.tasks[0], good_output());
    ASSERT_EQ(w.tasks.size(), 2u);
    submit(w.tasks[1], good_output());
    EXPECT_TRUE(first && *first);
    EXPECT_TRUE(second && *second);
    EXPECT_EQ(role().stats().waiting, 0u);
}

TEST_F(OrchestratorTest, WaitingEndsAtTheDeadlineAndIsLimited) {
    settings_.waiting_max = 1;
    worker();
    start(transcode(token()));
    Answer& waits = start(transcode(token()), 2s);
    Answer& refused = start(transcode(token()));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error().message, "no transcoders available");
    EXPECT_EQ(refused->error().code, Errc::kCapacity);
    advance(3s);
    ASSERT_TRUE(waits);
    EXPECT_EQ(waits->error().code, Errc::kCapacity);
}

TEST_F(OrchestratorTest, ModelsHaveTheirOwnCapacity) {
    FakeWorker& w = worker(registration(api::WorkerKind::kAi, 2));
    const auto auth = token();
    start(upscale(auth));
    start(upscale(auth));
    start(upscale(auth));
    EXPECT_EQ(w.tasks.size(), 2u);
    EXPECT_EQ(role().stats().waiting, 1u);
    Answer& wrong = start([&] {
        auto job = upscale(auth);
        std::get<api::AiWork>(job.work.kind).model_id = "other/model";
        job.needs = job::ai_needs(job::Capability::kUpscale, "other/model");
        return job;
    }());
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->error().message, "insufficient capacity");
}

TEST_F(OrchestratorTest, AModelWhoseLastWorkerHasGoneIsFull) {
    FakeWorker& w = worker(registration(api::WorkerKind::kAi));
    const auto auth = token();
    EXPECT_TRUE(role().admit(upscale(auth)));
    w.stream.reset();
    const auto gone = role().admit(upscale(auth));
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, Errc::kCapacity);
    EXPECT_EQ(gone.error().message, "insufficient capacity");
    auto forged = auth;
    forged.session_id = "other";
    EXPECT_EQ(role().admit(upscale(forged)).error().code, Errc::kForbidden) << "credentials come first";
    worker(registration(api::WorkerKind::kAi));
    auto picky = upscale(auth);
    picky.needs.add(job::Capability::kVp9Encode);
    EXPECT_EQ(role().admit(picky).error().message, "incompatible capabilities");
}

TEST_F(OrchestratorTest, SessionsStickToTheirWorker) {
    FakeWorker& first = worker(registration(api::WorkerKind::kTranscoder, 4));
    FakeWorker& second = worker(registration(api::WorkerKind::kTranscoder, 4));
    const auto auth = token();
    for (int i = 0; i < 3; ++i) {
        start(transcode(auth));
    }
    EXPECT_EQ(first.tasks.size() * second.tasks.size(), 0u) << "all three at one worker";
    start(transcode(token()));
    EXPECT_EQ(first.tasks.size() * second.tasks.size(), 3u) << "another session at the other one";
}

TEST_F(OrchestratorTest, EndSessionFreesAndTellsTheWorker) {
    FakeWorker& w = worker(registration(api::WorkerKind::kTranscoder, 4));
    const auto auth = token();
    const std::string path = role().store(auth.session_id, "in/1", Blob::copy_of("input"));
    EXPECT_TRUE(role().stored(path));
    Answer& first = start(transcode(auth));
    auto forged = auth;
    forged.session_id = "other";
    EXPECT_FALSE(get(role().end_session(forged, later())));
    EXPECT_TRUE(get(role().end_session(auth, later())));
    poll();
    EXPECT_FALSE(role().stored(path));
    EXPECT_EQ(role().stats().sessions, 0u);
    ASSERT_EQ(w.tasks.size(), 2u);
    EXPECT_EQ(w.tasks[1].session_ended, auth.session_id);
    // The token still works and opens the session anew; the job of the ended one must not count it down.
    Answer& second = start(transcode(auth));
    submit(w.tasks[0], good_output());
    EXPECT_TRUE(first && *first);
    EXPECT_EQ(role().stats().sessions, 1u);
    submit(w.tasks[2], good_output());
    EXPECT_TRUE(second && *second);
}

TEST_F(OrchestratorTest, IdleSessionsExpire) {
    FakeWorker& w = worker();
    start(transcode(token()));
    submit(w.tasks.at(0), good_output());
    EXPECT_EQ(role().stats().sessions, 1u);
    advance(71s);
    token();
    EXPECT_EQ(role().stats().sessions, 0u);
}

TEST_F(OrchestratorTest, CancelledJobsLeaveNothingBehind) {
    FakeWorker& w = worker();
    TaskGroup jobs(loop_.get_executor(), 10);
    Answer running;
    Answer waiting;
    jobs.spawn(keep<api::JobOutput>(role().run(transcode(token()), later()), running));
    poll();
    jobs.spawn(keep<api::JobOutput>(role().run(transcode(token()), later()), waiting));
    poll();
    EXPECT_EQ(role().stats().in_flight, 1u);
    EXPECT_EQ(role().stats().waiting, 1u);
    jobs.cancel();
    poll();
    EXPECT_EQ(jobs.size(), 0u);
    EXPECT_EQ(role().stats().in_flight, 0u);
    EXPECT_EQ(role().stats().waiting, 0u);
    EXPECT_TRUE(submit(w.tasks.at(0), good_output())) << "late";
}

TEST_F(OrchestratorTest, StoppingEndsRegistrationsAndRefusesJobs) {
    FakeWorker& w = worker();
    const auto auth = token();
    role().stop();
    poll();
    ASSERT_TRUE(w.ended);
    Answer& answer = start(transcode(auth));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error().message, "OrchestratorCapped");
}

TEST_F(OrchestratorTest, TaskIdsOfARestartedNodeDoNotRepeat) {
    FakeWorker& w = worker();
    start(transcode(token()));
    const TaskId before = w.tasks.at(0).id;
    group_.cancel();
    poll();
    workers_.clear();
    role_ = make_orchestrator({loop_.get_executor(), clock_, random_, {}, nullptr}, settings_);
    TaskGroup fresh(loop_.get_executor(), 10);
    std::optional<Result<std::unique_ptr<api::TaskStream>>> stream;
    fresh.spawn(
        keep<std::unique_ptr<api::TaskStream>>(role_->register_worker(registration(), later()), stream)
    );
    poll();
    FakeWorker again{std::move(**stream), {}, {}};
    fresh.spawn(take(again));
    std::optional<Result<api::OrchestratorInfo>> info;
    fresh.spawn(keep<api::OrchestratorInfo>(role_->get_info({}, later()), info));
    poll();
    Answer answer;
    fresh.spawn(keep<api::JobOutput>(role_->run(transcode((*info)->auth_token), later()), answer));
    poll();
    ASSERT_EQ(again.tasks.size(), 1u);
    EXPECT_NE(again.tasks[0].id.value, before.value);
    fresh.cancel();
    poll();
}

TEST(MemoryStore, IsBoundedOldestOutFirst) {
    MemoryStore store(10'000);
    for (int i = 0; i < 100; ++i) {
        store.put("/stream/a/" + std::to_string(i), Blob(Bytes(1000)));
        EXPECT_LE(store.bytes(), 10'000u);
    }
    EXPECT_FALSE(store.get("/stream/a/0"));
    EXPECT_TRUE(store.get("/stream/a/99"));
    store.put("/stream/b/1", Blob(Bytes(10)));
    store.put("/stream/b/1", Blob(Bytes(20)));
    EXPECT_EQ(store.get("/stream/b/1")->size(), 20u);
    store.erase_prefix("/stream/a/");
    EXPECT_EQ(store.files(), 1u);
    store.put("/stream/c/big", Blob(Bytes(50'000)));
    EXPECT_EQ(store.files(), 1u) << "a file larger than the store is kept alone";
    store.erase_prefix("/stream/");
    EXPECT_EQ(store.bytes(), 0u);
}

}  // namespace
}  // namespace framegrid::orchestrator
