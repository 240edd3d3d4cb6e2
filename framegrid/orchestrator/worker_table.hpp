// Which workers are registered, how loaded they are, and which one gets a task. Socket-free.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/api/worker_host.hpp>
#include <framegrid/job/capabilities.hpp>

namespace framegrid::orchestrator {

// What a task asks of its worker.
struct WorkerDemand {
    api::WorkerKind kind = api::WorkerKind::kTranscoder;
    job::Capabilities needs;
    std::optional<job::Capability> capability;  // AI: the pipeline's capability
    std::string model_id;                       // AI
    std::string session_id;                     // transcode: stay with the worker that has this session
    std::vector<WorkerId> exclude;              // already tried for this task
};

class WorkerTable {
  public:
    WorkerTable() { sum_up(); }
    WorkerId add(const api::Registration& registration);
    // Forgets the worker and the sessions that stuck to it.
    void remove(WorkerId id);

    // It finishes what it has and gets no more; what it offered no longer counts. False: it was so before.
    bool drain(WorkerId id);
    bool is_draining(WorkerId id) const;

    // Sticky by session, else the compatible worker with the lowest load per capacity; nullopt when all are
    // full, excluded or incompatible.
    std::optional<WorkerId> pick(const WorkerDemand& demand) const;
    // True when some registered, not excluded worker could do it once it has room.
    bool could_serve(const WorkerDemand& demand) const;

    // Counts a task in and out, and makes the session stick.
    void started(WorkerId id, const WorkerDemand& demand);
    void finished(WorkerId id, const WorkerDemand& demand);
    // The worker that holds a session, which is forgotten by this.
    std::optional<WorkerId> end_session(const std::string& session_id);

    // The worker let a task's time pass; true when it did so `strikes` times in a row.
    bool timed_out(WorkerId id, int strikes);
    void answered(WorkerId id);

    // The sum of what all workers offer; summed up when a worker comes or goes, not when asked.
    const job::Capabilities& capabilities() const { return capabilities_; }
    std::vector<api::HardwareInfo> hardware() const;
    std::int64_t capacity(api::WorkerKind kind) const;
    std::size_t size() const { return workers_.size(); }

  private:
    struct Worker {
        api::Registration registration;
        std::int64_t in_flight = 0;
        int timeouts = 0;  // in a row
        bool draining = false;
        std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> model_in_flight{};
    };
    void sum_up();
    std::int64_t room(const Worker& worker, const WorkerDemand& demand) const;
    bool suits(WorkerId id, const Worker& worker, const WorkerDemand& demand) const;

    std::map<WorkerId, Worker> workers_;  // ordered, so that picks are reproducible
    std::unordered_map<std::string, WorkerId> sticky_;
    job::Capabilities capabilities_;
    std::uint64_t next_id_ = 1;
};

}  // namespace framegrid::orchestrator
