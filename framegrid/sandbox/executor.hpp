// The child's side: a process that does tasks for its parent, several at a time if the parent gives it
// several, and can reach nothing else.
#pragma once

#include <functional>
#include <string>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/model_use.hpp>
#include <framegrid/api/work.hpp>

namespace framegrid::sandbox {

// The descriptor on which an executor process finds its parent.
inline constexpr int kExecutorFd = 3;

// What the process can do. Each slot has a thread; that of slot 0, where everything runs that does not share
// its process, is the one that called serve_executor().
struct ExecutorService {
    // Blocking. Returns kCancelled soon after `stop` becomes true. An exception fails the task only. The
    // events may be told on any thread, by one at a time, until `run` returns.
    std::function<Result<api::WorkOutput>(const api::Work& work, const api::WorkContext& context)> run;
    // A monotonic clock; the deadlines that `run` is given are in its time.
    std::function<TimePoint()> now;
    // The session gets no more work. May be empty.
    std::function<void(const std::string& session_id)> end_session = nullptr;
    // What it does with models, asked after each task, on any slot's thread. May be empty.
    std::function<api::DeviceUse()> use = nullptr;
    // An AI task may come: what it needs can be loaded. On a thread of its own, beside tasks. May be empty.
    std::function<void()> prepare = nullptr;
};

// Waits for the parent's limits, locks this process in and serves tasks until the parent closes `fd`. Call
// from main() before any other thread exists and before any untrusted byte is read. Libraries and models are
// loaded by `run`, from the directories that the parent allows. Returns the exit status: 0, or 1 when the
// parent broke the protocol.
int serve_executor(int fd, const ExecutorService& service);

}  // namespace framegrid::sandbox
