// An orchestrator as its workers see it: register, receive tasks, fetch inputs, submit results (protocol
// section 7).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/api/work.hpp>

namespace framegrid::api {

enum class WorkerKind : std::uint8_t { kTranscoder, kAi };

struct Registration {
    WorkerKind kind = WorkerKind::kTranscoder;
    std::string secret;
    std::int64_t capacity = 1;  // simultaneous tasks; AI workers state it per model in `capabilities`
    job::Capabilities capabilities;
    std::vector<HardwareInfo> hardware;
};

// One notification. With `session_ended` set there is no task: the worker may drop what it keeps for that
// session.
struct WorkerTask {
    TaskId id;
    Work work;              // `work.input` is empty until fetched, unless the host is in the same process
    std::string input_url;  // where the input is; empty: it is already in `work.input` (or there is none)
    std::optional<std::string> session_ended;
};

// The stream of tasks of one registration. Destroying it ends the registration.
class TaskStream {
  public:
    virtual ~TaskStream() = default;
    // Waits for the next task. An error means that the registration has ended: kUnauthorized (wrong secret:
    // do not come back), kInvalidArgument (refused: do not come back), anything else: register again with
    // back-off.
    virtual Task<Result<WorkerTask>> next() = 0;
};

struct TaskReport {
    WorkerKind kind = WorkerKind::kTranscoder;
    TaskId id;
    std::string secret;
    std::string pipeline;        // AI only
    Result<WorkOutput> outcome;  // the work's own error travels as text
    // Artifacts that the host has already, from submit_early(): their bytes may be left out.
    std::vector<std::size_t> delivered;
    bool draining = false;  // the worker finishes what it has and takes no more
};

// One rendition of a task that is not finished.
struct EarlyReport {
    TaskId id;
    std::string secret;
    std::size_t index = 0;  // its place in the outcome
    Artifact artifact;
};

// How far a task is.
struct ProgressReport {
    TaskId id;
    std::string secret;
    Progress progress;
};

class WorkerHost {
  public:
    virtual ~WorkerHost() = default;
    virtual Task<Result<std::unique_ptr<TaskStream>>> register_worker(
        Registration registration, Deadline deadline
    ) = 0;
    virtual Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) = 0;
    // Unknown and late task ids are accepted and ignored. kUnauthorized: wrong secret; the result was NOT
    // used.
    virtual Task<Result<void>> submit(TaskReport report, Deadline deadline) = 0;
    // Before submit(), for a TranscodeWork with `early` set. An error costs nothing but time: the report then
    // brings the rendition again. kUnauthorized: wrong secret; kNotFound: no such task.
    virtual Task<Result<void>> submit_early(EarlyReport report, Deadline deadline) = 0;
    // For an AiWork with `progress` set. kNotFound: nobody waits for the task any more, so it may stop.
    virtual Task<Result<void>> submit_progress(ProgressReport report, Deadline deadline) = 0;
};

}  // namespace framegrid::api
