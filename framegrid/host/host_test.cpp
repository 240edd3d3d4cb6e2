#include <framegrid/host/files.hpp>
#include <framegrid/host/log_sink.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/host/signals.hpp>
#include <framegrid/host/terminal.hpp>

#include <atomic>
#include <csignal>
#include <fstream>
#include <latch>
#include <set>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::host {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

Task<Result<int>> answer(int value) {
    co_return value;
}

Task<Result<int>> throws() {
    throw std::runtime_error("broken");
    co_return 0;
}

TEST(Loop, RunsMainToItsEndAndTurnsExceptionsIntoErrors) {
    Loop loop;
    EXPECT_EQ(loop.run_main(answer(7)).value(), 7);
    EXPECT_EQ(loop.run_main(answer(8)).value(), 8);
    const auto broken = loop.run_main(throws());
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, Errc::kInternal);
}

struct ClockProbe {
    Loop loop;
    SteadyClock clock{loop.executor()};
    std::vector<int> order;
};

Task<Result<int>> use_timers(ClockProbe& probe) {
    const TimePoint start = probe.clock.now();
    const Timer second = probe.clock.call_at(start + milliseconds(20), [&] { probe.order.push_back(2); });
    const Timer first = probe.clock.call_at(start + milliseconds(5), [&] { probe.order.push_back(1); });
    {
        const Timer dropped = probe.clock.call_at(start, [&] { probe.order.push_back(99); });
    }
    Timer self;
    self = probe.clock.call_at(start + milliseconds(1), [&] { self.cancel(); });
    co_await sleep_for(probe.clock, milliseconds(40));
    co_return probe.clock.now() - start >= milliseconds(40) ? 0 : 1;
}

TEST(SteadyClock, CallsInOrderAndADestroyedTimerNever) {
    ClockProbe probe;
    EXPECT_EQ(probe.loop.run_main(use_timers(probe)).value(), 0);
    EXPECT_THAT(probe.order, testing::ElementsAre(1, 2));
    EXPECT_GT(probe.clock.unix_ms(), 1'700'000'000'000);
}

Task<Result<int>> never(SteadyClock& clock) {
    co_await sleep_for(clock, std::chrono::hours(1));
    co_return 0;
}

Task<Result<int>> times_out(SteadyClock& clock) {
    auto work = never(clock);
    const auto result =
        co_await with_deadline<int>(clock, Deadline::after(clock, milliseconds(10)), std::move(work));
    co_return result ? 0 : static_cast<int>(result.error().code);
}

TEST(SteadyClock, DrivesDeadlines) {
    Loop loop;
    SteadyClock clock(loop.executor());
    EXPECT_EQ(loop.run_main(times_out(clock)).value(), static_cast<int>(Errc::kDeadline));
}

TEST(SystemRandom, GivesDifferentBytes) {
    SystemRandom random;
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(random.next());
    }
    EXPECT_EQ(seen.size(), 1000U);
    Bytes large(1000);
    random.fill(large);
    EXPECT_GT(std::set<std::uint8_t>(large.begin(), large.end()).size(), 200U);
    EXPECT_EQ(random.hex(16).size(), 32U);
}

Task<Result<int>> sum_on_pool(ThreadPool& pool) {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
        auto square = [i] { return i * i; };
        const int value = co_await offload(pool, square);
        sum += value;
    }
    co_return sum;
}

TEST(ThreadPool, RunsOffloadedWorkAndResumesOnTheLoop) {
    Loop loop;
    ThreadPool pool(2);
    EXPECT_EQ(loop.run_main(sum_on_pool(pool)).value(), 328'350);
}

TEST(ThreadPool, RunsInTheCallerWhenTheQueueIsFull) {
    std::atomic<int> done = 0;
    std::latch started(1);
    std::latch release(1);
    {
        ThreadPool pool(1, 1);
        pool.post([&] {
            started.count_down();
            release.wait();
            ++done;
        });
        started.wait();
        pool.post([&] { ++done; });
        const auto caller = std::this_thread::get_id();
        pool.post([&] { done += std::this_thread::get_id() == caller ? 10 : 0; });
        EXPECT_EQ(done, 10);
        EXPECT_EQ(pool.stats().ran_in_caller, 1U);
        EXPECT_EQ(pool.stats().pending, 1U);
        release.count_down();
    }
    EXPECT_EQ(done, 12);
}

Task<Result<int>> catch_signal(Loop& loop) {
    StopSignals signals(loop.executor());
    ::raise(SIGTERM);
    const int number = co_await signals.next();
    co_return number;
}

TEST(StopSignals, KeepsASignalThatCameBeforeTheWait) {
    Loop loop;
    EXPECT_EQ(loop.run_main(catch_signal(loop)).value(), SIGTERM);
}

TEST(Files, WritesAtomicallyAndReadsWithALimit) {
    auto dir = TempDir::make("framegrid-test").value();
    const Path path = dir.path() / "a" / "b" / "file.bin";
    ASSERT_TRUE(make_dirs(path.parent_path()));
    ASSERT_TRUE(make_dirs(path.parent_path()));
    ASSERT_TRUE(write_file_atomic(path, as_bytes("one"), Durability::kSynced, 0600));
    ASSERT_TRUE(write_file_atomic(path, as_bytes("two!"), Durability::kCached, 0600));
    EXPECT_EQ(as_text(read_file(path, 4).value()), "two!");
    EXPECT_EQ(read_file(path, 3).error().code, Errc::kTooLarge);
    EXPECT_EQ(read_file(dir.path() / "none", 3).error().code, Errc::kNotFound);
    EXPECT_EQ(read_file(dir.path(), 3).error().code, Errc::kIo);
    struct stat info = {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    std::size_t entries = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path.parent_path())) {
        entries += entry.exists() ? 1 : 0;
    }
    EXPECT_EQ(entries, 1U) << "a temporary file was left behind";
}

