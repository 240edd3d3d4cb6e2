#include <framegrid/worker/worker.hpp>

#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/channel.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::worker {
namespace {

using namespace std::chrono_literals;

class FakeHost final : public api::WorkerHost {
  public:
    using Tasks = Channel<api::WorkerTask>;
    class Stream final : public api::TaskStream {
      public:
        Stream(std::shared_ptr<Tasks> tasks, int& open) : tasks_(std::move(tasks)), open_(open) { ++open_; }
        ~Stream() override { --open_; }
        Stream(const Stream&) = delete;
        Stream& operator=(const Stream&) = delete;
        Task<Result<api::WorkerTask>> next() override {
            auto task = co_await tasks_->receive();
            if (!task) {
                co_return fail(Errc::kUnavailable, "the stream ended");
            }
            co_return std::move(*task);
        }

      private:
        std::shared_ptr<Tasks> tasks_;
        int& open_;
    };

    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(api::Registration registration, Deadline)
        override {
        registrations.push_back(registration);
        if (refuse) {
            co_return fail(*refuse);
        }
        tasks = std::make_shared<Tasks>(100);
        co_return std::make_unique<Stream>(tasks, open);
    }
    Task<Result<Blob>> fetch_input(std::string url, Deadline) override {
        if (url == "/missing") {
            co_return fail(Errc::kNotFound, "no such input");
        }
        co_return Blob::copy_of("input of " + url);
    }
    Task<Result<void>> submit(api::TaskReport report, Deadline) override {
        ++submits;
        if (submit_failures > 0) {
            --submit_failures;
            co_return fail(Errc::kUnavailable, "connection reset");
        }
        reports.push_back(std::move(report));
        co_return Result<void>{};
    }

    Task<Result<void>> submit_early(api::EarlyReport report, Deadline) override {
        if (refuse_early) {
            co_return fail(*refuse_early);
        }
        early.push_back(std::move(report));
        co_return Result<void>{};
    }

    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline) override {
        progress.push_back(std::move(report));
        if (refuse_progress) {
            co_return fail(*refuse_progress);
        }
        co_return Result<void>{};
    }

    std::optional<Error> refuse;
    std::optional<Error> refuse_progress;
    std::vector<api::ProgressReport> progress;
    std::optional<Error> refuse_early;
    std::vector<api::EarlyReport> early;
    int submit_failures = 0;
    int submits = 0;
    int open = 0;
    std::shared_ptr<Tasks> tasks;
    std::vector<api::Registration> registrations;
    std::vector<api::TaskReport> reports;
};

class FakeExecutor final : public api::WorkExecutor {
  public:
    explicit FakeExecutor(Clock& clock) : clock_(clock) {}
    Task<Result<api::WorkOutput>> run(api::Work work, Deadline, api::WorkEvents events) override {
        const api::ArtifactSink early = events.artifact;
        struct Count {
            int& running;
            explicit Count(int& value) : running(value) { ++running; }
            ~Count() { --running; }
            Count(const Count&) = delete;
            Count& operator=(const Count&) = delete;
        };
        const Count count(running);
        inputs.emplace_back(work.input.text());
        if (early) {
            co_await sleep_for(clock_, takes / 2);
            early(1, api::Artifact{"P144", "video/mp2t", Blob::copy_of("small"), {}, {}});
        }
        for (int step = 1; events.progress && step <= 10; ++step) {
            co_await sleep_for(clock_, takes / 10);
            events.progress({step, 10, step == 3 ? Blob::copy_of("preview") : Blob()});
        }
        if (!events.progress) {
            co_await sleep_for(clock_, takes);
        }
        if (failure) {
            co_return fail(*failure);
        }
        co_return api::WorkOutput{};
    }
    void end_session(const std::string& session_id) override { ended.push_back(session_id); }

    Duration takes = 100ms;
    std::optional<Error> failure;
    int running = 0;
    std::vector<std::string> inputs;
    std::vector<std::string> ended;

  private:
    Clock& clock_;
};

Task<void> serve(Worker& worker, std::optional<Result<void>>& out) {
    auto ended = co_await worker.run();
    out.emplace(std::move(ended));
}

