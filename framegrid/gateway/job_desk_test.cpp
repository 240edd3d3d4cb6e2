#include <framegrid/gateway/job_desk.hpp>

#include <deque>

#include <boost/asio/io_context.hpp>

#include <framegrid/api/memory_job_store.hpp>
#include <framegrid/gateway/job_messages.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

using namespace std::chrono_literals;
using job::State;

// Runs a job for `time`, telling of progress halfway, and answers what the test wants.
class FakeRunner final : public JobRunner {
  public:
    explicit FakeRunner(Clock& clock) : clock_(clock) {}
    Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) override {
        ++started;
        ++now;
        most = std::max(most, now);
        struct Leave {
            std::size_t& now;
            ~Leave() { --now; }
        } leave{now};
        order += record.request.substr(1, 1);
        co_await sleep_for(clock_, time / 2);
        tell("progress", R"({"step":1})", Blob::copy_of("jpeg"));
        co_await sleep_for(clock_, time / 2);
        if (!failures.empty()) {
            auto error = failures.front();
            failures.pop_front();
            co_return fail(std::move(error));
        }
        if (deadline.passed(clock_)) {
            co_return fail(Errc::kDeadline, "too late");
        }
        ++finished;
        co_return R"({"outputs":[{"artifact":"art_x"}]})";
    }

    Duration time = 100ms;
    std::deque<Error> failures;
    std::size_t started = 0;
    std::size_t finished = 0;
    std::size_t now = 0;
    std::size_t most = 0;
    std::string order;

  private:
    Clock& clock_;
};

class FakeSender final : public MessageSender {
  public:
    Task<Result<int>> send(job::Delivery message, Deadline /*deadline*/) override {
        sent.push_back(std::move(message));
        if (answers.empty()) {
            co_return 200;
        }
        auto answer = std::move(answers.front());
        answers.pop_front();
        co_return answer;
    }
    std::vector<job::Delivery> sent;
    std::deque<Result<int>> answers;
};

class DeskTest : public testing::Test {
  protected:
    DeskTest() { start(); }
    ~DeskTest() override { stop(); }

    void start() {
        desk_ = make_job_desk(
            {loop_.get_executor(),
             clock_,
             random_,
             {},
             store_,
             runner_,
             sender_,
             [this](const std::string& owner) { return limits_[owner]; }},
            settings_
        );
        group_ = std::make_unique<TaskGroup>(loop_.get_executor(), 1);
        struct Serve {
            static Task<void> run(JobDesk& desk) { (void)co_await desk.serve(); }
        };
        group_->spawn(Serve::run(*desk_));
        settle();
    }
    // As a crash: nothing more is written.
    void stop() {
        if (group_) {
            boost::asio::co_spawn(loop_, group_->close(), [](std::exception_ptr) {});
            settle();
            group_.reset();
            desk_.reset();
        }
    }
    void settle() {
        loop_.restart();
        while (loop_.poll() > 0) {
        }
    }
    void pass(Duration duration) {
        const auto until = clock_.now() + duration;
        while (clock_.now() < until) {
            clock_.advance_to(std::min(until, clock_.now() + 10ms));
            settle();
        }
    }
    template <class T>
    Result<T> run(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        boost::asio::co_spawn(loop_, std::move(task), [&out](std::exception_ptr exception, Result<T> result) {
            out.emplace(exception ? Result<T>(fail(error_from(exception))) : std::move(result));
        });
        settle();
        while (!out) {
            pass(10ms);
        }
        return std::move(*out);
    }
    static NewJob new_job(std::string request, std::string owner = "") {
        NewJob out;
        out.owner = std::move(owner);
        out.kind = "echo";
        out.request = R"({)" + std::move(request) + R"(})";
        return out;
    }
    std::string submit(NewJob job) {
        const auto submitted = run(desk_->submit(std::move(job)));
        EXPECT_TRUE(submitted) << submitted.error().message;
        return submitted ? submitted->record.id : "";
    }
    State state_of(const std::string& id) { return run(store_.get(id))->state; }
    std::string kinds_of(const std::string& id) {
        std::string out;
        std::uint64_t number = 0;
        const auto events = run(store_.events(id, 0, 100));
        for (const auto& event : *events) {
            EXPECT_EQ(event.number, ++number) << "numbers have no gaps";
            out += (out.empty() ? "" : " ") + event.kind;
        }
        return out;
    }