TEST(Files, ReadsFilesThatTellNoSize) {
    EXPECT_GT(read_file("/proc/self/status", 1 << 16).value().size(), 100U);
    EXPECT_EQ(read_file("/proc/self/status", 10).error().code, Errc::kTooLarge);
}

TEST(Files, AFullDiskIsAnErrorThatSaysWhatToDo) {
    EXPECT_THAT(system_error("cannot write x", ENOSPC).message, HasSubstr("free some space"));
    EXPECT_EQ(system_error("cannot write x", ENOSPC).code, Errc::kIo);
    EXPECT_FALSE(write_file_atomic("/proc/nothing-can-be-written-here", as_bytes("x")));
    EXPECT_FALSE(make_dirs("/proc/self/status/x"));
}

TEST(Files, TempDirRemovesItsContent) {
    Path path;
    {
        auto dir = TempDir::make().value();
        path = dir.path();
        ASSERT_TRUE(write_file_atomic(path / "x", as_bytes("x")));
        const TempDir moved = std::move(dir);
        EXPECT_TRUE(std::filesystem::exists(path));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_TRUE(std::filesystem::exists(executable_path().value()));
    EXPECT_EQ(expand_home("/x/~"), Path("/x/~"));
    EXPECT_TRUE(expand_home("~/x").is_absolute());
    EXPECT_GT(free_bytes("/").value(), 0U);
}

TEST(LogSink, WritesTextAndJson) {
    testing::internal::CaptureStderr();
    make_stderr_logger({.role = "worker 2"}).info("host.test_ran", {{"count", 3}, {"text", "two words"}});
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_THAT(text, HasSubstr("host.test_ran count=3 text=\"two words\"\n"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));

    testing::internal::CaptureStderr();
    make_stderr_logger({.role = "w", .format = LogFormat::kJson})
        .warn("host.test_ran", {{"text", "a\"b\\c\n=d"}});
    const std::string json = testing::internal::GetCapturedStderr();
    EXPECT_THAT(
        json, HasSubstr(R"("level":"warning","role":"w","event":"host.test_ran","text":"a\"b\\c\\x0a=d"})")
    );
}

TEST(LogSink, JsonSurvivesHostileText) {
    EXPECT_EQ(json_members("a.b k=\"x\xff\""), R"("event":"a.b","k":"x\ufffd")");
    EXPECT_EQ(json_members("a.b k=\xc3\xa9"), "\"event\":\"a.b\",\"k\":\"\xc3\xa9\"");
    EXPECT_EQ(json_members(""), R"("event":"")");
}

TEST(LogSink, LimitsRepeatedEvents) {
    EventLimiter limiter(2);
    EXPECT_TRUE(limiter.admit("a", 0).admit);
    EXPECT_TRUE(limiter.admit("a", 10).admit);
    EXPECT_FALSE(limiter.admit("a", 20).admit);
    EXPECT_FALSE(limiter.admit("a", 999).admit);
    EXPECT_TRUE(limiter.admit("b", 999).admit);
    EXPECT_EQ(limiter.untold().size(), 1U);
    const auto next = limiter.admit("a", 1000);
    EXPECT_TRUE(next.admit);
    EXPECT_EQ(next.suppressed, 2U);
    EXPECT_TRUE(limiter.untold().empty());
    EXPECT_EQ(parse_log_level("warn").value(), LogLevel::kWarn);
    EXPECT_EQ(parse_log_level("loud").error().field, "log_level");
}

TEST(Terminal, FormatsAndDraws) {
    EXPECT_EQ(format_bytes(312), "312 B");
    EXPECT_EQ(format_bytes(1'540'000), "1.5 MB");
    EXPECT_EQ(format_seconds(4.21), "4.2 s");
    EXPECT_EQ(format_seconds(187), "3:07");
    EXPECT_EQ(format_seconds(3723), "1:02:03");
    EXPECT_EQ(format_seconds(-1), "?");
    EXPECT_EQ(ProgressBar::render("up", 0.5, "x", 40), "up [##############.............]  50%  x");
    EXPECT_EQ(ProgressBar::render("label", 1, "detail", 8).size(), 8U);
    EXPECT_EQ((Colours{.on = true}.red("x")), "\x1b[31mx\x1b[0m");
    EXPECT_EQ(Colours{}.red("x"), "x");
}

}  // namespace
}  // namespace framegrid::host
