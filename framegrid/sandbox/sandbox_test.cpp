#include <framegrid/host/files.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/sandbox/hardening.hpp>
#include <framegrid/sandbox/pool.hpp>
#include <framegrid/sandbox/shared_memory.hpp>

#include <cstdlib>
#include <map>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::sandbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Output = Result<api::WorkOutput>;

ExecutorSettings settings(std::size_t executors = 1) {
    ExecutorSettings out;
    out.executors = executors;
    out.argv = {FG_TEST_EXECUTOR};
    return out;
}

api::Work ask(std::string pipeline, std::string session = {}) {
    api::Work work;
    work.session_id = std::move(session);
    work.kind = api::AiWork{std::move(pipeline), "model", {}};
    return work;
}

Task<Result<int>> collect_all(std::vector<Task<Output>> tasks, std::vector<Output>& out) {
    out = co_await all_of<api::WorkOutput>(std::move(tasks));
    co_return 0;
}

Task<Result<int>> stop_pool(ExecutorPool& pool) {
    co_await pool.stop();
    co_return 0;
}

// A pool on its own loop; the loop runs only inside run().
struct Sandbox {
    explicit Sandbox(ExecutorSettings s) : pool({loop.executor(), clock, threads, log()}, std::move(s)) {}
    ~Sandbox() { EXPECT_TRUE(loop.run_main(stop_pool(pool))); }

    Logger log() {
        return Logger(
            [this](LogLevel, std::string_view line) { lines += std::string(line) + "\n"; }, LogLevel::kDebug
        );
    }
    std::vector<Output> run(std::vector<api::Work> works, Duration within = seconds(20)) {
        std::vector<Task<Output>> tasks;
        for (auto& work : works) {
            tasks.push_back(pool.run(std::move(work), Deadline::after(clock, within), events));
        }
        std::vector<Output> out;
        EXPECT_TRUE(loop.run_main(collect_all(std::move(tasks), out)));
        return out;
    }
    Output run(api::Work work, Duration within = seconds(20)) {
        std::vector<api::Work> works;
        works.push_back(std::move(work));
        return std::move(run(std::move(works), within).front());
    }
    std::string text(api::Work work) {
        const auto out = run(std::move(work));
        return out ? std::string(out->artifacts.at(0).bytes.text()) : "error: " + out.error().message;
    }

    host::Loop loop;
    host::SteadyClock clock{loop.executor()};
    host::ThreadPool threads{1};
    std::string lines;
    api::WorkEvents events;  // of the tasks that run() starts
    ExecutorPool pool;
};

TEST(ExecutorPool, EchoesLargeAndSmallInputsInOneProcess) {
    Sandbox sandbox(settings());
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{5}, kInlineMax, kInlineMax + 1, std::size_t{20'000'000}}) {
        Bytes bytes(size);
        for (std::size_t i = 0; i < size; ++i) {
            bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
        }
        auto work = ask("echo");
        work.input = Blob(bytes);
        work.input_content_type = "video/mp2t";
        const auto out = sandbox.run(std::move(work));
        ASSERT_TRUE(out) << out.error().message;
        ASSERT_EQ(out->artifacts.size(), 2U);
        EXPECT_TRUE(std::ranges::equal(out->artifacts[0].bytes.view(), bytes)) << size;
        EXPECT_EQ(out->artifacts[0].seed, 42);
        EXPECT_EQ(out->artifacts[1].bytes.text(), std::to_string(size));
        EXPECT_EQ(out->decoded, Pixels{9});
    }
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
    EXPECT_EQ(sandbox.pool.stats().tasks_ok, 5U);
    EXPECT_EQ(sandbox.pool.stats().idle, 1U);
}

