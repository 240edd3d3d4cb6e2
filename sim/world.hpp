// A whole network of real role objects on the simulated one: builds it, starts, crashes and restarts its
// nodes.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/orchestrator/orchestrator.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/worker/worker.hpp>
#include <sim/device.hpp>
#include <sim/liar.hpp>
#include <sim/network.hpp>
#include <sim/plan.hpp>
#include <sim/remote.hpp>
#include <sim/verdict.hpp>

namespace framegrid::sim {

// A source whose list never changes.
class FixedSource final : public gateway::OrchestratorSource {
  public:
    explicit FixedSource(std::vector<std::string> uris) : uris_(std::move(uris)) {}
    Task<Result<std::vector<std::string>>> list(Deadline) override { co_return uris_; }

  private:
    std::vector<std::string> uris_;
};

struct GatewayNode {
    NodeId id = 0;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<RemoteOrchestrators> directory;
    std::unique_ptr<FixedSource> source;
    std::unique_ptr<gateway::Gateway> role;
    std::uint32_t starts = 0;
};

struct OrchestratorNode {
    NodeId id = 0;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<orchestrator::Orchestrator> role;
    std::optional<Lie> lie;
    std::unique_ptr<Liar> liar;
    std::uint32_t starts = 0;
};

struct WorkerNode {
    NodeId id = 0;
    bool wrong_secret = false;
    std::vector<NodeId> hosts;  // in order of preference
    std::int64_t transcode_capacity = 0;
    std::int64_t ai_capacity = 0;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<Device> device;
    std::unique_ptr<worker::Worker> role;
    std::uint32_t starts = 0;
    bool refused = false;  // its role ended because of the secret
    std::size_t running_max = 0;
};

// Counters of roles that no longer exist are added to these.
struct Totals {
    std::uint64_t gateway_retries = 0;
    std::uint64_t gateway_rejected_results = 0;
    std::uint64_t redispatched = 0;
    std::uint64_t late_results = 0;
    std::uint64_t refused_results = 0;
    std::uint64_t suspensions = 0;
};

class World {
  public:
    World(
        const RunSettings& settings, const Plan& plan, Scheduler& scheduler, Random& random, Trace& trace,
        Verdict& verdict
    );
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // Starts every node within the first second.
    void start();
    bool is_up(NodeId id) { return network.node(id).up; }
    // The process ends; its role object is destroyed once its tasks have unwound.
    void crash(NodeId id, bool silent);
    void restart(NodeId id);
    // Ends every fault but the liars.
    void heal();
    // Ends everything. Afterwards no coroutine is left, or a finding tells of it.
    void shut_down();

    GatewayNode* gateway_of(NodeId id);
    OrchestratorNode* orchestrator_of(NodeId id);
    WorkerNode* worker_of(NodeId id);
    // Of all role objects, those that are gone included.
    Totals totals() const;
    std::int64_t transcode_slots() const;
    std::int64_t ai_slots() const;

    const RunSettings settings;
    const Plan plan;
    Scheduler& scheduler;
    Random& random;
    Trace& trace;
    Verdict& verdict;
    DeviceFaults device_faults;
    Network network;
    NodeId client = 0;  // stands for all clients; never fails
    std::deque<GatewayNode> gateways;
    std::deque<OrchestratorNode> orchestrators;
    std::deque<WorkerNode> workers;

  private:
    void build_gateways();
    void build_orchestrators();
    void build_workers();
    NodeId add_node();
    void start_gateway(GatewayNode& node);
    void start_orchestrator(OrchestratorNode& node);
    void start_worker(WorkerNode& node);
    void remove_role(NodeId id);
    Logger logger_for(NodeId id);
    std::string name_of(NodeId id);
    Task<void> serve(GatewayNode& node);
    Task<void> serve(WorkerNode& node);

    Totals gone_;
    bool ended_ = false;
};

}  // namespace framegrid::sim
