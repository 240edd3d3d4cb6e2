// What every JobStore must do, as tests that each implementation runs: INSTANTIATE_TEST_SUITE_P with a
// factory.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/api/job_store.hpp>
#include <framegrid/runtime/async.hpp>

#include <gtest/gtest.h>

namespace framegrid::api {

// A store that is empty, and opens again what was written.
class JobStoreBench {
  public:
    virtual ~JobStoreBench() = default;
    virtual JobStore& store() = 0;
    virtual void reopen() = 0;

    template <class T>
    T run(Task<Result<T>> task) {
        auto result = try_run(std::move(task));
        if (!result) {
            ADD_FAILURE() << result.error().message;
            return T{};
        }
        return std::move(*result);
    }
    template <class T>
    Result<T> try_run(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        loop_.restart();
        boost::asio::co_spawn(loop_, std::move(task), [&out](std::exception_ptr exception, Result<T> result) {
            out.emplace(exception ? Result<T>(fail(error_from(exception))) : std::move(result));
        });
        // Completions come from other threads: nothing else keeps the loop running meanwhile.
        const auto guard = boost::asio::make_work_guard(loop_);
        while (!out) {
            loop_.run_one();
        }
        return std::move(*out);
    }
    boost::asio::io_context& loop() { return loop_; }

  private:
    boost::asio::io_context loop_;
};

using JobStoreFactory = std::function<std::unique_ptr<JobStoreBench>()>;

class JobStoreContract : public testing::TestWithParam<JobStoreFactory> {
  protected:
    static constexpr std::int64_t kNow = 1'700'000'000'000;