TEST(ExecutorPool, CountsWhatItsProcessesDoWithModels) {
    auto s = settings();
    s.tasks_per_executor_max = 2;
    Sandbox sandbox(s);
    for (int i = 0; i < 3; ++i) {
        EXPECT_NE(sandbox.text(ask("model")), "");
    }
    const auto stats = sandbox.pool.models();
    const auto& [name, counts] = *stats.counts.begin();
    EXPECT_EQ(name, "model");
    EXPECT_EQ(counts.loads, 3u) << "two in the first process, one in the second";
    EXPECT_EQ(counts.ended, 1u);
    EXPECT_EQ(stats.devices.at("cpu").bytes.begin()->second, 1'000);
    EXPECT_EQ(stats.tasks.begin(), stats.tasks.end());
}

TEST(ExecutorPool, LinesOfAnExecutorNameTheRequestTheyAreAbout) {
    const std::string mine(32, 'a');
    const std::string told(32, 'b');
    Sandbox sandbox(settings());
    auto work = ask("say");
    work.trace.trace_id = mine;
    std::get<api::AiWork>(work.kind).parameters = "media.odd trace=" + told;
    EXPECT_FALSE(sandbox.run(std::move(work), milliseconds(400)));
    EXPECT_THAT(sandbox.lines, HasSubstr("text=\"codec: odd input\" trace=" + mine));
    EXPECT_THAT(sandbox.lines, HasSubstr("trace=" + told + "\" trace=" + told));
    // With several inside, nobody knows whose line it is unless it says so.
    auto s = settings();
    s.share_max = 2;
    Sandbox shared(s);
    std::vector<api::Work> works;
    for (const char letter : {'c', 'd'}) {
        works.push_back(ask("say"));
        works.back().trace.trace_id = std::string(32, letter);
        std::get<api::AiWork>(works.back().kind).parameters =
            "media.odd trace=" + std::string(31, letter) + "X";
    }
    (void)shared.run(std::move(works), milliseconds(400));
    EXPECT_EQ(shared.lines.find("trace=" + std::string(31, 'c') + "X\" trace="), std::string::npos)
        << shared.lines;
}

TEST(ExecutorPool, ReusesAProcessAndReplacesItAfterItsShare) {
    auto s = settings();
    s.tasks_per_executor_max = 2;
    Sandbox sandbox(s);
    const auto first = sandbox.text(ask("pid"));
    EXPECT_EQ(sandbox.text(ask("pid")), first);
    EXPECT_NE(sandbox.text(ask("pid")), first);
    EXPECT_EQ(sandbox.pool.stats().retired, 1U);
}

TEST(ExecutorPool, WorksInParallelUpToItsLimitAndQueuesTheRest) {
    Sandbox sandbox(settings(2));
    std::vector<api::Work> works;
    for (int i = 0; i < 6; ++i) {
        works.push_back(ask("sleep"));
    }
    const TimePoint start = sandbox.clock.now();
    const auto out = sandbox.run(std::move(works));
    std::set<std::string> pids;
    for (const auto& one : out) {
        ASSERT_TRUE(one);
        pids.insert(std::string(one->artifacts[0].bytes.text()));
    }
    EXPECT_EQ(pids.size(), 2U);
    EXPECT_GE(sandbox.clock.now() - start, milliseconds(300));
    EXPECT_EQ(sandbox.pool.stats().started, 2U);
}

TEST(ExecutorPool, KeepsASessionInItsProcessUntilItEnds) {
    Sandbox sandbox(settings(2));
    std::vector<api::Work> both;
    both.push_back(ask("sleep", "a"));
    both.push_back(ask("sleep", "b"));
    (void)sandbox.run(std::move(both));
    for (int i = 2; i < 6; ++i) {
        EXPECT_EQ(sandbox.text(ask("session", "a")), std::to_string(i));
        EXPECT_EQ(sandbox.text(ask("session", "b")), std::to_string(i));
    }
    sandbox.pool.end_session("a");
    EXPECT_EQ(sandbox.text(ask("session", "a")), "1");
    EXPECT_EQ(sandbox.text(ask("session", "b")), "6");
}

TEST(ExecutorPool, PassesErrorsOfTheTaskOn) {
    Sandbox sandbox(settings());
    api::Work work;
    work.kind = api::TranscodeWork{};
    const auto rejected = sandbox.run(std::move(work));
    ASSERT_FALSE(rejected);
    EXPECT_EQ(rejected.error().code, Errc::kUnprocessable);
    EXPECT_EQ(rejected.error().disposition, Disposition::kReject);
    EXPECT_EQ(rejected.error().field, "input");
    const auto thrown = sandbox.run(ask("throw"));
    EXPECT_EQ(thrown.error().code, Errc::kInternal);
    EXPECT_THAT(thrown.error().message, HasSubstr("codec gave up"));
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
}

class Misconduct : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Misconduct, FailsOneTaskOnly) {
    Sandbox sandbox(settings(2));
    std::vector<api::Work> works;
    works.push_back(ask("sleep"));
    works.push_back(ask(GetParam().first));
    const auto out = sandbox.run(std::move(works));
    EXPECT_TRUE(out[0]);
    ASSERT_FALSE(out[1]);
    EXPECT_EQ(out[1].error().code, Errc::kUnavailable);
    EXPECT_EQ(out[1].error().disposition, Disposition::kRetry);
    EXPECT_THAT(out[1].error().message, HasSubstr(GetParam().second));
    EXPECT_EQ(sandbox.pool.stats().tasks_crashed, 1U);
    EXPECT_THAT(sandbox.text(ask("pid")), testing::MatchesRegex("[0-9]+"));
}

