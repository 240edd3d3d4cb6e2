#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/channel.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid {
namespace {

using namespace std::chrono_literals;

class RuntimeTest : public testing::Test {
  protected:
    // Runs everything that is ready, then moves time, until nothing is left to do.
    void settle() {
        do {
            loop_.restart();
            loop_.poll();
        } while (clock_.step());
        loop_.restart();
        loop_.poll();
    }
    boost::asio::io_context loop_{1};
    ManualClock clock_;
    TaskGroup group_{loop_.get_executor(), 100};
};

Task<Result<int>> answer_after(Clock& clock, Duration duration, int value) {
    co_await sleep_for(clock, duration);
    co_return value;
}

Task<void> store(Clock& clock, Duration limit, Duration work, std::optional<Result<int>>& out) {
    out = co_await with_deadline(clock, Deadline::after(clock, limit), answer_after(clock, work, 7));
}

TEST_F(RuntimeTest, WorkInsideTheDeadlineAnswers) {
    std::optional<Result<int>> out;
    ASSERT_TRUE(group_.spawn(store(clock_, 2s, 1s, out)));
    settle();
    ASSERT_TRUE(out && *out);
    EXPECT_EQ(**out, 7);
}

TEST_F(RuntimeTest, WorkPastTheDeadlineIsCancelled) {
    std::optional<Result<int>> out;
    ASSERT_TRUE(group_.spawn(store(clock_, 1s, 100s, out)));
    settle();
    ASSERT_TRUE(out);
    ASSERT_FALSE(*out);
    EXPECT_EQ(out->error().code, Errc::kDeadline);
    EXPECT_EQ(clock_.now().time_since_epoch(), 1s);
    EXPECT_FALSE(clock_.has_pending());
}

TEST_F(RuntimeTest, CancellingTheGroupUnwindsEveryTask) {
    std::optional<Result<int>> out;
    ASSERT_TRUE(group_.spawn(store(clock_, 50s, 100s, out)));
    loop_.poll();
    group_.cancel();
    settle();
    EXPECT_EQ(group_.size(), 0u);
    EXPECT_FALSE(group_.spawn(store(clock_, 1s, 1s, out)));
}

Task<void> hold(Clock& clock, int& count, Duration linger) {
    struct Leave {
        int& count;
        ~Leave() { --count; }
    };
    ++count;
    const Leave leave{count};
    co_await sleep_for(clock, linger);
}

Task<Result<bool>> spawn_and_wait(Clock& clock, TaskGroup& group, int& count) {
    for (int i = 0; i < 3; ++i) {
        group.spawn(hold(clock, count, std::chrono::hours(1)));
    }
    co_await sleep_for(clock, std::chrono::hours(2));
    co_return true;
}

Task<void> scope(Executor executor, Clock& clock, int& count, int& left_behind) {
    {
        TaskGroup group(executor, 10);
        auto result = co_await with_group<bool>(group, spawn_and_wait(clock, group, count));
        left_behind = count;
        EXPECT_EQ(result.error().code, Errc::kCancelled);
    }
    co_await sleep_for(clock, std::chrono::hours(1));
    ADD_FAILURE() << "a cancelled task must not go on";
}

TEST_F(RuntimeTest, WithGroupLeavesNoTaskBehindWhenCancelled) {
    int count = 0;
    int left_behind = -1;
    ASSERT_TRUE(group_.spawn(scope(loop_.get_executor(), clock_, count, left_behind)));
    loop_.poll();
    EXPECT_EQ(count, 3);
    group_.cancel();
    settle();
    EXPECT_EQ(left_behind, 0);
    EXPECT_EQ(group_.size(), 0u);
    EXPECT_FALSE(clock_.has_pending());
}

Task<void> fan_out(Clock& clock, std::vector<int>& out) {
    std::vector<Task<Result<int>>> tasks;
    for (int i = 0; i < 5; ++i) {
        tasks.push_back(answer_after(clock, std::chrono::seconds(5 - i), i));
    }
    for (auto& result : co_await all_of(std::move(tasks))) {
        out.push_back(*result);
    }
}

TEST_F(RuntimeTest, AllOfKeepsTheOrder) {
    std::vector<int> out;
    ASSERT_TRUE(group_.spawn(fan_out(clock_, out)));
    settle();
    EXPECT_EQ(out, (std::vector<int>{0, 1, 2, 3, 4}));
    EXPECT_EQ(clock_.now().time_since_epoch(), 5s);
}

Task<void> produce(Channel<int>& channel, int count) {
    for (int i = 0; i < count; ++i) {
        (void)co_await channel.send(i);
    }
    channel.close();
}

Task<void> consume(Channel<int>& channel, std::vector<int>& out, std::size_t& depth_max) {
    for (;;) {
        depth_max = std::max(depth_max, channel.size());
        const auto value = co_await channel.receive();
        if (!value) {
            co_return;
        }
        out.push_back(*value);
    }
}

TEST_F(RuntimeTest, ChannelHoldsTheProducerBack) {
    Channel<int> channel(3);
    std::vector<int> out;
    std::size_t depth_max = 0;
    group_.spawn(produce(channel, 100));
    group_.spawn(consume(channel, out, depth_max));
    settle();
    EXPECT_EQ(out.size(), 100u);
    EXPECT_EQ(out.back(), 99);
    EXPECT_LE(depth_max, 3u);
    EXPECT_FALSE(channel.try_send(1));
}

TEST_F(RuntimeTest, GroupHasAMaximum) {
    TaskGroup small(loop_.get_executor(), 1);
    std::optional<Result<int>> out;
    EXPECT_TRUE(small.spawn(store(clock_, 2s, 1s, out)));
    EXPECT_FALSE(small.spawn(store(clock_, 2s, 1s, out)));
    settle();
}

class InlinePool final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

Task<void> offloaded(WorkPool& pool, int& out) {
    out = co_await offload(pool, [] { return 42; });
}

TEST_F(RuntimeTest, OffloadReturnsTheValue) {
    InlinePool pool;
    int out = 0;
    group_.spawn(offloaded(pool, out));
    settle();
    EXPECT_EQ(out, 42);
}

class Counting final : public Random {
  public:
    void fill(std::span<std::uint8_t> out) override {
        for (auto& byte : out) {
            byte = static_cast<std::uint8_t>(state_ = state_ * 6364136223846793005u + 1442695040888963407u);
            byte = static_cast<std::uint8_t>(state_ >> 56);
        }
    }
    std::uint64_t state_ = 1;
};

TEST(Random, StaysInBounds) {
    Counting random;
    for (int i = 0; i < 1000; ++i) {
        EXPECT_LT(random.below(7), 7u);
        const double unit = random.unit();
        EXPECT_TRUE(unit >= 0 && unit < 1);
    }
    EXPECT_EQ(random.hex(4).size(), 8u);
}

TEST(Metrics, PrometheusText) {
    PrometheusText out;
    out.counter("framegrid_gateway_jobs_total", 3, {{"result", "ok"}});
    out.counter("framegrid_gateway_jobs_total", 1, {{"result", "fail\"ed"}});
    out.gauge("framegrid_gateway_streams", 2, {});
    EXPECT_EQ(
        out.text(),
        "# TYPE framegrid_gateway_jobs_total counter\n"
        "framegrid_gateway_jobs_total{result=\"ok\"} 3\n"
        "framegrid_gateway_jobs_total{result=\"fail\\\"ed\"} 1\n"
        "# TYPE framegrid_gateway_streams gauge\n"
        "framegrid_gateway_streams 2\n"
    );
}

TEST(Metrics, HistogramsAreSummedUpAndBounded) {
    Timings timings(2);
    timings.add("a", "done", 7ms);
    timings.add("a", "done", 20min);
    timings.add("b", "done", 1s);
    timings.add("c", "done", 1s);
    PrometheusText out;
    timings.dump(out, "x_seconds", "name");
    const auto has = [&](std::string_view line) { return out.text().find(line) != std::string::npos; };
    EXPECT_TRUE(out.text().starts_with("# TYPE x_seconds histogram\n")) << out.text();
    EXPECT_TRUE(has("x_seconds_bucket{name=\"a\",result=\"done\",le=\"0.005\"} 0\n")) << out.text();
    EXPECT_TRUE(has("x_seconds_bucket{name=\"a\",result=\"done\",le=\"0.01\"} 1\n"));
    EXPECT_TRUE(has("x_seconds_bucket{name=\"a\",result=\"done\",le=\"300\"} 1\n"));
    EXPECT_TRUE(has("x_seconds_bucket{name=\"a\",result=\"done\",le=\"+Inf\"} 2\n"));
    EXPECT_TRUE(has("x_seconds_count{name=\"b\",result=\"done\"} 1\n"));
    EXPECT_TRUE(has("x_seconds_count{name=\"other\",result=\"done\"} 1\n"));
    EXPECT_FALSE(has("name=\"c\"")) << "one too many";
}

}  // namespace
}  // namespace framegrid
