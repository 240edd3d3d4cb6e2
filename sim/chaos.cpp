#include <sim/chaos.hpp>

#include <algorithm>

#include <sim/payload.hpp>

namespace framegrid::sim {

using namespace std::chrono_literals;

void Chaos::start() {
    const EventRates& rates = world_.plan.events;
    arm("orchestrator crashes", rates.orchestrator_crash, &Chaos::crash_orchestrator);
    arm("worker crashes", rates.worker_crash, &Chaos::crash_worker);
    arm("gateway crashes", rates.gateway_crash, &Chaos::crash_gateway);
    arm("partitions", rates.partition, &Chaos::partition);
    arm("broken connections", rates.break_connection, &Chaos::break_connection);
    arm("slow nodes", rates.slow_node, &Chaos::slow_node);
    arm("sick devices", rates.sick_device, &Chaos::sick_device);
    arm("forged results", rates.forged_result, &Chaos::forge_result);
}

// Uniform between 0 and twice the mean; a partition concerns the whole network, the rest happens per 30
// nodes.
void Chaos::arm(const char* name, double mean_seconds, Act act) {
    if (mean_seconds <= 0) {
        return;
    }
    double mean = mean_seconds;
    if (act != &Chaos::partition) {
        mean *= 30.0 / std::max(30.0, static_cast<double>(world_.settings.nodes));
    }
    const Duration wait(static_cast<Duration::rep>(2 * mean * world_.random.unit() * 1e9));
    world_.scheduler.after(wait, [this, name, mean_seconds, act] {
        if (stopped_) {
            return;
        }
        if ((this->*act)()) {
            ++counts_[name];
        }
        arm(name, mean_seconds, act);
    });
}

Duration Chaos::some_time(Duration least, Duration most) {
    const double span = static_cast<double>((most - least).count());
    return least + Duration(static_cast<Duration::rep>(span * world_.random.unit()));
}

NodeId Chaos::any_node(std::size_t first, std::size_t count) {
    return static_cast<NodeId>(first + world_.random.below(count));
}

bool Chaos::crash(NodeId id) {
    if (!world_.is_up(id)) {
        return false;
    }
    world_.crash(id, world_.random.chance(world_.plan.silent));
    const Duration down = some_time(world_.plan.down_min, world_.plan.down_max);
    world_.scheduler.after(down, [this, id] { world_.restart(id); });
    return true;
}

bool Chaos::crash_orchestrator() {
    if (world_.plan.mild) {
        for (const OrchestratorNode& node : world_.orchestrators) {
            if (!world_.is_up(node.id)) {
                return false;
            }
        }
    }
    return crash(any_node(world_.gateways.size(), world_.orchestrators.size()));
}

bool Chaos::crash_worker() {
    const NodeId id = any_node(world_.gateways.size() + world_.orchestrators.size(), world_.workers.size());
    return !world_.worker_of(id)->refused && crash(id);
}

bool Chaos::crash_gateway() {
    return crash(any_node(0, world_.gateways.size()));
}

bool Chaos::partition() {
    if (std::exchange(partitioned_, true)) {
        return false;
    }
    const double share = 0.1 + 0.4 * world_.random.unit();
    world_.network.one_way = world_.random.chance(0.3);
    for (NodeId id = 0; id < world_.client; ++id) {
        world_.network.node(id).side = world_.random.chance(share) ? 1 : 0;
    }
    world_.scheduler.after(some_time(500ms, 20s), [this] {
        partitioned_ = false;
        for (NodeId id = 0; id < world_.client; ++id) {
            world_.network.node(id).side = 0;
        }
    });
    return true;
}

bool Chaos::break_connection() {
    const NodeId host = any_node(world_.gateways.size(), world_.orchestrators.size());
    const NodeId peer = any_node(0, world_.client);
    world_.network.break_connections(host, peer);
    return true;
}

bool Chaos::slow_node() {
    const NodeId id = any_node(0, world_.client);
    world_.network.node(id).slow = 10 + 90 * world_.random.unit();
    world_.scheduler.after(some_time(1s, 20s), [this, id] { world_.network.node(id).slow = 1; });
    return true;
}

bool Chaos::sick_device() {
    WorkerNode& node = world_.workers[world_.random.below(world_.workers.size())];
    if (!node.device) {
        return false;
    }
    node.device->sick = true;  // its next start has a new device; healing helps, too
    return true;
}

// Somebody without the secret answers a task that is under way.
bool Chaos::forge_result() {
    OrchestratorNode& node = world_.orchestrators[world_.random.below(world_.orchestrators.size())];
    const Network::Node& place = world_.network.node(node.id);
    if (!world_.is_up(node.id) || !place.last_task) {
        return false;
    }
    api::TaskReport report;
    report.kind = place.last_task->first;
    report.id = place.last_task->second;
    report.secret = "a guess";
    api::Work work = make_work({}, 2000);
    work.input = Blob::copy_of("forged");
    report.outcome = make_output(work);
    struct Forger {
        static Task<void> submit(Network& network, NodeId from, NodeId to, api::TaskReport report) {
            const auto host = remote_host(network, from, to, false);
            const Deadline deadline = Deadline::after(network.scheduler().clock(), 5s);
            auto answer = co_await host->submit(std::move(report), deadline);
            (void)answer;
        }
    };
    world_.network.node(world_.client)
        .tasks->spawn(Forger::submit(world_.network, world_.client, node.id, std::move(report)));
    return true;
}

}  // namespace framegrid::sim