INSTANTIATE_TEST_SUITE_P(
    All, Misconduct,
    testing::Values(
        std::pair{"crash", "was killed by SIGSEGV"}, std::pair{"exit", "exited with status 3"},
        std::pair{"garbage", "sent garbage"}, std::pair{"huge", "claims 4294967295 bytes"},
        std::pair{"wrong-task", "out of turn"}, std::pair{"close", "SIGKILL"},
        std::pair{"early-outside", "out of turn"}
    ),
    [](const auto& test) {
        std::string name = test.param.first;
        std::erase(name, '-');
        return name;
    }
);

TEST(ExecutorPool, AResultOutsideItsMemoryIsNotBelieved) {
    for (const char* how : {"outside", "overflow", "still-mapped"}) {
        Sandbox sandbox(settings());
        const auto out = sandbox.run(ask(how));
        ASSERT_FALSE(out) << how;
        EXPECT_EQ(out.error().code, Errc::kUnavailable);
        EXPECT_THAT(out.error().message, HasSubstr("sent a false result")) << how;
        EXPECT_THAT(sandbox.text(ask("pid")), testing::MatchesRegex("[0-9]+"));
    }
}

// Renditions of these sizes; all but the last one are told of early.
api::Work ask_for_renditions(const std::vector<std::size_t>& sizes) {
    api::Work work;
    api::TranscodeWork transcode;
    transcode.early = true;
    for (const std::size_t size : sizes) {
        media::VideoProfile profile;
        profile.name = std::to_string(size);
        transcode.profiles.push_back(profile);
    }
    work.kind = std::move(transcode);
    return work;
}

TEST(ExecutorPool, TellsOfFilesBeforeTheTaskEnds) {
    auto s = settings();
    s.early_bytes_max = 3'000'000;
    Sandbox sandbox(s);
    std::map<std::size_t, std::string> told;
    sandbox.events.artifact = [&](std::size_t index, const api::Artifact& artifact) {
        EXPECT_TRUE(told.emplace(index, artifact.bytes.text()).second) << index;
    };
    const std::vector<std::size_t> sizes = {5, 2'000'000, 4'000'000, kInlineMax + 1, 300'000};
    for (int round = 0; round < 2; ++round) {
        told.clear();
        const auto out = sandbox.run(ask_for_renditions(sizes));
        ASSERT_TRUE(out) << out.error().message;
        ASSERT_EQ(out->artifacts.size(), sizes.size());
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const std::string expected(sizes[i], static_cast<char>('a' + i));
            EXPECT_EQ(out->artifacts[i].bytes.text(), expected) << i;
            const bool early = i + 1 < sizes.size() && sizes[i] <= s.early_bytes_max;
            EXPECT_EQ(told.count(i), early ? 1U : 0U) << i;
            EXPECT_TRUE(!early || told[i] == expected) << i;
        }
    }
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
}

