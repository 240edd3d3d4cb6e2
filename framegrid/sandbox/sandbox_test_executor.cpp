// An executor for the tests: AiWork::pipeline says what to do, well or badly.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <thread>

#include <framegrid/sandbox/executor.hpp>
#include <framegrid/sandbox/message.hpp>
#include <framegrid/sandbox/probe.hpp>

namespace framegrid::sandbox {
namespace {

api::WorkOutput text_output(std::string_view text) {
    return {{api::Artifact{"out", "text/plain", Blob::copy_of(text), Pixels{1}, std::nullopt}}, Pixels{2}};
}

std::string errno_text(int failed) {
    return failed < 0 ? std::strerror(errno) : "allowed";
}

void write_raw(BytesView bytes) {
    const ssize_t ignored = ::send(kExecutorFd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    (void)ignored;
}

// What a hostile codec would try; each word is what the kernel said.
std::string try_to_escape(const std::string& path) {
    std::string out = "read:" + errno_text(::open(path.c_str(), O_RDONLY));
    out += " write:" + errno_text(::open((path + ".new").c_str(), O_WRONLY | O_CREAT, 0600));
    out += " socket:" + errno_text(::socket(AF_INET, SOCK_STREAM, 0));
    out += " kill:" + errno_text(::kill(::getppid(), 0));
    out += " ptrace:" + errno_text(static_cast<int>(::syscall(SYS_ptrace, 16, ::getppid(), 0, 0)));
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(0);
    }
    out += " fork:" + errno_text(pid);
    char* const none[] = {nullptr};
    out += " exec:" + errno_text(::execve("/bin/true", none, none));
    out += " library:" + errno_text(::open("/usr/bin/env", O_RDONLY));
    return out;
}

Result<api::WorkOutput> hang(const api::StopFlag& stop, bool stubborn) {
    while (stubborn || !stop) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return fail(Errc::kCancelled, "stopped");
}

api::WorkOutput echo(const api::Work& work) {
    return {
        {{"copy", work.input_content_type, work.input, Pixels{7}, 42},
         {"size", "text/plain", Blob::copy_of(std::to_string(work.input.size())), Pixels{}, std::nullopt}},
        Pixels{9}
    };
}

// First what a library would write, then what our log does.
void say(const std::string& line) {
    std::fprintf(stderr, "codec: odd input\nINFO %s\n", line.c_str());
}

// Fills memory until something gives way.
[[noreturn]] void hog() {
    std::vector<std::unique_ptr<char[]>> all;
    while (true) {
        all.push_back(std::make_unique<char[]>(16 << 20));
    }
}

// One file for each profile, whose name is its size in bytes; all but the last one are told of at once.
Result<api::WorkOutput> transcode(const api::TranscodeWork& work, const api::ArtifactSink& early) {
    api::WorkOutput output;
    if (work.profiles.empty()) {
        return fail(Errc::kUnprocessable, "not media", "input");
    }
    for (const auto& profile : work.profiles) {
        const std::string bytes(std::stoul(profile.name), static_cast<char>('a' + output.artifacts.size()));
        output.artifacts.push_back({profile.name, "video/mp2t", Blob::copy_of(bytes), Pixels{}, {}});
    }
    for (std::size_t i = output.artifacts.size() - 1; i-- > 0;) {
        early(i, output.artifacts[i]);
    }
    if (work.clip) {
        return fail(Errc::kUnprocessable, "a bad end", "input");
    }
    return output;
}

// Claims a result in a region, as the answer to a pool's first task.
void send_region(Region region, bool keep_mapped) {
    if (keep_mapped) {
        // The pool's output region is the only memory file here: map it for writing and keep it so.
        for (int fd = kExecutorFd + 1; fd < 32; ++fd) {
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        }
    }
    OutputMessage output;
    output.artifacts.push_back({{"a", "b", {}, Pixels{}, std::nullopt}, region});
    write_raw(encode(DoneMessage{1, output, false}).value());
}

void misbehave(const std::string& how) {
    if (how == "crash") {
        ::signal(SIGSEGV, SIG_DFL);
        ::raise(SIGSEGV);
    } else if (how == "exit") {
        ::_exit(3);
    } else if (how == "garbage") {
        write_raw(as_bytes(std::string_view("\x05\x00\x00\x00hello", 9)));
    } else if (how == "huge") {
        write_raw(as_bytes(std::string_view("\xff\xff\xff\xff", 4)));
    } else if (how == "close") {
        ::shutdown(kExecutorFd, SHUT_WR);
    } else if (how == "wrong-task") {
        write_raw(encode(DoneMessage{999'999, OutputMessage{}, false}).value());
    } else if (how == "outside") {
        send_region({1ULL << 40U, 5}, false);
    } else if (how == "overflow") {
        send_region({UINT64_MAX - 1, 4}, false);
    } else if (how == "still-mapped") {
        send_region({0, 4}, true);
    } else if (how == "early-outside") {
        write_raw(encode(EarlyMessage{1, 0, {{"a", "b", {}, Pixels{}, {}}, Region{1ULL << 40U, 5}}}).value());
    }
}

// The file itself says what to do.
Result<api::WorkOutput> probe(const Blob& file, const api::StopFlag& stop) {
    const auto text = file.text();
    if (text.starts_with("size:")) {
        return probe_output({"h264", "aac", "yuv420p", {static_cast<int>(text.size()), 1}});
    }
    if (text == "nonsense") {
        return text_output("h264 aac yuv420p");
    }
    if (text == "not media") {
        return fail(Errc::kUnprocessable, "Invalid data found when processing input");
    }
    misbehave(std::string(text));
    return hang(stop, text == "stubborn");
}

TimePoint monotonic_now() {
    return TimePoint(std::chrono::steady_clock::now().time_since_epoch());
}

class TestService {
  public:
    Result<api::WorkOutput> run(const api::Work& work, const api::WorkContext& context) {
        const api::StopFlag& stop = context.stop;
        const int of_session = count(work.session_id);
        if (const auto* work_of_media = std::get_if<api::TranscodeWork>(&work.kind)) {
            return transcode(*work_of_media, context.events.artifact);
        }
        if (is_probe(work)) {
            return probe(work.input, stop);
        }
        const auto* ai = std::get_if<api::AiWork>(&work.kind);
        const std::string& what = ai->pipeline;
        if (what == "echo") {
            return echo(work);
        }
        if (what == "pid") {
            return text_output(std::to_string(::getpid()));
        }
        if (what == "say") {
            say(ai->parameters);
            (void)hang(stop, false);
        }
        if (what == "model") {
            return load(ai->model_id);
        }
        if (what == "session") {
            return text_output(std::to_string(of_session));
        }
        if (what == "wait" || what == "stubborn") {
            return hang(stop, what == "stubborn");
        }
        if (what == "sleep") {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            return text_output(std::to_string(::getpid()));
        }
        if (what == "progress") {
            return tell_progress(context.events);
        }
        if (what == "slow-stop") {
            (void)hang(stop, false);
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            return fail(Errc::kCancelled, "stopped at last");
        }
        if (what == "deadline") {
            const auto left = context.deadline - monotonic_now();
            return text_output(
                left > std::chrono::seconds(5) && left < std::chrono::seconds(21) ? "sane" : "odd"
            );
        }
        if (what == "hog") {
            hog();
        }
        if (what == "throw") {
            throw std::runtime_error("codec gave up");
        }
        if (what == "escape") {
            return text_output(try_to_escape(ai->parameters));
        }
        if (what == "env") {
            return text_output(std::getenv("FG_TEST_SECRET") != nullptr ? "leaked" : "clean");
        }
        if (what == "prepared") {
            return text_output(is_prepared() ? "yes" : "no");
        }
        if (what == "large") {
            return text_output(std::string(10'000'000, 'x'));
        }
        misbehave(what);
        return hang(stop, false);
    }

    api::DeviceUse use() {
        const std::scoped_lock lock(mutex_);
        return use_;
    }

    void prepare() {
        const std::scoped_lock lock(mutex_);
        prepared_ = true;
        changed_.notify_all();
    }
    void end_session(const std::string& id) {
        const std::scoped_lock lock(mutex_);
        tasks_.erase(id);
    }

  private:
    static api::WorkOutput tell_progress(const api::WorkEvents& events) {
        for (int i = 1; i <= 3; ++i) {
            events.progress({i, 3, Blob::copy_of(std::string(static_cast<std::size_t>(i), 'p'))});
        }
        return text_output("done");
    }

    bool is_prepared() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return prepared_; });
    }

    Result<api::WorkOutput> load(const std::string& model) {
        const std::scoped_lock lock(mutex_);
        use_.device = "cpu";
        use_.models.assign(1, {model, ++loads_, 0, 0, 0, 0, loads_, 30, 1'000});
        return text_output(std::to_string(loads_));
    }

    int count(const std::string& session) {
        const std::scoped_lock lock(mutex_);
        return ++tasks_[session];
    }

    std::mutex mutex_;
    std::map<std::string, int> tasks_;
    api::DeviceUse use_;
    std::uint64_t loads_ = 0;
    bool prepared_ = false;
    std::condition_variable changed_;
};

}  // namespace
}  // namespace framegrid::sandbox

int main(int argc, char** argv) {
    using namespace framegrid::sandbox;
    if (argc > 1 && std::string_view(argv[1]) == "--silent") {
        std::this_thread::sleep_for(std::chrono::hours(1));
    }
    if (argc > 1) {
        std::fprintf(stderr, "unknown option %s\n", argv[1]);
        return 2;
    }
    TestService service;
    return serve_executor(
        kExecutorFd,
        {.run = [&](const auto& work, const auto& context) { return service.run(work, context); },
         .now = monotonic_now,
         .end_session = [&](const std::string& id) { service.end_session(id); },
         .use = [&] { return service.use(); },
         .prepare = [&] { service.prepare(); }}
    );
}
