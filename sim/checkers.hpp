// Watches the roles from outside through their statistics: limits while they run, emptiness and consistency
// at the end.
#pragma once

#include <sim/world.hpp>

namespace framegrid::sim {

struct Peaks {
    std::size_t gateway_in_flight = 0;
    std::size_t gateway_streams = 0;
    std::size_t waiting = 0;
    std::size_t sessions = 0;
    std::size_t store_bytes = 0;
    std::size_t tasks = 0;  // coroutines of one node
};

class Checkers {
  public:
    explicit Checkers(World& world) : world_(world) {}
    // Samples once per virtual second from now on.
    void start();
    // Nothing is under way any more: no job, task, session or stream.
    bool quiet() const;
    // What must hold a while after healing, when no job is left.
    void check_at_rest();
    const Peaks& peaks() const { return peaks_; }

  private:
    void sample();
    void sample_gateway(const GatewayNode& node);
    void sample_orchestrator(const OrchestratorNode& node);
    void sample_worker(WorkerNode& node);
    void check_pool(const GatewayNode& node);
    void check_registrations();
    void limit(std::size_t value, std::size_t most, const char* what, NodeId id);

    World& world_;
    Peaks peaks_;
};

}  // namespace framegrid::sim
