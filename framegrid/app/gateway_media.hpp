// The media processes of a gateway: they look into strangers' files, and cut and join those of workflows.
#pragma once

#include <memory>

#include <framegrid/app/session.hpp>
#include <framegrid/sandbox/operations.hpp>
#include <framegrid/sandbox/pool.hpp>
#include <framegrid/sandbox/probe.hpp>

namespace framegrid::app {

// A pool of executors that is started by the first work for it: an idle gateway has none.
class OnDemandExecutors final : public api::WorkExecutor {
  public:
    OnDemandExecutors(Session& session, sandbox::ExecutorSettings settings);
    Task<Result<api::WorkOutput>> run(api::Work work, Deadline deadline, api::WorkEvents events) override;
    void end_session(const std::string& session_id) override { pool_.end_session(session_id); }
    sandbox::ExecutorStats stats() const { return pool_.stats(); }
    Task<void> stop() { return pool_.stop(); }

  private:
    sandbox::ExecutorPool pool_;
    bool started_ = false;
};

// The session outlives it.
class GatewayMedia {
  public:
    // `probes_max`: that may wait for their turn.
    static Result<std::unique_ptr<GatewayMedia>> make(Session& session, std::size_t probes_max);
    GatewayMedia(
        Session& session, sandbox::ExecutorSettings for_probes, sandbox::ExecutorSettings for_operations
    )
        : probe_executors_(session, std::move(for_probes)),
          operation_executors_(session, std::move(for_operations)),
          operations_(operation_executors_, session.pool) {}

    api::MediaProbe& probe() { return probe_; }
    api::MediaOperations& operations() { return operations_; }
    sandbox::ExecutorStats probe_stats() const { return probe_executors_.stats(); }
    Task<void> stop();

  private:
    OnDemandExecutors probe_executors_;
    OnDemandExecutors operation_executors_;
    sandbox::ExecutorProbe probe_{probe_executors_};
    sandbox::ExecutorOperations operations_;
};

}  // namespace framegrid::app
