// What a world looks like and what goes wrong in it: drawn from the seed, each kind of fault switched on or
// off for the whole run (swarm testing), so that some seeds see one fault alone and others all of them
// together.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/runtime/random.hpp>
#include <sim/device.hpp>
#include <sim/network.hpp>

namespace framegrid::sim {

enum class Canary : std::uint8_t {
    kNone,
    kLose,   // the gateway never answers one of its jobs
    kSwap,   // the gateway answers a job with another job's result
    kEmpty,  // the gateway claims success without a result
    kTrust,  // the gateway believes the first node that calls an input bad
};

struct RunSettings {
    std::uint64_t seed = 1;
    std::uint32_t nodes = 30;
    std::uint32_t jobs = 150;
    Canary canary = Canary::kNone;
    bool verbose = false;
};

// Mean seconds between two events of a kind, per 30 nodes; 0: never.
struct EventRates {
    double orchestrator_crash = 0;
    double worker_crash = 0;
    double gateway_crash = 0;
    double partition = 0;
    double break_connection = 0;
    double slow_node = 0;
    double sick_device = 0;
    double forged_result = 0;
};

struct Plan {
    std::uint32_t gateways = 1;
    std::uint32_t orchestrators = 1;
    std::uint32_t workers = 1;
    std::uint32_t liars = 0;          // orchestrators that lie all the time, also after healing
    std::uint32_t wrong_secrets = 0;  // workers that must be refused
    // Only crashes that peers are told of, one orchestrator at a time: clients must not notice anything.
    bool mild = false;
    bool inputs_by_url = false;
    double poison = 0;  // share of jobs
    double cancel = 0;  // share of AI jobs that the client gives up
    double silent = 0;  // share of crashes that nobody is told of
    Duration down_min = std::chrono::milliseconds(200);
    Duration down_max = std::chrono::seconds(15);
    LinkFaults links;
    DeviceFaults devices;
    EventRates events;
    std::uint32_t sessions_max = 10;
    std::uint32_t waiting_max = 100;
    Duration token_life = std::chrono::minutes(30);
    std::uint32_t gateway_jobs_max = 1'000;
    std::uint32_t gateway_streams_max = 10'000;
    std::size_t store_bytes_max = 64 << 10;
    double load = 0.5;  // of the network's transcoding slots that clients try to keep busy
};

Plan draw_plan(const RunSettings& settings, Random& random);
std::string describe(const Plan& plan);

}  // namespace framegrid::sim
