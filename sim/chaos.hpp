// Makes things go wrong, as the plan says, until told to stop.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <sim/world.hpp>

namespace framegrid::sim {

class Chaos {
  public:
    explicit Chaos(World& world) : world_(world) {}
    void start();
    // No new faults; World::heal() ends the present ones.
    void stop() { stopped_ = true; }
    // How often each kind of event happened, by name.
    const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

  private:
    using Act = bool (Chaos::*)();  // false: nothing to do it to
    void arm(const char* name, double mean_seconds, Act act);
    bool crash_orchestrator();
    bool crash_worker();
    bool crash_gateway();
    bool crash(NodeId id);
    bool partition();
    bool break_connection();
    bool slow_node();
    bool sick_device();
    bool forge_result();
    Duration some_time(Duration least, Duration most);
    NodeId any_node(std::size_t first, std::size_t count);

    World& world_;
    bool stopped_ = false;
    bool partitioned_ = false;
    std::map<std::string, std::uint64_t> counts_;
};

}  // namespace framegrid::sim
