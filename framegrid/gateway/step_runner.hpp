// One step of a workflow as work: on the network, piece by piece, or in the gateway's own media process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <framegrid/api/stored_files.hpp>
#include <framegrid/gateway/input_loader.hpp>
#include <framegrid/gateway/job_work.hpp>
#include <framegrid/gateway/repeated_run.hpp>
#include <framegrid/workflow/run.hpp>

namespace framegrid::gateway {

// A result, stored.
struct StepFile {
    workflow::Artifact about;
    std::string id;    // of its artifact record
    std::string name;  // for downloads
};

struct StepResult {
    std::vector<StepFile> files;
    std::int64_t wei = 0;
    std::int64_t lost_wei = 0;  // what was paid for attempts that a crash cut off
    std::string model_digest;   // as the worker said; empty: no model
    std::string orchestrator;   // the last one that worked on it; empty: nobody's but the gateway's work
    int attempts = 1;           // of that one's piece
    VerificationStats checked;  // its pieces that were done twice
};

// Whose step it is.
struct StepOwner {
    std::string owner;
    std::string job_id;
    TraceContext trace{};
    job::Constraints constraints{};
    job::Verification verification{};
};

// Told while the step runs.
struct StepEvents {
    std::function<void(const std::string& orchestrator, int attempt)> node;
    api::ProgressSink progress;
    std::function<void(const market::Explanation&)> refused = nullptr;
    std::function<Task<Result<void>>(Wei fee)> paying = nullptr;  // see JobRequest
    std::function<void(const Verified&)> verified = nullptr;      // of each piece that was done twice
};

// Ports and settings outlive it.
class StepRunner {
  public:
    StepRunner(const WorkPorts& ports, const WorkSettings& settings);

    // To its end. While nobody can do it, it waits, until the deadline. Inputs are read by their digests.
    Task<Result<StepResult>> run(StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline)
        const;
    // Stores a file and finds out what it is. kUnprocessable: neither a picture nor a video.
    Task<Result<StepFile>> keep_media(StepOwner owner, std::string name, Blob bytes, Deadline deadline) const;
    // What the network asks for such a step; nothing: nobody who may have it offers it.
    std::optional<workflow::Offer> offer(
        std::string_view pipeline, const std::string& model, const job::Constraints& constraints
    ) const;
    api::StoredFiles& files() const { return files_; }
    // What the network serves under this name now; empty: not known.
    std::string model_digest(const workflow::Work& work) const;

  private:
    Task<Result<StepResult>> run_ai(
        StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline
    ) const;
    Task<Result<StepResult>> run_transcode(
        StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline
    ) const;
    Task<Result<StepResult>> run_local(StepOwner owner, workflow::Start start, Deadline deadline) const;
    Task<Result<StepResult>> keep_folder(StepOwner owner, std::vector<api::Artifact> files) const;
    Task<Result<StepFile>> keep_as(
        StepOwner owner, workflow::Kind kind, std::string name, Blob bytes, Deadline deadline
    ) const;

    const WorkPorts& ports_;
    const WorkSettings& settings_;
    InputLoader loader_;
    mutable api::StoredFiles files_;
};

// run_patiently(), once more at somebody else where the owner wants that. The request's price_max: for both
// together; `units`: see RepeatedRun::run().
struct CheckedResult {
    JobResult result;      // the first one's
    std::int64_t wei = 0;  // of both
};
Task<Result<CheckedResult>> run_checked(
    const WorkPorts& ports, const WorkSettings& settings, const StepOwner& owner, const StepEvents& events,
    JobRequest request, std::optional<Pixels> units, VerificationStats& checked, Deadline deadline
);

// run() on the gateway; when nobody can do it now, again after a while, until the deadline.
Task<Result<JobResult>> run_patiently(
    const WorkPorts& ports, const WorkSettings& settings, JobRequest request, Deadline deadline
);

}  // namespace framegrid::gateway
