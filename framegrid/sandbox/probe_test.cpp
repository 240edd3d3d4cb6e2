#include <framegrid/host/loop.hpp>
#include <framegrid/sandbox/message.hpp>
#include <framegrid/sandbox/pool.hpp>
#include <framegrid/sandbox/probe.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::sandbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using Found = Result<api::ProbeResult>;

const api::ProbeResult kFull{"h264", "aac", "yuv420p10le", {1920, 1080}, 2'000, 50};

api::WorkOutput line(std::string_view text) {
    return {{{"probe", "text/plain", Blob::copy_of(text), Pixels{}, std::nullopt}}, Pixels{}};
}

TEST(ProbeOutput, RoundTrips) {
    for (const auto& found :
         {kFull, api::ProbeResult{}, api::ProbeResult{"adpcm_ima_qt", "", "", {0, 2'147'483'647}},
          api::ProbeResult{"", "mp3", "", {}}}) {
        const auto output = probe_output(found);
        ASSERT_TRUE(output);
        EXPECT_EQ(parse_probe_output(*output).value(), found);
    }
    EXPECT_EQ(probe_output(kFull)->artifacts.at(0).bytes.text(), "h264 aac yuv420p10le 1920 1080 2000 50");
    EXPECT_EQ(probe_output({})->artifacts.at(0).bytes.text(), "- - - 0 0 0 0");
}

TEST(ProbeOutput, TheChildSaysNothingThatItsParentWouldRefuse) {
    for (const auto& found :
         {api::ProbeResult{"two words", "", "", {}}, api::ProbeResult{"", "-", "", {}},
          api::ProbeResult{"", "", std::string(65, 'x'), {}}, api::ProbeResult{"h264", "", "", {-1, 5}},
          api::ProbeResult{"h264", "", "", {}, -1}}) {
        EXPECT_EQ(probe_output(found).error().code, Errc::kUnprocessable);
    }
}

TEST(ProbeOutput, AFalseAnswerIsRefused) {
    const std::string long_name(65, 'x');
    for (const std::string& text :
         {std::string(), std::string("h264"), std::string("h264 aac yuv420p 1920"),
          std::string("h264 aac yuv420p 1920 1080 0 0 "), std::string("h264 aac yuv420p 1920 1080 0 0 7"),
          std::string("h264  yuv420p 1920 1080 0 0"), std::string("h264 aac yuv420p -1 1080 0 0"),
          std::string("h264 aac yuv420p 1920 2147483648 0 0"), std::string("h264 aac yuv420p 0x10 1080 0 0"),
          std::string("h264 aac yuv420p 1920 1080 0 0\n"), std::string("h2\r\n64 aac yuv420p 1920 1080 0 0"),
          std::string("h264 a\0c yuv420p 1 1 0 0", 24), long_name + " aac yuv420p 1920 1080 0 0",
          std::string(300, '0') + " aac yuv420p 1920 1080 0 0",
          std::string("h264 aac yuv420p 1920 1080 -1 0")}) {
        EXPECT_EQ(parse_probe_output(line(text)).error().code, Errc::kProtocol) << text;
    }
    EXPECT_FALSE(parse_probe_output({}));
    auto two = line("- - - 0 0 0 0");
    two.artifacts.push_back(two.artifacts.front());
    EXPECT_FALSE(parse_probe_output(two));
}

Task<Result<int>> collect_all(std::vector<Task<Found>> tasks, std::vector<Found>& out) {
    out = co_await all_of<api::ProbeResult>(std::move(tasks));
    co_return 0;
}

Task<Result<int>> stop_pool(ExecutorPool& pool) {
    co_await pool.stop();
    co_return 0;
}

ExecutorSettings settings(std::size_t executors) {
    ExecutorSettings out;
    out.executors = executors;
    out.argv = {FG_TEST_EXECUTOR};
    out.stop_grace = milliseconds(50);
    out.run_max = seconds(1);
    return out;
}

// Probes by real processes, which do what the first bytes of their files say.
class ProbeTest : public testing::Test {
  protected:
    ~ProbeTest() override { EXPECT_TRUE(loop_.run_main(stop_pool(pool_))); }

    std::vector<Found> look(std::vector<Blob> files, Duration within = seconds(20)) {
        std::vector<Task<Found>> tasks;
        for (auto& file : files) {
            tasks.push_back(probe_.probe(std::move(file), Deadline::after(clock_, within)));
        }
        std::vector<Found> out;
        EXPECT_TRUE(loop_.run_main(collect_all(std::move(tasks), out)));
        return out;
    }
    Found look(std::string_view file, Duration within = seconds(20)) {
        std::vector<Blob> files;
        files.push_back(Blob::copy_of(file));
        return std::move(look(std::move(files), within).front());
    }

    host::Loop loop_;
    host::SteadyClock clock_{loop_.executor()};
    host::ThreadPool threads_{1};
    ExecutorPool pool_{{loop_.executor(), clock_, threads_, Logger{}}, settings(2)};
    ExecutorProbe probe_{pool_};
};

TEST_F(ProbeTest, SmallAndLargeFilesByOneProcessThatIsStartedWhenNeeded) {
    EXPECT_EQ(pool_.stats().started, 0U);
    for (const std::size_t size : {std::size_t{0}, kInlineMax, kInlineMax + 1, std::size_t{3'000'000}}) {
        const auto found = look("size:" + std::string(size, 'x'));
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->video_codec, "h264");
        EXPECT_EQ(found->size.width, static_cast<int>(size + 5)) << "the child sees all bytes";
    }
    EXPECT_EQ(pool_.stats().started, 1U);
    EXPECT_EQ(pool_.stats().idle, 1U);
}

TEST_F(ProbeTest, WhatIsWrongWithTheFileIsSaid) {
    const auto found = look("not media");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::kUnprocessable);
    EXPECT_EQ(found.error().disposition, Disposition::kReject);
    EXPECT_EQ(pool_.stats().started, 1U);
}

TEST_F(ProbeTest, AFileThatCrashesItsProcessFailsAlone) {
    std::vector<Blob> files;
    for (const char* text : {"crash", "size:", "exit", "size:1"}) {
        files.push_back(Blob::copy_of(std::string_view(text)));
    }
    const auto found = look(std::move(files));
    for (const std::size_t bad : {0U, 2U}) {
        ASSERT_FALSE(found[bad]);
        EXPECT_EQ(found[bad].error().code, Errc::kUnavailable);
        EXPECT_EQ(found[bad].error().disposition, Disposition::kRetry);
    }
    EXPECT_THAT(found[0].error().message, HasSubstr("killed by SIGSEGV"));
    EXPECT_THAT(found[2].error().message, HasSubstr("exited with status 3"));
    EXPECT_TRUE(found[1]);
    EXPECT_TRUE(found[3]);
    EXPECT_TRUE(look("size:"));
}

TEST_F(ProbeTest, AFileThatHangsItsProcessFailsAtTheDeadlineAndTheProcessIsReplaced) {
    EXPECT_EQ(look("stubborn", milliseconds(50)).error().code, Errc::kDeadline);
    EXPECT_EQ(look("stubborn", milliseconds(50)).error().code, Errc::kDeadline);
    EXPECT_TRUE(look("size:")) << "both processes hung, and others took their places";
    EXPECT_EQ(pool_.stats().tasks_late, 2U);
}

TEST_F(ProbeTest, FilesThatHangTheirProcessesDoNotHoldThePlacesOfOthers) {
    std::vector<Blob> files;
    for (const std::string_view file : {"stubborn", "stubborn", "size:"}) {
        files.push_back(Blob::copy_of(file));
    }
    const auto found = look(std::move(files));
    EXPECT_EQ(found[0].error().code, Errc::kDeadline);
    EXPECT_EQ(found[1].error().code, Errc::kDeadline);
    EXPECT_TRUE(found[2]) << found[2].error().message;
}

TEST_F(ProbeTest, AFalseAnswerFailsTheProbeOnly) {
    const auto found = look("nonsense");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::kUnavailable);
    EXPECT_EQ(found.error().disposition, Disposition::kRetry);
    EXPECT_TRUE(look("size:"));
}

}  // namespace
}  // namespace framegrid::sandbox