    static job::Record record(int number, const std::string& owner = "") {
        job::Record out;
        const auto digits = std::to_string(1'000 + number);
        out.id = "job_" + std::string(22, '0') + digits;
        out.owner = owner;
        out.request = R"({"pipeline":"echo"})";
        out.kind = "echo";
        out.created_unix_ms = kNow + number;
        out.deadline_unix_ms = kNow + 60'000;
        out.request_digest = "d" + digits;
        out.trace = std::string(32, 'a');
        return out;
    }
    static job::Event event(std::string kind, std::uint64_t number = 0) {
        return {number, kNow, std::move(kind), "{}"};
    }
    job::Record submit(job::Record record) {
        auto submitted = bench->run(store().submit(std::move(record), event("queued", 1)));
        EXPECT_TRUE(submitted.is_new);
        return submitted.record;
    }
    std::optional<job::Record> claim(
        const std::string& id, const std::string& holder, std::int64_t now = kNow
    ) {
        auto started = event("started");
        started.at_unix_ms = now;
        return bench->run(store().claim(id, holder, started, now + 30'000));
    }
    static JobChange change(const job::Record& record, std::optional<job::State> state) {
        JobChange out;
        out.claim = {record.id, record.lease_holder, record.attempt};
        out.state = state;
        out.at_unix_ms = kNow + 5;
        if (state) {
            out.result = R"({"ok":true})";
            out.events.push_back(event(std::string(job::to_string(*state)), record.events + 1));
        }
        return out;
    }
    static job::Delivery delivery(const std::string& job_id) {
        job::Delivery out;
        out.id = "msg_of_" + job_id;
        out.job_id = job_id;
        out.url = "https://example.com/hook";
        out.body = "{}";
        out.next_unix_ms = kNow;
        return out;
    }
    JobStore& store() { return bench->store(); }

    std::unique_ptr<JobStoreBench> bench = GetParam()();
};

TEST_P(JobStoreContract, KeepsWhatWasSubmitted) {
    auto wanted = record(1, "key_a");
    wanted.priority = -1;
    wanted.parent = "job_of_a_workflow";
    wanted.idempotency_key = "order-7";
    submit(wanted);
    bench->reopen();
    const auto found = bench->run(store().get(wanted.id));
    EXPECT_EQ(found.request, wanted.request);
    EXPECT_EQ(found.owner, "key_a");
    EXPECT_EQ(found.kind, "echo");
    EXPECT_EQ(found.state, job::State::kQueued);
    EXPECT_EQ(found.priority, -1);
    EXPECT_EQ(found.parent, "job_of_a_workflow");
    EXPECT_EQ(found.idempotency_key, "order-7");
    EXPECT_EQ(found.trace, wanted.trace);
    EXPECT_EQ(found.deadline_unix_ms, wanted.deadline_unix_ms);
    EXPECT_EQ(found.events, 1U);
    const auto events = bench->run(store().events(wanted.id, 0, 10));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events.front(), event("queued", 1));
}

TEST_P(JobStoreContract, OneKeyIsOneJob) {
    auto first = record(1);
    first.idempotency_key = "k";
    submit(first);
    auto again = record(2);
    again.idempotency_key = "k";
    again.request_digest = first.request_digest;
    const auto known = bench->run(store().submit(again, event("queued", 1)));
    EXPECT_FALSE(known.is_new);
    EXPECT_EQ(known.record.id, first.id);

    auto other = record(3);
    other.idempotency_key = "k";
    const auto refused = bench->try_run(store().submit(other, event("queued", 1)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(refused.error().field, "idempotency-key");

    auto somebody_else = record(4, "key_b");
    somebody_else.idempotency_key = "k";
    submit(somebody_else);
    EXPECT_FALSE(bench->try_run(store().get(again.id)));
}

TEST_P(JobStoreContract, ARunningJobBelongsToItsHolder) {
    const auto queued = submit(record(1));
    const auto mine = claim(queued.id, "a");
    ASSERT_TRUE(mine);
    EXPECT_EQ(mine->state, job::State::kRunning);
    EXPECT_EQ(mine->attempt, 1);
    EXPECT_EQ(mine->events, 2U);
    EXPECT_FALSE(claim(queued.id, "b"));

    auto progress = change(*mine, std::nullopt);
    progress.events.push_back(event("progress", 3));
    EXPECT_TRUE(bench->run(store().apply(progress)));
    auto foreign = change(*mine, job::State::kSucceeded);
    foreign.claim.holder = "b";
    EXPECT_FALSE(bench->run(store().apply(foreign)));
    auto done = change(*mine, job::State::kSucceeded);
    done.events.front().number = 4;
    done.delivery = delivery(queued.id);
    EXPECT_TRUE(bench->run(store().apply(done)));
    done.delivery.reset();
    EXPECT_FALSE(bench->run(store().apply(done))) << "a job ends once";

    bench->reopen();
    const auto found = bench->run(store().get(queued.id));
    EXPECT_EQ(found.state, job::State::kSucceeded);
    EXPECT_EQ(found.result, R"({"ok":true})");
    EXPECT_EQ(found.finished_unix_ms, kNow + 5);
    EXPECT_EQ(found.lease_holder, "");
    const auto events = bench->run(store().events(queued.id, 1, 10));
    ASSERT_EQ(events.size(), 3U);
    EXPECT_EQ(events.back(), event("succeeded", 4));
    EXPECT_EQ(bench->run(store().deliveries(queued.id)).size(), 1U);
    EXPECT_FALSE(claim(queued.id, "a"));
}

TEST_P(JobStoreContract, AnEndedLeaseCanBeTaken) {
    const auto queued = submit(record(1));
    const auto first = claim(queued.id, "a");
    ASSERT_TRUE(first);
    EXPECT_TRUE(bench->run(store().waiting("", kNow + 29'999, 10)).empty());
    EXPECT_EQ(bench->run(store().renew({queued.id, "a", 1}, kNow + 50'000)), LeaseState::kHeld);
    EXPECT_TRUE(bench->run(store().waiting("", kNow + 49'999, 10)).empty());
    ASSERT_EQ(bench->run(store().waiting("", kNow + 50'000, 10)).size(), 1U);
    const auto second = claim(queued.id, "b", kNow + 50'000);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->attempt, 2);
    EXPECT_EQ(second->crashes, 1);
    EXPECT_EQ(second->started_unix_ms, first->started_unix_ms);
    EXPECT_EQ(bench->run(store().renew({queued.id, "a", 1}, kNow + 90'000)), LeaseState::kLost);
    EXPECT_FALSE(bench->run(store().apply(change(*first, job::State::kSucceeded))));
    EXPECT_TRUE(bench->run(store().apply(change(*second, job::State::kFailed))));
    EXPECT_TRUE(bench->run(store().waiting("", kNow + 900'000, 10)).empty());
}

TEST_P(JobStoreContract, AHolderThatComesBackGivesUpItsOldLeases) {
    const auto mine = submit(record(1));
    const auto others = submit(record(2));
    ASSERT_TRUE(claim(mine.id, "a"));
    ASSERT_TRUE(claim(others.id, "b"));
    EXPECT_EQ(bench->run(store().reclaim("a")), 1U);
    const auto waiting = bench->run(store().waiting("", kNow, 10));
    ASSERT_EQ(waiting.size(), 1U);
    EXPECT_EQ(waiting[0].id, mine.id);
    const auto again = claim(mine.id, "a");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->attempt, 2);
}

TEST_P(JobStoreContract, AJobGoesBackToTheQueue) {
    const auto queued = submit(record(1));
    const auto mine = claim(queued.id, "a");
    ASSERT_TRUE(mine);
    auto back = change(*mine, job::State::kQueued);
    back.result.clear();
    EXPECT_TRUE(bench->run(store().apply(back)));
    const auto found = bench->run(store().get(queued.id));
    EXPECT_EQ(found.state, job::State::kQueued);
    EXPECT_EQ(found.finished_unix_ms, 0);
    EXPECT_EQ(found.attempt, 1);
    const auto again = claim(queued.id, "b");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->attempt, 2);
    EXPECT_EQ(again->crashes, 0) << "that is no crash";
}

TEST_P(JobStoreContract, WaitingJobsComeInOrderPageByPage) {
    for (int i = 0; i < 5; ++i) {
        submit(record(i));
    }
    ASSERT_TRUE(claim(record(2).id, "a"));
    const auto first = bench->run(store().waiting("", kNow, 2));
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(first[1].id, record(1).id);
    const auto second = bench->run(store().waiting(first[1].id, kNow, 10));
    ASSERT_EQ(second.size(), 2U);
    EXPECT_EQ(second[0].id, record(3).id);
}

TEST_P(JobStoreContract, CancellingEndsWhatIsQueuedAndMarksWhatRuns) {
    const auto queued = submit(record(1));
    auto end = change(queued, job::State::kCancelled);
    end.delivery = delivery(queued.id);
    EXPECT_EQ(bench->run(store().cancel(queued.id, end)).state, job::State::kCancelled);
    EXPECT_EQ(bench->run(store().events(queued.id, 1, 10)).size(), 1U);
    EXPECT_EQ(bench->run(store().deliveries(queued.id)).size(), 1U);
    EXPECT_FALSE(claim(queued.id, "a"));
    EXPECT_EQ(bench->run(store().cancel(queued.id, end)).state, job::State::kCancelled);
    EXPECT_EQ(bench->run(store().events(queued.id, 1, 10)).size(), 1U) << "cancelled once";

    const auto other = submit(record(2));
    ASSERT_TRUE(claim(other.id, "a"));
    const auto marked = bench->run(store().cancel(other.id, change(other, job::State::kCancelled)));
    EXPECT_EQ(marked.state, job::State::kRunning);
    EXPECT_TRUE(marked.cancel_wanted);
    EXPECT_EQ(bench->run(store().renew({other.id, "a", 1}, kNow + 90'000)), LeaseState::kCancelWanted);
    const auto none = bench->try_run(store().cancel("job_none", end));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::kNotFound);
}

TEST_P(JobStoreContract, ListsByOwnerStateKindAndParent) {
    submit(record(1, "a"));
    submit(record(2, "b"));
    auto child = record(3, "a");
    child.parent = record(1).id;
    submit(child);
    auto picture = record(4, "a");
    picture.kind = "text-to-image";
    submit(picture);
    ASSERT_TRUE(claim(picture.id, "x"));
    const auto ids = [this](JobFilter filter) {
        std::string out;
        for (const auto& found : bench->run(store().list(std::move(filter)))) {
            out += found.id.back();
        }
        return out;
    };
    EXPECT_EQ(ids({}), "421");
    EXPECT_EQ(ids({.owner = "a"}), "41");
    EXPECT_EQ(ids({.owner = "a", .state = job::State::kRunning}), "4");
    EXPECT_EQ(ids({.kind = "echo"}), "21");
    EXPECT_EQ(ids({.owner = "a", .parent = record(1).id}), "3");
    EXPECT_EQ(ids({.before = record(2).id}), "1");
    EXPECT_EQ(ids({.limit = 1}), "4");
}

TEST_P(JobStoreContract, MessagesComeUntilTheyAreDone) {
    const auto queued = submit(record(1));
    const auto mine = claim(queued.id, "a");
    ASSERT_TRUE(mine);
    auto done = change(*mine, job::State::kSucceeded);
    done.delivery = delivery(queued.id);
    EXPECT_TRUE(bench->run(store().apply(done)));
    EXPECT_TRUE(bench->run(store().take_due(kNow - 1, kNow + 10, 10)).empty());
    auto due = bench->run(store().take_due(kNow, kNow + 10'000, 10));
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].body, "{}");
    EXPECT_TRUE(bench->run(store().take_due(kNow + 9'999, kNow + 20'000, 10)).empty()) << "taken";
    bench->reopen();
    due = bench->run(store().take_due(kNow + 10'000, kNow + 20'000, 10));
    ASSERT_EQ(due.size(), 1U) << "whoever took it is gone";
    due[0].attempts = 2;
    due[0].done = true;
    due[0].last_outcome = "204";
    EXPECT_TRUE(bench->try_run(store().update_delivery(due[0])).has_value());
    EXPECT_TRUE(bench->run(store().take_due(kNow + 900'000, kNow + 900'001, 10)).empty());
    const auto log = bench->run(store().deliveries(queued.id));
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log[0].last_outcome, "204");
}

TEST_P(JobStoreContract, ForgetsWhatIsOverOnly) {
    const auto running = submit(record(1));
    const auto over = submit(record(2));
    ASSERT_TRUE(claim(running.id, "a"));
    const auto mine = claim(over.id, "a");
    ASSERT_TRUE(mine);
    ASSERT_TRUE(bench->run(store().apply(change(*mine, job::State::kSucceeded))));
    EXPECT_EQ(bench->run(store().forget(kNow + 5, 10)), 0U);
    EXPECT_EQ(bench->run(store().forget(kNow + 6, 10)), 1U);
    EXPECT_FALSE(bench->try_run(store().get(over.id)));
    EXPECT_TRUE(bench->run(store().events(over.id, 0, 10)).empty());
    EXPECT_TRUE(bench->try_run(store().get(running.id)));
}

}  // namespace framegrid::api
