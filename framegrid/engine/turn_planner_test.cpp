#include <framegrid/engine/turn_planner.hpp>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

using std::chrono::milliseconds;
using Jobs = std::vector<TurnPlanner::JobId>;

class TurnPlannerTest : public ::testing::Test {
  protected:
    // One turn of the device, from the choice to its end.
    Jobs turn(Duration took = milliseconds(100)) {
        const auto chosen = planner.choose(now);
        if (chosen.jobs.empty()) {
            return {};
        }
        planner.begin(chosen);
        now += took;
        planner.end(chosen, took, now);
        return chosen.jobs;
    }
    void ask(TurnPlanner::JobId job, std::string batch = "", std::int64_t rows = 1, int left = 1000) {
        planner.ask(job, {.batch = std::move(batch), .rows = rows, .left = left});
    }

    TurnPlanner planner{{.rows_max = 4}};
    TimePoint now = TimePoint(std::chrono::hours(1));
};

TEST_F(TurnPlannerTest, NobodyWaits) {
    EXPECT_TRUE(planner.choose(now).jobs.empty());
    const auto job = planner.join({});
    EXPECT_TRUE(planner.choose(now).jobs.empty());
    ask(job);
    planner.withdraw(job);
    EXPECT_TRUE(planner.choose(now).jobs.empty());
    ask(job);
    planner.leave(job);
    EXPECT_TRUE(planner.choose(now).jobs.empty());
    EXPECT_EQ(planner.jobs(), 0U);
}

TEST_F(TurnPlannerTest, AShortJobDoesNotWaitForALongOne) {
    const auto lengthy = planner.join({});
    ask(lengthy);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(turn(), Jobs{lengthy});
        ask(lengthy);
    }
    const auto brief = planner.join({});
    ask(brief);
    int turns = 0;
    for (int done = 0; done < 5; ++turns) {
        const auto served = turn();
        ask(served.front());
        done += served.front() == brief ? 1 : 0;
    }
    EXPECT_LE(turns, 10);
    EXPECT_GE(turns, 9);  // nor the long one for it
}

TEST_F(TurnPlannerTest, TimeCountsNotTurns) {
    const auto slow = planner.join({});
    const auto fast = planner.join({});
    ask(slow);
    ask(fast);
    int fast_turns = 0;
    for (int i = 0; i < 55; ++i) {
        const bool is_slow = planner.choose(now).jobs.front() == slow;
        ask(turn(is_slow ? milliseconds(100) : milliseconds(10)).front());
        fast_turns += is_slow ? 0 : 1;
    }
    EXPECT_NEAR(fast_turns, 50, 3);
}

TEST_F(TurnPlannerTest, PriorityIsAShare) {
    const auto high = planner.join({.priority = api::Priority::kHigh});
    const auto normal = planner.join({});
    const auto low = planner.join({.priority = api::Priority::kLow});
    std::map<TurnPlanner::JobId, int> turns;
    for (const auto job : {high, normal, low}) {
        ask(job);
    }
    for (int i = 0; i < 210; ++i) {
        const auto job = turn().front();
        ++turns[job];
        ask(job);
    }
    EXPECT_NEAR(turns[high], 160, 4);
    EXPECT_NEAR(turns[normal], 40, 3);
    EXPECT_NEAR(turns[low], 10, 2);
}

TEST_F(TurnPlannerTest, EqualBatchesShareATurnUpToTheRowLimit) {
    Jobs jobs;
    for (int i = 0; i < 4; ++i) {
        jobs.push_back(planner.join({}));
    }
    ask(jobs[0], "a", 2);
    ask(jobs[1], "b", 1);
    ask(jobs[2], "a", 2);
    ask(jobs[3], "a", 1);  // a fifth row
    EXPECT_EQ(turn(), (Jobs{jobs[0], jobs[2]}));
    EXPECT_EQ(turn(), Jobs{jobs[1]});
    EXPECT_EQ(turn(), Jobs{jobs[3]});
}

TEST_F(TurnPlannerTest, CallsWithoutABatchAreAlone) {
    const auto a = planner.join({});
    const auto b = planner.join({});
    ask(a);
    ask(b);
    EXPECT_EQ(turn(), Jobs{a});
    EXPECT_EQ(turn(), Jobs{b});
}

TEST_F(TurnPlannerTest, ACallTooLargeForTheLimitRunsAlone) {
    const auto big = planner.join({});
    const auto small = planner.join({});
    ask(big, "a", 9);
    ask(small, "a", 1);
    EXPECT_EQ(turn(), Jobs{big});
}

TEST_F(TurnPlannerTest, WaitsAMomentForAJobBetweenTwoSteps) {
    const auto a = planner.join({});
    const auto b = planner.join({});
    ask(a, "x");
    ask(b, "x");
    ASSERT_EQ(turn(milliseconds(40)).size(), 2U);
    ask(a, "x");
    const auto held = planner.choose(now);
    EXPECT_EQ(held.not_before, now + milliseconds(5));
    ask(b, "x");
    EXPECT_LE(planner.choose(now).not_before, now);
    EXPECT_EQ(turn(milliseconds(40)).size(), 2U);
    ask(a, "x");
    now += milliseconds(6);  // b does not come
    EXPECT_LE(planner.choose(now).not_before, now);
    EXPECT_EQ(turn(), Jobs{a});
}

TEST_F(TurnPlannerTest, DoesNotWaitForTheLastStepOrForThoseWhoLeft) {
    const auto a = planner.join({});
    const auto b = planner.join({});
    const auto c = planner.join({});
    ask(a, "x");
    ask(b, "x", 1, 1);
    ask(c, "x");
    ASSERT_EQ(turn().size(), 3U);
    planner.leave(c);
    ask(a, "x");
    EXPECT_LE(planner.choose(now).not_before, now);
}

TEST_F(TurnPlannerTest, FirstRequestsDoNotWait) {
    const auto a = planner.join({});
    planner.join({});
    ask(a, "x");
    EXPECT_LE(planner.choose(now).not_before, now);
}

TEST_F(TurnPlannerTest, ADeadlineInDangerGoesFirst) {
    const auto a = planner.join({});
    const auto b = planner.join({.deadline = now + milliseconds(2000)});
    ask(a, "", 1, 100);
    ask(b, "", 1, 10);
    ASSERT_EQ(turn(), Jobs{a});
    ask(a, "", 1, 99);
    ASSERT_EQ(turn(), Jobs{b});  // from here on the planner knows how long b's turns take
    Jobs order;
    for (int left = 9; left > 0; --left) {
        ask(b, "", 1, left);
        while (true) {
            order.push_back(turn().front());
            if (order.back() == b) {
                break;
            }
            ask(a, "", 1, 90);
        }
    }
    EXPECT_LE(now, TimePoint(std::chrono::hours(1)) + milliseconds(2000));
    EXPECT_LT(std::ranges::count(order, a), 9);  // equal shares would have been too late
    EXPECT_GT(std::ranges::count(order, a), 2);
}

TEST_F(TurnPlannerTest, AHopelessJobIsInNoHurry) {
    const auto a = planner.join({});
    const auto b = planner.join({.deadline = now + milliseconds(450)});
    ask(b, "", 1, 50);
    ASSERT_EQ(turn(), Jobs{b});
    ask(a);
    ask(b, "", 1, 49);
    EXPECT_EQ(turn(), Jobs{a});
}

}  // namespace
}  // namespace framegrid::engine