    static DeskSettings test_settings() {
        DeskSettings out;
        out.holder = "gateway-a";
        out.progress_period = 20ms;
        return out;
    }

    boost::asio::io_context loop_;
    ManualClock clock_;
    SeededRandom random_{7};
    api::MemoryJobStore store_{clock_};
    FakeRunner runner_{clock_};
    FakeSender sender_;
    DeskSettings settings_ = test_settings();
    std::map<std::string, OwnerLimits> limits_;
    std::unique_ptr<JobDesk> desk_;
    std::unique_ptr<TaskGroup> group_;
};

TEST_F(DeskTest, AJobRunsOnceAndTellsHow) {
    const auto id = submit(new_job("1"));
    pass(200ms);
    EXPECT_EQ(state_of(id), State::kSucceeded);
    EXPECT_EQ(kinds_of(id), "queued started progress succeeded");
    EXPECT_EQ(runner_.finished, 1U);
    EXPECT_EQ(desk_->stats().succeeded, 1U);
    EXPECT_EQ(desk_->stats().running, 0U);
}

TEST_F(DeskTest, ARestartContinues) {
    runner_.time = 10s;
    settings_.running_max = 1;
    stop();
    start();
    const auto first = submit(new_job("1"));
    const auto second = submit(new_job("2"));
    pass(4s);
    stop();
    EXPECT_EQ(state_of(first), State::kRunning);
    start();
    pass(25s);
    EXPECT_EQ(state_of(first), State::kSucceeded);
    EXPECT_EQ(state_of(second), State::kSucceeded);
    EXPECT_EQ(runner_.started, 3U);
    EXPECT_EQ(runner_.finished, 2U);
    EXPECT_EQ(kinds_of(first), "queued started started progress succeeded");
}

TEST_F(DeskTest, AnOrderlyStopIsNoCrash) {
    settings_.running_max = 2;
    stop();
    start();
    runner_.time = 10s;
    const auto slow = submit(new_job("1"));
    pass(6s);
    const auto late = submit(new_job("2"));
    const auto queued = submit(new_job("3"));
    bool drained = false;
    boost::asio::co_spawn(loop_, desk_->drain(clock_.now() + 5s), [&](std::exception_ptr) {
        drained = true;
    });
    settle();
    EXPECT_TRUE(desk_->draining());
    const auto refused = run(desk_->submit(new_job("4")));
    EXPECT_EQ(refused.error().code, Errc::kUnavailable);
    pass(4500ms);
    EXPECT_EQ(state_of(slow), State::kSucceeded) << "it had time enough";
    EXPECT_EQ(runner_.started, 2U) << "nothing new is begun";
    EXPECT_FALSE(drained);
    pass(1s);
    EXPECT_TRUE(drained);
    EXPECT_EQ(state_of(late), State::kQueued);
    EXPECT_EQ(run(store_.get(late))->crashes, 0);
    EXPECT_NE(run(store_.events(late, 3, 9))->front().data.find("another process"), std::string::npos);
    stop();
    start();
    pass(25s);
    EXPECT_EQ(state_of(late), State::kSucceeded);
    EXPECT_EQ(state_of(queued), State::kSucceeded);
}

TEST_F(DeskTest, AJobThatKillsItsGatewayIsGivenUp) {
    runner_.time = 10s;
    const auto id = submit(new_job("1"));
    for (int i = 0; i < settings_.crashes_max; ++i) {
        pass(1s);
        stop();
        start();
    }
    pass(100ms);
    EXPECT_EQ(state_of(id), State::kFailed);
    EXPECT_EQ(runner_.started, 5U);
    EXPECT_NE(run(store_.get(id))->result.find("went away 5 times"), std::string::npos);
}

