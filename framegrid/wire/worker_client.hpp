// An orchestrator as a worker process reaches it: api::WorkerHost over the node protocol (section 7).
#pragma once

#include <memory>
#include <string>

#include <framegrid/api/worker_host.hpp>
#include <framegrid/wire/orchestrator_client.hpp>
#include <framegrid/wire/task_result.hpp>

namespace framegrid::wire {

// Single-threaded, as the client is. The client's ping_period decides how soon a vanished orchestrator is
// noticed.
class WireWorkerHost final : public api::WorkerHost {
  public:
    // A malformed URI makes every call fail with kInvalidArgument.
    WireWorkerHost(ClientPorts ports, const std::string& orchestrator_uri);

    // Completes when the orchestrator has accepted. Existing orchestrators answer only with their first task:
    // with them it completes after a short wait, and refusals show up in TaskStream::next().
    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(
        api::Registration registration, Deadline deadline
    ) override;
    Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) override;
    Task<Result<void>> submit(api::TaskReport report, Deadline deadline) override;
    Task<Result<void>> submit_early(api::EarlyReport report, Deadline deadline) override;
    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline deadline) override;

  private:
    Task<Result<void>> send(ResultUpload upload, Deadline deadline);

    ClientPorts ports_;
    Result<http::Url> base_;
};

}  // namespace framegrid::wire
