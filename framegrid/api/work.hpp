// Units of work in domain types: what a worker is asked to do and what comes out, for every pipeline alike.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <framegrid/api/transfer.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/base/trace.hpp>
#include <framegrid/media/profile.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

// A window inside a segment, milliseconds from its start.
struct Clip {
    std::int64_t from_ms = 0;
    std::int64_t to_ms = 0;
    friend bool operator==(const Clip&, const Clip&) = default;
};

// Decode one segment once and encode every profile.
struct TranscodeWork {
    std::vector<media::VideoProfile> profiles;
    std::int64_t duration_ms = media::kSegmentMsDefault;
    std::optional<Clip> clip;
    bool force_reinit = false;  // the source's format changed: drop what is kept for the session
    bool early = false;         // somebody takes each rendition as soon as it is done, in the profiles' order
};

// Run one request of an AI pipeline.
struct AiWork {
    std::string pipeline;    // "upscale"
    std::string model_id;    // "framegrid/sr-2x"
    std::string parameters;  // JSON object as the client gave it (prompt, seed ...)
    bool progress = false;   // somebody listens to its steps
    int preview_steps = 0;   // a preview with every so many of them; 0: none
    friend bool operator==(const AiWork&, const AiWork&) = default;
};

// Of jobs that share a device. Levels are shares: each gets four times the time of the one below.
enum class Priority : std::int8_t { kLow = -1, kNormal = 0, kHigh = 1 };

struct Urgency {
    Priority priority = Priority::kNormal;
    TimePoint deadline = TimePoint::max();
};

struct Work {
    std::string session_id;  // work of one session shares codecs and goes to one worker where possible
    std::variant<TranscodeWork, AiWork> kind;
    Blob input;                      // the segment, or the input file; may be empty (echo)
    std::string input_content_type;  // as declared by the client: never trusted
    Priority priority = Priority::kNormal;
    TraceContext trace{};  // the request that it is for, and the span that asked for it
    // Instead of `input`, where it is too large for memory: the result goes there, too.
    std::shared_ptr<Transfer> transfer = nullptr;
};

// Its name in metrics: "transcode", or the AI pipeline.
inline std::string pipeline_of(const Work& work) {
    const auto* ai = std::get_if<AiWork>(&work.kind);
    return ai == nullptr ? "transcode" : ai->pipeline;
}

// One result file.
struct Artifact {
    std::string name;          // rendition name, or file name
    std::string content_type;  // "video/mp2t", "image/png"
    Blob bytes;
    Pixels pixels;  // encoded pixels (billing unit of transcoding)
    std::optional<std::int64_t> seed;
    std::optional<FileFacts> file{};  // of a transfer's result, instead of `bytes`
    std::optional<bool> nsfw{};       // what a safety checker said; absent: nobody has looked
    friend bool operator==(const Artifact& a, const Artifact& b) {
        return a.name == b.name && a.content_type == b.content_type && a.pixels == b.pixels;
    }
};

// How an AI result came about. All of it is the worker's word.
struct AiRun {
    std::string model_id;
    std::string model_digest;     // SHA-256 over the model's files, hex
    int steps = 0;                // denoising steps; 0: the pipeline has none
    std::int64_t runtime_ms = 0;  // in the executor, loading included
    friend bool operator==(const AiRun&, const AiRun&) = default;
};

struct WorkOutput {
    std::vector<Artifact> artifacts;  // transcode: profile order
    Pixels decoded;                   // pixels decoded from the input
    std::optional<AiRun> ai{};        // of AI work, from peers that say it
};

// Told of a result file before the whole result is there; `index` is its place in WorkOutput::artifacts. What
// was told of is part of the final output, if there is one. Empty: nobody wants to know.
using ArtifactSink = std::function<void(std::size_t index, const Artifact& artifact)>;

// How far an AI task is.
struct Progress {
    int done = 0;    // steps
    int total = 0;   // of them; at least 1
    Blob preview{};  // a small JPEG of what the result will look like; usually empty
};
inline constexpr int kProgressStepsMax = 1'000'000;  // that a peer may speak of
// Whether there are steps, and no more of them done than there are.
inline bool is_consistent(const Progress& progress) {
    return progress.done >= 0 && progress.total >= 1 && progress.done <= progress.total;
}
using ProgressSink = std::function<void(const Progress& progress)>;

// What a caller is told of work that runs. Best effort: nothing of it is needed for the result.
struct WorkEvents {
    ArtifactSink artifact = nullptr;
    ProgressSink progress = nullptr;  // `done` never falls within an attempt
};

// Port: runs one piece of work to its end, off the event loop. The host's implementation is a pool of
// sandboxed child processes; the simulator's is a virtual device. Cancelling the task stops the work.
class WorkExecutor {
  public:
    virtual ~WorkExecutor() = default;
    // kUnprocessable/kUnsupported/kInvalidArgument: the work itself is at fault, nobody should retry it.
    // kUnavailable: the executor died under it; kCapacity: none free before the deadline; kDeadline.
    // `events` are called on the caller's executor while the task runs; `artifact` at most once for each
    // index.
    virtual Task<Result<WorkOutput>> run(Work work, Deadline deadline, WorkEvents events) = 0;
    // The session will get no more work; what is kept for it can go.
    virtual void end_session(const std::string& session_id) = 0;
};

}  // namespace framegrid::api
