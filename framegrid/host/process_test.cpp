#include <framegrid/host/loop.hpp>
#include <framegrid/host/process.hpp>

#include <csignal>

#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::host {
namespace {

using testing::HasSubstr;

Task<Result<int>> wait_for(ChildProcess& child, ExitStatus& status) {
    status = co_await child.wait();
    const ExitStatus again = co_await child.wait();
    co_return again.code == status.code ? 0 : 1;
}

ExitStatus run(SpawnOptions options) {
    Loop loop;
    auto child = ChildProcess::start(loop.executor(), std::move(options));
    EXPECT_TRUE(child) << child.error().message;
    ExitStatus status;
    EXPECT_EQ(loop.run_main(wait_for(*child, status)).value(), 0);
    return status;
}

TEST(Process, TellsHowAChildEnded) {
    EXPECT_TRUE(run({.argv = {"true"}}).ok());
    EXPECT_EQ(run({.argv = {"/bin/sh", "-c", "exit 3"}}).describe(), "exited with status 3");
    EXPECT_EQ(run({.argv = {"/bin/sh", "-c", "kill -SEGV $$"}}).describe(), "was killed by SIGSEGV");
}

TEST(Process, AProgramThatCannotStartIsAClearError) {
    Loop loop;
    const auto missing = ChildProcess::start(loop.executor(), {.argv = {"/nowhere/program"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Errc::kNotFound);
    EXPECT_THAT(missing.error().message, HasSubstr("cannot start /nowhere/program: No such file"));
    EXPECT_EQ(
        ChildProcess::start(loop.executor(), {.argv = {"no-such-program-here"}}).error().code, Errc::kNotFound
    );
    EXPECT_EQ(ChildProcess::start(loop.executor(), {.argv = {"/etc"}}).error().code, Errc::kForbidden);
    EXPECT_EQ(ChildProcess::start(loop.executor(), {.argv = {}}).error().code, Errc::kInvalidArgument);
    EXPECT_FALSE(ChildProcess::start(loop.executor(), {.argv = {"true"}, .working_dir = "/nowhere"}));
}

Task<Result<int>> collect(LineReader& reader, std::vector<std::string>& lines) {
    while (true) {
        auto line = co_await reader.next();
        if (!line) {
            co_return 0;
        }
        lines.push_back(std::move(*line));
    }
}

TEST(Process, ReadsLinesAndPassesEnvironmentAndDirectory) {
    Loop loop;
    auto child = ChildProcess::start(
        loop.executor(), {.argv = {"/bin/sh", "-c", "echo $A; pwd; echo; printf %9000d 1; echo; printf end"},
                          .env = {{"A=one two"}},
                          .out = {.kind = Output::Kind::kPipe},
                          .working_dir = "/usr"}
    );
    ASSERT_TRUE(child);
    std::vector<std::string> lines;
    ASSERT_TRUE(loop.run_main(collect(*child->out(), lines)));
    ASSERT_EQ(lines.size(), 6U);
    EXPECT_EQ(lines[0], "one two");
    EXPECT_EQ(lines[1], "/usr");
    EXPECT_EQ(lines[2], "");
    EXPECT_EQ(lines[3].size(), 8192U);
    EXPECT_EQ(lines[4].size(), 9000U - 8192U);
    EXPECT_EQ(lines[5], "end");
}

TEST(Process, PassesOnlyTheListedDescriptors) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const UniqueFd mine(ends[0]);
    UniqueFd theirs(ends[1]);
    const UniqueFd leak(::dup2(1, 77));  // without close-on-exec
    SpawnOptions options{
        .argv = {"/bin/sh", "-c", "for f in /proc/self/fd/*; do echo -n ${f##*/},; done >&5"}
    };
    options.fds = {{5, theirs.get()}, {1, theirs.get()}};
    EXPECT_TRUE(run(std::move(options)).ok());
    theirs.reset();
    char text[64] = {};
    ASSERT_GT(::read(mine.get(), text, sizeof text - 1), 0);
    EXPECT_THAT(text, HasSubstr(",5,"));
    EXPECT_THAT(text, testing::Not(HasSubstr("," + std::to_string(leak.get()) + ",")))
        << "leaked " << leak.get();
}

TEST(Process, WritesToFiles) {
    const auto dir = TempDir::make().value();
    const Output file{.kind = Output::Kind::kFile, .file = dir.path() / "log"};
    EXPECT_TRUE(run({.argv = {"/bin/sh", "-c", "echo out; echo err >&2"}, .out = file, .err = file}).ok());
    EXPECT_EQ(as_text(read_file(file.file, 100).value()), "out\nerr\n");
}

TEST(Process, SignalsTheGroupAndDestructionKills) {
    Loop loop;
    pid_t pid = 0;
    {
        auto child = ChildProcess::start(loop.executor(), {.argv = {"sleep", "1000"}});
        ASSERT_TRUE(child);
        pid = child->pid();
        EXPECT_EQ(::getpgid(pid), pid);
        EXPECT_FALSE(child->poll());
    }
    EXPECT_EQ(::kill(pid, 0), -1);
    auto child = ChildProcess::start(loop.executor(), {.argv = {"sleep", "1000"}});
    ASSERT_TRUE(child);
    child->signal(SIGTERM, true);
    ExitStatus status;
    ASSERT_TRUE(loop.run_main(wait_for(*child, status)));
    EXPECT_EQ(status.signal, SIGTERM);
}

}  // namespace
}  // namespace framegrid::host
