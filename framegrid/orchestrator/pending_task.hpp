// Private: a task that a worker has and a job waits for.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/orchestrator/worker_table.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::orchestrator {

struct PendingTask {
    WorkerId worker;
    api::WorkerKind kind = api::WorkerKind::kTranscoder;
    bool vanished = false;                           // the worker's registration ended
    std::shared_ptr<api::EarlyArtifacts> early;      // of the job
    api::ProgressSink progress;                      // of the job; may be empty
    std::map<std::size_t, api::Artifact> delivered;  // by this worker, before the outcome
    std::optional<Result<api::WorkOutput>> outcome;
    OneShot done;

    Result<void> deliver(std::size_t index, api::Artifact artifact);
    // Puts what came early, and is left out of the outcome, in its place.
    Result<void> complete(api::WorkOutput& output, const std::vector<std::size_t>& left_out) const;
    // The first outcome counts.
    void finish(Result<api::WorkOutput> result);
};

// A worker's answer must have the form of what was asked for, else another worker is tried.
Result<void> check_form(const api::Work& work, const api::WorkOutput& output);

}  // namespace framegrid::orchestrator