TEST_F(DeskTest, WaitsWhileNobodyCanDoIt) {
    runner_.failures = {make_error(Errc::kCapacity, "all full"), make_error(Errc::kUnavailable, "all away")};
    const auto id = submit(new_job("1"));
    pass(500ms);
    EXPECT_EQ(state_of(id), State::kQueued);
    EXPECT_EQ(desk_->stats().queued, 1U);
    pass(5s);
    EXPECT_EQ(state_of(id), State::kSucceeded);
    EXPECT_EQ(
        kinds_of(id), "queued started progress waiting started progress waiting started progress succeeded"
    );
}

TEST_F(DeskTest, WaitingIsNoCrash) {
    for (int i = 0; i < 20; ++i) {
        runner_.failures.push_back(make_error(Errc::kUnavailable, "all away"));
    }
    const auto id = submit(new_job("1"));
    pass(15min);
    EXPECT_EQ(state_of(id), State::kSucceeded);
    EXPECT_EQ(runner_.started, 21U);
}

TEST_F(DeskTest, FailsWithTheReason) {
    runner_.failures = {make_error(Errc::kUnprocessable, "not a picture", "inputs.image")};
    const auto id = submit(new_job("1"));
    pass(500ms);
    const auto record = *run(store_.get(id));
    EXPECT_EQ(record.state, State::kFailed);
    EXPECT_EQ(
        record.result, R"({"error":{"code":"unprocessable","message":"not a picture","field":"inputs.image",)"
                       R"("what_to_do":"check that the file plays elsewhere"}})"
    );
}

TEST_F(DeskTest, TheDeadlineEndsTheWaiting) {
    for (int i = 0; i < 100; ++i) {
        runner_.failures.push_back(make_error(Errc::kUnavailable, "all away"));
    }
    auto job = new_job("1");
    job.deadline_ms = 3'000;
    const auto id = submit(std::move(job));
    pass(10s);
    EXPECT_EQ(state_of(id), State::kFailed);
}

TEST_F(DeskTest, CancelEndsRunningAndQueuedJobs) {
    runner_.time = 60s;
    settings_.running_max = 1;
    stop();
    start();
    const auto running = submit(new_job("1"));
    const auto queued = submit(new_job("2"));
    pass(1s);
    EXPECT_EQ(run(desk_->cancel(queued))->state, State::kCancelled);
    (void)run(desk_->cancel(running));
    pass(100ms);
    EXPECT_EQ(state_of(running), State::kCancelled);
    EXPECT_EQ(kinds_of(queued), "queued cancelled");
    EXPECT_EQ(kinds_of(running), "queued started cancelled");
    EXPECT_EQ(runner_.now, 0U);
    EXPECT_EQ(run(desk_->cancel(running))->state, State::kCancelled);
    EXPECT_EQ(desk_->stats().cancelled, 2U);
    pass(100s);
    EXPECT_EQ(runner_.started, 1U);
}

TEST_F(DeskTest, AFullStoreLosesNothing) {
    const auto id = submit(new_job("1"));
    pass(60ms);
    store_.break_with(make_error(Errc::kIo, "disk full"));
    const auto refused = run(desk_->submit(new_job("2")));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kIo);
    pass(20s);
    store_.break_with(std::nullopt);
    pass(3s);
    EXPECT_EQ(state_of(id), State::kSucceeded);
    EXPECT_EQ(runner_.finished, 1U) << "the result was kept, not made again";
}

