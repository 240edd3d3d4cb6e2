// The roles' ports over the simulated network: what the wire adapter is in production.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/api/worker_host.hpp>
#include <sim/network.hpp>

namespace framegrid::sim {

// "https://o7" for the orchestrator of index 7.
std::string orchestrator_uri(std::size_t index);

// A gateway's way to orchestrators. Node ids of orchestrators are consecutive.
class RemoteOrchestrators final : public api::OrchestratorDirectory {
  public:
    RemoteOrchestrators(Network& network, NodeId self, NodeId first, std::size_t count);
    std::shared_ptr<api::Orchestrator> at(const std::string& service_uri) override;

  private:
    std::vector<std::shared_ptr<api::Orchestrator>> remotes_;
    std::shared_ptr<api::Orchestrator> nowhere_;
};

// A worker's way to one orchestrator. With `inputs_by_url` inputs stay in the orchestrator's store until
// fetched.
std::shared_ptr<api::WorkerHost> remote_host(Network& network, NodeId self, NodeId host, bool inputs_by_url);

}  // namespace framegrid::sim