class WorkerTest : public testing::Test {
  protected:
    WorkerTest() {
        settings_.orchestrators = {"a", "b"};
        settings_.secret = "s3cret";
        settings_.transcode_capacity = 2;
        hosts_["a"] = std::make_shared<FakeHost>();
        hosts_["b"] = std::make_shared<FakeHost>();
    }
    ~WorkerTest() override {
        group_.cancel();
        poll();
    }
    FakeHost& host(const std::string& uri = "a") { return *hosts_.at(uri); }
    Worker& role() {
        if (!role_) {
            role_ = make_worker(
                {loop_.get_executor(),
                 clock_,
                 random_,
                 {},
                 work_,
                 [this](const std::string& uri) -> std::shared_ptr<api::WorkerHost> { return hosts_.at(uri); }
                },
                settings_
            );
            group_.spawn(serve(*role_, ended_));
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
    void give(std::int64_t id, std::string url = {}, const std::string& uri = "a", bool early = false) {
        api::WorkerTask task;
        task.id = TaskId{id};
        api::TranscodeWork work;
        work.profiles.resize(2);
        work.early = early;
        task.work.kind = std::move(work);
        task.input_url = std::move(url);
        ASSERT_TRUE(host(uri).tasks->try_send(std::move(task)));
        poll();
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    FakeExecutor work_{clock_};
    Settings settings_;
    std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
    std::unique_ptr<Worker> role_;
    std::optional<Result<void>> ended_;
    TaskGroup group_{loop_.get_executor(), 10};
};

TEST_F(WorkerTest, RegistersWorksAndReports) {
    role();
    ASSERT_EQ(host().registrations.size(), 1u);
    EXPECT_EQ(host().registrations[0].secret, "s3cret");
    EXPECT_EQ(host().registrations[0].capacity, 2);
    give(7, "/in/7");
    EXPECT_EQ(role().stats().tasks_running, 1u);
    advance(200ms);
    ASSERT_EQ(host().reports.size(), 1u);
    EXPECT_EQ(host().reports[0].id, TaskId{7});
    EXPECT_EQ(host().reports[0].secret, "s3cret");
    EXPECT_TRUE(host().reports[0].outcome);
    EXPECT_EQ(work_.inputs.at(0), "input of /in/7");
    EXPECT_EQ(role().stats().tasks_done, 1u);
}

TEST_F(WorkerTest, DrainingFinishesWhatRunsAndRefusesTheRest) {
    role();
    give(1);
    struct Drain {
        static Task<void> run(Worker& role, TimePoint until, bool& done) {
            co_await role.drain(until);
            done = true;
        }
    };
    bool done = false;
    group_.spawn(Drain::run(role(), clock_.now() + 60s, done));
    poll();
    give(2);
    ASSERT_EQ(host().reports.size(), 1u);
    EXPECT_EQ(host().reports[0].id, TaskId{2});
    EXPECT_EQ(host().reports[0].outcome.error().code, Errc::kCapacity);
    EXPECT_TRUE(host().reports[0].draining);
    EXPECT_FALSE(done);
    advance(200ms);
    ASSERT_EQ(host().reports.size(), 2u);
    EXPECT_EQ(host().reports[1].id, TaskId{1});
    EXPECT_TRUE(host().reports[1].outcome);
    EXPECT_TRUE(host().reports[1].draining);
    EXPECT_TRUE(done);
    EXPECT_EQ(host().open, 1) << "the registration ends with the process";
}

TEST_F(WorkerTest, RegistersOnceForEachKind) {
    settings_.ai_capabilities.add_model(job::Capability::kUpscale, "m", {.warm = true, .capacity = 1});
    role();
    ASSERT_EQ(host().registrations.size(), 2u);
    EXPECT_NE(host().registrations[0].kind, host().registrations[1].kind);
    EXPECT_EQ(role().stats().registered, 2u);
}

TEST_F(WorkerTest, FailuresAreReportedAsSuch) {
    role();
    give(1, "/missing");
    work_.failure = make_error(Errc::kUnprocessable, "this is not media");
    give(2);
    advance(1s);
    ASSERT_EQ(host().reports.size(), 2u);
    EXPECT_EQ(host().reports[0].outcome.error().message, "fetch input: no such input");
    EXPECT_EQ(host().reports[0].outcome.error().disposition, Disposition::kRetry);
    EXPECT_EQ(host().reports[1].outcome.error().code, Errc::kUnprocessable);
    EXPECT_EQ(role().stats().tasks_failed, 2u);
}

TEST_F(WorkerTest, GoesToTheNextOrchestratorAndComesBackWithBackOff) {
    host("a").refuse = make_error(Errc::kUnavailable, "connection refused");
    host("b").refuse = make_error(Errc::kUnavailable, "connection refused");
    role();
    advance(60s);
    const std::size_t tries = host("a").registrations.size() + host("b").registrations.size();
    EXPECT_GT(tries, 6u);
    EXPECT_LT(tries, 20u) << "the pause grows to 10 s";
    EXPECT_LE(host("a").registrations.size() - host("b").registrations.size(), 1u) << "in turn";
    host("b").refuse.reset();
    advance(25s);
    EXPECT_EQ(host("b").open, 1);
    EXPECT_EQ(role().stats().registered, 1u);
}

TEST_F(WorkerTest, ALongRegistrationIsResumedQuickly) {
    role();
    advance(60s);
    host("a").tasks->close();
    advance(300ms);
    EXPECT_EQ(host("b").open, 1);
    EXPECT_EQ(host("a").open, 0);
}

TEST_F(WorkerTest, AWrongSecretEndsIt) {
    host("a").refuse = make_error(Errc::kUnauthorized, "invalid secret");
    role();
    advance(60s);
    ASSERT_TRUE(ended_);
    EXPECT_EQ(ended_->error().code, Errc::kUnauthorized);
    EXPECT_EQ(host("a").registrations.size() + host("b").registrations.size(), 1u);
}

TEST_F(WorkerTest, NothingToOfferIsAClearError) {
    settings_.transcode_capacity = 0;
    role();
    ASSERT_TRUE(ended_);
    EXPECT_EQ(ended_->error().code, Errc::kInvalidArgument);
    EXPECT_EQ(ended_->error().field, "capacity");
}

TEST_F(WorkerTest, TasksEndWithTheirRegistration) {
    role();
    give(1);
    give(2);
    EXPECT_EQ(work_.running, 2);
    host().tasks->close();
    poll();
    EXPECT_EQ(work_.running, 0);
    EXPECT_EQ(role().stats().tasks_running, 0u);
    advance(5s);
    EXPECT_EQ(host("a").submits, 0) << "the orchestrator has given them to somebody else";
}

TEST_F(WorkerTest, ALostReportIsSentAgain) {
    role();
    host().submit_failures = 2;
    give(1);
    advance(3s);
    EXPECT_EQ(host().submits, 3);
    EXPECT_EQ(host().reports.size(), 1u);
    host().submit_failures = 10;
    give(2);
    advance(10s);
    EXPECT_EQ(host().submits, 6);
    EXPECT_EQ(role().stats().reports_lost, 1u);
}

TEST_F(WorkerTest, RenditionsAreDeliveredAsTheyAreDone) {
    role();
    give(1, {}, "a", true);
    advance(60ms);
    ASSERT_EQ(host().early.size(), 1u);
    EXPECT_EQ(host().early[0].id, TaskId{1});
    EXPECT_EQ(host().early[0].secret, "s3cret");
    EXPECT_EQ(host().early[0].index, 1u);
    EXPECT_EQ(host().early[0].artifact.bytes.text(), "small");
    EXPECT_TRUE(host().reports.empty());
    advance(200ms);
    ASSERT_EQ(host().reports.size(), 1u);
    EXPECT_EQ(host().reports[0].delivered, std::vector<std::size_t>{1});
    EXPECT_EQ(role().stats().renditions_early, 1u);
}

TEST_F(WorkerTest, ARenditionThatWasNotTakenEarlyComesWithTheReport) {
    role();
    host().refuse_early = make_error(Errc::kUnavailable, "connection reset");
    give(1, {}, "a", true);
    give(2);
    advance(200ms);
    ASSERT_EQ(host().reports.size(), 2u);
    EXPECT_TRUE(host().reports[0].delivered.empty());
    EXPECT_TRUE(host().reports[1].delivered.empty()) << "nobody asked for it";
    EXPECT_EQ(role().stats().renditions_early, 0u);
    EXPECT_EQ(role().stats().reports_lost, 0u);
}

class AiWorkerTest : public WorkerTest {
  protected:
    AiWorkerTest() {
        settings_.transcode_capacity = 0;
        settings_.ai_capabilities.add_model(job::Capability::kUpscale, "m", {.warm = true, .capacity = 1});
        work_.takes = 1s;
    }
    void give_ai(std::int64_t id, const std::string& uri = "a") {
        api::WorkerTask task;
        task.id = TaskId{id};
        api::AiWork work;
        work.pipeline = "upscale";
        work.progress = true;
        task.work.kind = std::move(work);
        ASSERT_TRUE(host(uri).tasks->try_send(std::move(task)));
        poll();
    }
};

TEST_F(AiWorkerTest, ReportsStepsNowAndThenAndPreviewsAtOnce) {
    role();
    give_ai(1);
    advance(2s);
    ASSERT_EQ(host().reports.size(), 1u);
    EXPECT_TRUE(host().reports[0].outcome);
    ASSERT_GE(host().progress.size(), 4u);
    EXPECT_LE(host().progress.size(), 7u) << "not each of ten steps, which are 100 ms apart";
    EXPECT_EQ(host().progress[0].progress.done, 1);
    EXPECT_EQ(host().progress[0].id, TaskId{1});
    EXPECT_EQ(host().progress[0].secret, "s3cret");
    EXPECT_TRUE(std::ranges::any_of(host().progress, [](const auto& report) {
        return report.progress.done == 3 && report.progress.preview.text() == "preview";
    }));
    EXPECT_TRUE(std::ranges::is_sorted(host().progress, {}, [](const auto& r) { return r.progress.done; }));
}

TEST_F(AiWorkerTest, StopsWhenNobodyWaitsAnyMore) {
    role();
    host().refuse_progress = make_error(Errc::kNotFound, "nobody waits for this task");
    give_ai(1);
    EXPECT_EQ(work_.running, 1);
    advance(200ms);
    EXPECT_EQ(work_.running, 0);
    EXPECT_EQ(role().stats().tasks_running, 0u);
}

TEST_F(AiWorkerTest, ATaskOutlivesItsRegistration) {
    role();
    give_ai(1);
    advance(300ms);
    host().tasks->close();
    advance(500ms);
    EXPECT_EQ(work_.running, 1);
    EXPECT_EQ(host("b").open, 1);
    host("a").submit_failures = 4;  // it is away for a while
    advance(1s);
    EXPECT_EQ(work_.running, 0);
    EXPECT_TRUE(host("a").reports.empty());
    advance(5s);
    ASSERT_EQ(host("a").reports.size(), 1u);
    EXPECT_EQ(host("a").reports[0].id, TaskId{1});
    EXPECT_TRUE(host("a").reports[0].outcome);
    EXPECT_EQ(role().stats().reports_lost, 0u);
}

TEST_F(AiWorkerTest, TasksOfRegistrationsThatEndedAreBounded) {
    work_.takes = 1h;
    role();
    give_ai(1);
    give_ai(2);
    host("a").tasks->close();
    advance(1s);
    give_ai(3, "b");
    ASSERT_EQ(host("b").reports.size(), 1u);
    EXPECT_EQ(host("b").reports[0].outcome.error().code, Errc::kCapacity);
    EXPECT_EQ(work_.running, 2);
    group_.cancel();
    poll();
    EXPECT_EQ(work_.running, 0) << "none outlives the worker";
    EXPECT_TRUE(host("a").reports.empty());
}

TEST_F(AiWorkerTest, AProgressReportThatFailsCostsNothing) {
    role();
    host().refuse_progress = make_error(Errc::kUnavailable, "connection reset");
    give_ai(1);
    advance(2s);
    ASSERT_EQ(host().reports.size(), 1u);
    EXPECT_TRUE(host().reports[0].outcome);
    EXPECT_EQ(role().stats().progress_reports, 0u);
}

TEST_F(WorkerTest, TooManyTasksAreRefusedNotDropped) {
    role();
    work_.takes = 1h;
    for (int i = 0; i < 6; ++i) {
        give(i);
    }
    EXPECT_EQ(work_.running, 4) << "twice the capacity";
    ASSERT_EQ(host().reports.size(), 2u);
    EXPECT_EQ(host().reports[0].outcome.error().code, Errc::kCapacity);
    EXPECT_EQ(role().stats().tasks_refused, 2u);
}

TEST_F(WorkerTest, EndedSessionsAreToldToTheExecutor) {
    role();
    api::WorkerTask notice;
    notice.session_ended = "session";
    ASSERT_TRUE(host().tasks->try_send(std::move(notice)));
    poll();
    ASSERT_EQ(work_.ended.size(), 1u);
    EXPECT_EQ(work_.ended[0], "session");
}

}  // namespace
}  // namespace framegrid::worker