TEST_F(DeskTest, WhatOthersLeftIsFoundBehindManyThatWait) {
    settings_.shared_store = true;
    settings_.running_max = 1;
    runner_.time = 1h;
    stop();
    start();
    submit(new_job("0"));
    constexpr int kLeft = 4'500;
    for (int i = 0; i < kLeft; ++i) {
        job::Record left;
        left.id = "job_z" + std::to_string(10'000 + i);
        left.created_unix_ms = clock_.unix_ms();
        left.deadline_unix_ms = left.created_unix_ms + 3'600'000;
        (void)run(store_.submit(left, {1, left.created_unix_ms, "queued", "{}"}));
    }
    pass(6s);
    EXPECT_EQ(desk_->stats().queued, std::size_t{kLeft});
}

TEST_F(DeskTest, AnEndedLeaseOfASharedStoreEndsTheWork) {
    runner_.time = 10min;
    settings_.shared_store = true;
    stop();
    start();
    const auto id = submit(new_job("1"));
    pass(8s);
    store_.break_with(make_error(Errc::kIo, "gone"));
    pass(20s);
    EXPECT_EQ(runner_.now, 1U) << "it is ours until the lease ends";
    pass(20s);
    EXPECT_EQ(runner_.now, 0U) << "somebody else may have it";
    store_.break_with(std::nullopt);
    pass(10s);
    EXPECT_EQ(runner_.now, 1U) << "taken up again";
    EXPECT_EQ(run(store_.get(id))->attempt, 2);
}

TEST_F(DeskTest, AMissedRenewalIsTriedAgainSoon) {
    runner_.time = 10min;
    const auto id = submit(new_job("1"));
    pass(9s);
    store_.break_with(make_error(Errc::kIo, "gone"));
    pass(20s);
    store_.break_with(std::nullopt);
    pass(2s);
    EXPECT_GT(run(store_.get(id))->lease_until_unix_ms, clock_.unix_ms() + 25'000);
}

TEST_F(DeskTest, RefusesWhatIsTooMuch) {
    settings_.queued_of_owner_max = 2;
    settings_.queued_max = 3;
    settings_.running_max = 1;
    runner_.time = 1h;
    stop();
    start();
    submit(new_job("1", "a"));
    submit(new_job("2", "a"));
    submit(new_job("3", "a"));
    const auto own = run(desk_->submit(new_job("4", "a")));
    ASSERT_FALSE(own);
    EXPECT_EQ(own.error().code, Errc::kCapacity);
    submit(new_job("5", "b"));
    EXPECT_FALSE(run(desk_->submit(new_job("6", "c"))));
    EXPECT_EQ(desk_->stats().refused, 2U);
}

TEST_F(DeskTest, AKeysOwnLimitHoldsBesideItsOwners) {
    limits_["a"] = {.running_max = 1, .queued_max = 3, .weight = 1};
    runner_.time = 10s;
    const auto by_key = [](std::string request, std::size_t queued_max) {
        auto job = new_job(std::move(request), "a");
        job.queued_max = queued_max;
        return job;
    };
    submit(new_job("1", "a"));
    submit(by_key("2", 1));
    const auto refused = run(desk_->submit(by_key("3", 1)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "queued_jobs");
    submit(by_key("4", 9));
    submit(new_job("5", "a"));
    EXPECT_FALSE(run(desk_->submit(by_key("6", 9)))) << "the owner's holds as well";
}

TEST_F(DeskTest, OwnersHaveTheirOwnLimits) {
    limits_["a"] = {.running_max = 2, .queued_max = 1, .weight = 1};
    runner_.time = 10s;
    submit(new_job("1", "a"));
    submit(new_job("2", "a"));
    submit(new_job("3", "a"));
    const auto refused = run(desk_->submit(new_job("4", "a")));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "queued_jobs");
    submit(new_job("5", "b"));
    pass(5s);
    EXPECT_EQ(runner_.order, "125") << "a waits for its own jobs, b for nobody";
    limits_["a"].running_max = 3;
    submit(new_job("6", "c"));
    pass(1s);
    EXPECT_NE(runner_.order.find("3"), std::string::npos) << "a new limit works at once";
}

TEST_F(DeskTest, ThoseOnTheirWayIntoTheStoreCount) {
    limits_["a"] = {.running_max = 1, .queued_max = 2, .weight = 1};
    runner_.time = 10s;
    submit(new_job("0", "a"));
    pass(100ms);
    std::vector<Task<Result<api::Submitted>>> tasks;
    for (const auto* name : {"1", "2", "3", "4"}) {
        tasks.push_back(desk_->submit(new_job(name, "a")));
    }
    struct All {
        static Task<Result<int>> run(std::vector<Task<Result<api::Submitted>>> tasks) {
            int taken = 0;
            for (const auto& one : co_await all_of(std::move(tasks))) {
                taken += one ? 1 : 0;
            }
            co_return taken;
        }
    };
    EXPECT_EQ(run(All::run(std::move(tasks))), 2);
}

TEST_F(DeskTest, AWeightGivesMoreTurns) {
    settings_.running_max = 1;
    limits_["a"].weight = 3;
    stop();
    start();
    submit(new_job("x", "z"));
    for (int i = 0; i < 6; ++i) {
        submit(new_job("a", "a"));
        submit(new_job("b", "b"));
    }
    pass(900ms);
    const auto first = runner_.order.substr(1, 8);
    EXPECT_EQ(std::ranges::count(first, 'a'), 6) << runner_.order;
}

TEST_F(DeskTest, RefusesWhatCannotBeDoneInTime) {
    settings_.running_max = 1;
    runner_.time = 1s;
    stop();
    start();
    for (int i = 0; i < 10; ++i) {
        submit(new_job(std::to_string(i)));
    }
    pass(5500ms);
    EXPECT_TRUE(desk_->place_of(submit(new_job("x")))->wait);
    auto hurried = new_job("y");
    hurried.deadline_ms = 2'000;
    const auto refused = run(desk_->submit(std::move(hurried)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "deadline_ms");
}

TEST_F(DeskTest, OwnersTakeTurns) {
    settings_.running_max = 1;
    stop();
    start();
    for (const char* name : {"1", "2", "3"}) {
        submit(new_job(name, "a"));
    }
    submit(new_job("b", "b"));
    pass(1s);
    EXPECT_EQ(runner_.order, "1b23");
}

TEST_F(DeskTest, ListenersMissNothing) {
    const auto id = submit(new_job("1"));
    const auto channel = desk_->listen(id);
    std::string kinds;
    std::uint64_t number = 0;
    bool preview = false;
    while (!channel->over()) {
        const auto told = run(desk_->events_after(id, channel, number, clock_.now() + 1s));
        ASSERT_TRUE(told);
        for (const auto& one : *told) {
            EXPECT_EQ(one.event.number, number + 1);
            number = one.event.number;
            kinds += one.event.kind + " ";
            preview = preview || !one.preview.empty();
        }
    }
    EXPECT_EQ(kinds, "queued started progress succeeded ");
    EXPECT_TRUE(preview);
    const auto late = desk_->listen(submit(new_job("2")));
    EXPECT_EQ(run(desk_->events_after(id, desk_->listen(id), 2, clock_.now()))->size(), 2U);
    EXPECT_EQ(desk_->stats().listened, 2U);
}

TEST_F(DeskTest, AWebhookHearsOfTheEndUntilItAnswers) {
    sender_.answers = {500, fail(Errc::kUnavailable, "refused"), 204};
    auto job = new_job(R"("webhook":"https://example.com/hook")");
    const auto id = submit(std::move(job));
    pass(60s);
    ASSERT_EQ(sender_.sent.size(), 3U);
    EXPECT_EQ(sender_.sent[0].id, sender_.sent[2].id);
    EXPECT_NE(sender_.sent[0].body.find(R"("type":"job.succeeded")"), std::string::npos);
    EXPECT_NE(sender_.sent[0].body.find("/v1/artifacts/art_x/content"), std::string::npos);
    const auto log = *run(store_.deliveries(id));
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(log[0].done);
    EXPECT_EQ(log[0].attempts, 3);
    EXPECT_EQ(log[0].last_outcome, "204");
    EXPECT_EQ(desk_->stats().messages_sent, 1U);
}

TEST(JobMessages, GiveUpAfterAWhileOrWhenTheAddressIsGone) {
    DeskSettings settings;
    job::Delivery message;
    for (int i = 0; i < settings.message_attempts_max; ++i) {
        EXPECT_FALSE(message.done);
        settle(message, fail(Errc::kUnavailable, "refused"), settings, 0);
    }
    EXPECT_TRUE(message.given_up);
    job::Delivery gone;
    settle(gone, 410, settings, 0);
    EXPECT_TRUE(gone.given_up);
    job::Delivery later;
    settle(later, 503, settings, 1'000);
    EXPECT_EQ(later.next_unix_ms, 6'000);
    settle(later, 503, settings, 6'000);
    EXPECT_EQ(later.next_unix_ms, 21'000);
}

}  // namespace
}  // namespace framegrid::gateway