TEST(ExecutorPool, WhatWasToldOfATaskThatFailsIsGoneWithIt) {
    Sandbox sandbox(settings());
    std::size_t told = 0;
    sandbox.events.artifact = [&](std::size_t, const api::Artifact& artifact) {
        told += artifact.bytes.size();
    };
    auto work = ask_for_renditions({100'000, 200'000});
    std::get<api::TranscodeWork>(work.kind).clip = api::Clip{};
    const auto failed = sandbox.run(std::move(work));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::kUnprocessable);
    EXPECT_EQ(told, 100'000U);
    const auto out = sandbox.run(ask_for_renditions({300'000, 70'000}));
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->artifacts[0].bytes.text(), std::string(300'000, 'a'));
    EXPECT_EQ(out->artifacts[1].bytes.text(), std::string(70'000, 'b'));
    EXPECT_EQ(told, 400'000U);
    EXPECT_EQ(sandbox.pool.stats().started, 1U) << "the process and its memory are used again";
}

TEST(ExecutorPool, AHogLosesItsTaskAndIsReplaced) {
    if (is_sanitized()) {
        GTEST_SKIP() << "memory is not limited under sanitizers";
    }
    auto s = settings();
    s.memory_bytes_max = 256'000'000;
    Sandbox sandbox(s);
    const auto before = sandbox.text(ask("pid"));
    const auto out = sandbox.run(ask("hog"));
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().code, Errc::kUnavailable);
    EXPECT_EQ(out.error().disposition, Disposition::kRetry);
    EXPECT_THAT(out.error().message, HasSubstr("more memory than an executor has (256 MB)"));
    EXPECT_NE(sandbox.text(ask("pid")), before);
}

TEST(ExecutorPool, ALateTaskIsStoppedOrKilled) {
    auto s = settings();
    s.stop_grace = milliseconds(100);
    Sandbox sandbox(s);
    const auto before = sandbox.text(ask("pid"));
    EXPECT_EQ(sandbox.run(ask("wait"), milliseconds(50)).error().code, Errc::kDeadline);
    EXPECT_EQ(sandbox.text(ask("pid")), before) << "an executor that stops when asked stays";
    EXPECT_EQ(sandbox.run(ask("stubborn"), milliseconds(50)).error().code, Errc::kDeadline);
    EXPECT_NE(sandbox.text(ask("pid")), before) << "one that does not is killed";
    EXPECT_EQ(sandbox.pool.stats().tasks_late, 2U);
}

TEST(ExecutorPool, TasksWaitForAPlaceUntilTheirDeadline) {
    auto s = settings();
    s.queue_max = 2;
    s.stop_grace = milliseconds(50);
    Sandbox sandbox(s);
    ASSERT_TRUE(sandbox.run(ask("pid")));
    std::vector<api::Work> works;
    for (const char* what : {"stubborn", "pid", "pid", "pid"}) {
        works.push_back(ask(what));
    }
    const auto out = sandbox.run(std::move(works), milliseconds(100));
    EXPECT_EQ(out[0].error().code, Errc::kDeadline);
    EXPECT_EQ(out[1].error().code, Errc::kCapacity);
    EXPECT_EQ(out[2].error().code, Errc::kCapacity);
    EXPECT_EQ(out[3].error().code, Errc::kCapacity);
    EXPECT_THAT(out[3].error().message, HasSubstr("2 tasks wait"));
    EXPECT_EQ(sandbox.pool.stats().tasks_refused, 3U);
    EXPECT_EQ(sandbox.pool.stats().waiting, 0U);
}

Task<void> run_ignoring(ExecutorPool& pool, api::Work work, Deadline deadline) {
    (void)co_await pool.run(std::move(work), deadline, {});
}

Task<Result<int>> cancel_after(Sandbox& sandbox, const char* what, Duration after) {
    TaskGroup group(sandbox.loop.executor(), 4);
    group.spawn(run_ignoring(sandbox.pool, ask(what), Deadline::after(sandbox.clock, seconds(60))));
    group.spawn(run_ignoring(sandbox.pool, ask(what), Deadline::after(sandbox.clock, seconds(60))));
    co_await sleep_for(sandbox.clock, after);
    group.cancel();
    co_await group.join();
    co_return 0;
}

TEST(ExecutorPool, CancellingStopsTheWork) {
    auto s = settings();
    s.stop_grace = milliseconds(100);
    Sandbox sandbox(s);
    const auto before = sandbox.text(ask("pid"));
    ASSERT_TRUE(sandbox.loop.run_main(cancel_after(sandbox, "wait", milliseconds(30))));
    EXPECT_EQ(sandbox.text(ask("pid")), before);
    ASSERT_TRUE(sandbox.loop.run_main(cancel_after(sandbox, "stubborn", milliseconds(30))));
    EXPECT_NE(sandbox.text(ask("pid")), before);
    EXPECT_EQ(sandbox.pool.stats().busy, 0U);
}

TEST(ExecutorPool, CancellingDuringTheStartIsClean) {
    Sandbox sandbox(settings());
    ASSERT_TRUE(sandbox.loop.run_main(cancel_after(sandbox, "wait", milliseconds(0))));
    EXPECT_THAT(sandbox.text(ask("pid")), testing::MatchesRegex("[0-9]+"));
}

TEST(ExecutorPool, SaysClearlyWhenItCannotStart) {
    auto s = settings();
    s.argv = {"/nowhere/executor"};
    {
        Sandbox sandbox(s);
        const auto out = sandbox.run(ask("pid"));
        ASSERT_FALSE(out);
        EXPECT_EQ(out.error().code, Errc::kUnavailable);
        EXPECT_THAT(
            out.error().message, HasSubstr("no executor can be started: cannot start /nowhere/executor")
        );
        EXPECT_FALSE(sandbox.run(ask("pid")));
        EXPECT_EQ(sandbox.pool.stats().start_failures, 1U) << "no second attempt within the back-off";
    }
    s.argv = {FG_TEST_EXECUTOR, "--bad"};
    Sandbox sandbox(s);
    const auto out = sandbox.run(ask("pid"));
    ASSERT_FALSE(out);
    EXPECT_THAT(out.error().message, HasSubstr("it exited with status 2"));
}

TEST(ExecutorPool, GivesUpOnAnExecutorThatNeverGetsReady) {
    auto s = settings();
    s.argv = {FG_TEST_EXECUTOR, "--silent"};
    s.startup_max = milliseconds(100);
    Sandbox sandbox(s);
    const auto out = sandbox.run(ask("pid"));
    ASSERT_FALSE(out);
    EXPECT_THAT(out.error().message, HasSubstr("was not ready in time"));
}

ExecutorSettings sharing(std::size_t executors = 1) {
    auto out = settings(executors);
    out.share_max = 4;
    return out;
}

TEST(ExecutorPool, AiTasksShareAProcessUpToALimit) {
    Sandbox sandbox(sharing(2));
    std::vector<api::Work> works;
    for (int i = 0; i < 8; ++i) {
        works.push_back(ask("sleep"));
    }
    const TimePoint start = sandbox.clock.now();
    std::set<std::string> pids;
    for (const auto& one : sandbox.run(std::move(works))) {
        ASSERT_TRUE(one) << one.error().message;
        pids.insert(std::string(one->artifacts[0].bytes.text()));
    }
    const Duration took = sandbox.clock.now() - start;
    EXPECT_EQ(pids.size(), 1U);
    EXPECT_GE(took, milliseconds(200));
    EXPECT_LT(took, milliseconds(700)) << "eight in a row would be 800 ms";
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
}

TEST(ExecutorPool, EachOfTheSharingTasksGetsItsOwnFiles) {
    Sandbox sandbox(sharing());
    for (int round = 0; round < 3; ++round) {
        std::vector<api::Work> works;
        for (std::size_t i = 0; i < 7; ++i) {
            auto work = ask("echo");
            work.input = Blob(Bytes(100'000 * (i + 1), static_cast<std::uint8_t>(i)));
            works.push_back(std::move(work));
        }
        const auto out = sandbox.run(std::move(works));
        for (std::size_t i = 0; i < out.size(); ++i) {
            ASSERT_TRUE(out[i]) << out[i].error().message;
            const Bytes expected(100'000 * (i + 1), static_cast<std::uint8_t>(i));
            EXPECT_TRUE(std::ranges::equal(out[i]->artifacts[0].bytes.view(), expected)) << i;
        }
    }
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
    EXPECT_EQ(sandbox.pool.stats().busy, 0U);
}

TEST(ExecutorPool, ATranscodeHasAProcessToItself) {
    Sandbox sandbox(sharing(2));
    std::vector<api::Work> works;
    works.push_back(ask("sleep"));
    works.push_back(ask_for_renditions({5}));
    works.push_back(ask("sleep"));
    for (const auto& one : sandbox.run(std::move(works))) {
        ASSERT_TRUE(one) << one.error().message;
    }
    EXPECT_EQ(sandbox.pool.stats().started, 2U);
}

TEST(ExecutorPool, TheInnocentAreTriedAgainAlone) {
    Sandbox sandbox(sharing(2));
    std::vector<api::Work> works;
    for (const char* what : {"sleep", "crash", "sleep"}) {
        works.push_back(ask(what));
    }
    const auto out = sandbox.run(std::move(works));
    EXPECT_TRUE(out[0]) << out[0].error().message;
    EXPECT_TRUE(out[2]) << out[2].error().message;
    ASSERT_FALSE(out[1]);
    EXPECT_THAT(out[1].error().message, HasSubstr("was killed by SIGSEGV"));
    EXPECT_EQ(sandbox.pool.stats().tasks_again, 3U);
    EXPECT_EQ(sandbox.pool.stats().tasks_crashed, 4U);
    EXPECT_EQ(sandbox.pool.stats().busy, 0U);
}

TEST(ExecutorPool, AStoppingTaskDoesNotTakeItsCompanyAlong) {
    auto s = sharing();
    s.stop_grace = milliseconds(50);  // less than "slow-stop" needs
    Sandbox sandbox(s);
    const auto before = sandbox.text(ask("pid"));
    ASSERT_TRUE(sandbox.loop.run_main(cancel_after(sandbox, "slow-stop", milliseconds(30))));
    EXPECT_EQ(sandbox.text(ask("pid")), before);
}

TEST(ExecutorPool, TellsOfProgress) {
    Sandbox sandbox(sharing());
    std::vector<std::string> told;
    sandbox.events.progress = [&](const api::Progress& progress) {
        told.push_back(fmt::format("{}/{} {}", progress.done, progress.total, progress.preview.text()));
    };
    auto work = ask("progress");
    std::get<api::AiWork>(work.kind).progress = true;
    EXPECT_EQ(sandbox.text(std::move(work)), "done");
    EXPECT_THAT(told, testing::ElementsAre("1/3 p", "2/3 pp", "3/3 ppp"));
    EXPECT_EQ(sandbox.text(ask("deadline")), "sane");
}

TEST(ExecutorPool, LimitsResults) {
    auto s = settings();
    s.result_bytes_max = 1'000'000;
    Sandbox sandbox(s);
    EXPECT_EQ(sandbox.run(ask("large")).error().code, Errc::kTooLarge);
    EXPECT_TRUE(sandbox.run(ask("pid")));
}

TEST(ExecutorPool, AHostileTaskReachesNothing) {
    const auto dir = host::TempDir::make("framegrid-sandbox").value();
    const auto key = dir.path() / "key.json";
    ASSERT_TRUE(host::write_file_atomic(key, as_bytes("secret"), host::Durability::kCached, 0644));
    ::setenv("FG_TEST_SECRET", "1", 1);
    auto s = settings();
    {
        Sandbox sandbox(s);
        EXPECT_EQ(sandbox.text(ask("env")), "clean");
        auto work = ask("escape");
        std::get<api::AiWork>(work.kind).parameters = key.string();
        const auto said = sandbox.text(std::move(work));
        EXPECT_EQ(sandbox.lines.find("protection_missing"), std::string::npos) << sandbox.lines;
        EXPECT_EQ(
            said,
            "read:Permission denied write:Permission denied socket:Operation not permitted kill:Operation "
            "not permitted "
            "ptrace:Operation not permitted fork:Operation not permitted exec:Operation not permitted "
            "library:allowed"
        );
    }
    s.readable = {dir.path().string()};
    Sandbox sandbox(s);
    auto work = ask("escape");
    std::get<api::AiWork>(work.kind).parameters = key.string();
    EXPECT_THAT(sandbox.text(std::move(work)), HasSubstr("read:allowed write:Permission denied"));
}

TEST(ExecutorPool, WarmsUpAndStopsWithTasksInside) {
    Sandbox sandbox(settings());
    sandbox.pool.warm_up();
    EXPECT_EQ(sandbox.pool.stats().started, 1U);
    ASSERT_TRUE(sandbox.loop.run_main(stop_pool(sandbox.pool)));
    EXPECT_EQ(sandbox.run(ask("pid")).error().code, Errc::kUnavailable);
}

TEST(ExecutorPool, AiTasksGoToTheProcessThatIsPreparedForThem) {
    auto s = settings();
    s.executors = 3;
    s.warm = 3;
    s.prepared = 1;
    Sandbox sandbox(s);
    sandbox.pool.warm_up();
    const auto all_ready = [](ExecutorPool& pool, Clock& clock) -> Task<Result<int>> {
        while (pool.stats().idle < 3) {
            co_await sleep_for(clock, std::chrono::milliseconds(5));
        }
        co_return 3;
    };
    ASSERT_TRUE(sandbox.loop.run_main(all_ready(sandbox.pool, sandbox.clock)));
    EXPECT_EQ(sandbox.text(ask("prepared")), "yes");
}

TEST(SharedMemory, RefusesWhatAHostileChildCouldChange) {
    const auto region = make_output_region(1 << 20).value();
    EXPECT_EQ(::ftruncate(region.get(), 0), -1);
    EXPECT_EQ(::ftruncate(region.get(), 2 << 20), -1);
    {
        const auto map = WritableMap::make(region, 0, 5).value();
        std::memcpy(map.bytes().data(), "hello", 5);
        EXPECT_EQ(seal_and_map(region, 5).error().code, Errc::kProtocol) << "still mapped for writing";
    }
    EXPECT_EQ(copy_out(region, 1, 3).value().text(), "ell");
    EXPECT_EQ(copy_out(region, (1 << 20) - 1, 2).error().code, Errc::kProtocol);
    EXPECT_EQ(seal_and_map(region, (1 << 20) + 1).error().code, Errc::kProtocol);
    EXPECT_EQ(seal_and_map(region, 5).value().text(), "hello");
    EXPECT_EQ(::pwrite(region.get(), "x", 1, 0), -1);
    const host::UniqueFd plain(::memfd_create("plain", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(plain.get(), 100), 0);
    EXPECT_EQ(seal_and_map(plain, 5).error().code, Errc::kProtocol);
}

}  // namespace
}  // namespace framegrid::sandbox
