#include <sim/checkers.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace framegrid::sim {

namespace {
constexpr std::size_t kStoreSlack = 4096;      // one file over the limit is kept alone
constexpr std::size_t kSlotsPerWorkerMax = 4;  // see World::build_workers
constexpr Duration kSamplePeriod = std::chrono::seconds(1);
}  // namespace

void Checkers::start() {
    world_.scheduler.after(kSamplePeriod, [this] {
        sample();
        start();
    });
}

void Checkers::limit(std::size_t value, std::size_t most, const char* what, NodeId id) {
    if (value > most) {
        world_.verdict.fail(
            "limits", fmt::format("node {}: {} {} where {} are allowed", id, value, what, most)
        );
    }
}

void Checkers::sample() {
    for (const GatewayNode& node : world_.gateways) {
        if (node.role) {
            sample_gateway(node);
        }
    }
    for (const OrchestratorNode& node : world_.orchestrators) {
        if (node.role) {
            sample_orchestrator(node);
        }
    }
    for (WorkerNode& node : world_.workers) {
        if (node.role) {
            sample_worker(node);
        }
    }
    for (NodeId id = 0; id < world_.client; ++id) {
        peaks_.tasks = std::max(peaks_.tasks, world_.network.node(id).tasks->size_max());
    }
}

void Checkers::sample_gateway(const GatewayNode& node) {
    const gateway::Stats stats = node.role->stats();
    limit(stats.in_flight, world_.plan.gateway_jobs_max, "jobs", node.id);
    limit(stats.streams, world_.plan.gateway_streams_max, "streams", node.id);
    limit(stats.pool.orchestrators, world_.orchestrators.size(), "orchestrators", node.id);
    peaks_.gateway_in_flight = std::max(peaks_.gateway_in_flight, stats.in_flight);
    peaks_.gateway_streams = std::max(peaks_.gateway_streams, stats.streams);
}

void Checkers::sample_orchestrator(const OrchestratorNode& node) {
    const orchestrator::Stats stats = node.role->stats();
    limit(stats.in_flight, stats.workers * kSlotsPerWorkerMax, "tasks under way", node.id);
    limit(stats.waiting, world_.plan.waiting_max, "waiting jobs", node.id);
    limit(stats.sessions, world_.plan.sessions_max, "sessions", node.id);
    limit(stats.store_bytes, world_.plan.store_bytes_max + kStoreSlack, "stored bytes", node.id);
    peaks_.waiting = std::max(peaks_.waiting, stats.waiting);
    peaks_.sessions = std::max(peaks_.sessions, stats.sessions);
    peaks_.store_bytes = std::max(peaks_.store_bytes, stats.store_bytes);
}

void Checkers::sample_worker(WorkerNode& node) {
    // Tasks that the orchestrator has given up may still run beside those that replaced them.
    const auto slots = static_cast<std::size_t>(2 * (node.transcode_capacity + node.ai_capacity));
    limit(node.role->stats().tasks_running, slots, "running tasks", node.id);
    limit(node.device->stats().running, slots, "tasks on the device", node.id);
}

bool Checkers::quiet() const {
    for (const GatewayNode& node : world_.gateways) {
        const gateway::Stats stats = node.role->stats();
        if (stats.in_flight + stats.streams != 0) {
            return false;
        }
    }
    for (const OrchestratorNode& node : world_.orchestrators) {
        const orchestrator::Stats stats = node.role->stats();
        if (stats.in_flight + stats.waiting + stats.sessions != 0) {
            return false;
        }
    }
    return std::all_of(world_.workers.begin(), world_.workers.end(), [](const WorkerNode& node) {
        return node.role->stats().tasks_running == 0;
    });
}

void Checkers::check_at_rest() {
    for (const GatewayNode& node : world_.gateways) {
        const gateway::Stats stats = node.role->stats();
        limit(stats.in_flight, 0, "jobs at rest", node.id);
        limit(stats.streams, 0, "streams at rest", node.id);
        check_pool(node);
    }
    for (const OrchestratorNode& node : world_.orchestrators) {
        const orchestrator::Stats stats = node.role->stats();
        limit(stats.in_flight, 0, "tasks under way at rest", node.id);
        limit(stats.waiting, 0, "waiting jobs at rest", node.id);
        limit(stats.sessions, 0, "sessions at rest", node.id);
    }
    for (const WorkerNode& node : world_.workers) {
        limit(node.role->stats().tasks_running, 0, "running tasks at rest", node.id);
    }
    check_registrations();
}

// Every honest orchestrator is known and in use again to every gateway: neither faults nor poison cost it its
// place.
void Checkers::check_pool(const GatewayNode& node) {
    const auto pool = node.role->pool();
    world_.verdict.expect(
        pool.size() == world_.orchestrators.size(), "pool",
        fmt::format("gateway {} knows {} orchestrators", node.id, pool.size())
    );
    for (std::size_t i = 0; i < pool.size() && i < world_.orchestrators.size(); ++i) {
        const auto& entry = pool[i];
        world_.verdict.expect(
            entry.in_flight == 0, "pool",
            fmt::format("gateway {}: {} jobs at {}", node.id, entry.in_flight, entry.uri)
        );
        if (!world_.orchestrators[i].lie) {
            world_.verdict.expect(
                entry.known && !entry.suspended, "pool",
                fmt::format(
                    "gateway {} still {} {}", node.id, entry.known ? "suspends" : "does not know", entry.uri
                )
            );
        }
    }
}

// Every worker with the right secret is registered, once for each kind of work; nobody else is.
void Checkers::check_registrations() {
    std::size_t at_orchestrators = 0;
    std::size_t at_workers = 0;
    for (const OrchestratorNode& node : world_.orchestrators) {
        at_orchestrators += node.role->stats().workers;
    }
    for (const WorkerNode& node : world_.workers) {
        const std::size_t kinds = (node.transcode_capacity > 0 ? 1 : 0) + (node.ai_capacity > 0 ? 1 : 0);
        const std::size_t wanted = node.wrong_secret ? 0 : kinds;
        const std::size_t have = node.role->stats().registered;
        at_workers += have;
        world_.verdict.expect(
            have == wanted, "registrations",
            fmt::format("worker {} has {} registrations instead of {}", node.id, have, wanted)
        );
    }
    world_.verdict.expect(
        at_orchestrators == at_workers, "registrations",
        fmt::format("orchestrators count {} registrations, workers {}", at_orchestrators, at_workers)
    );
}

}  // namespace framegrid::sim
