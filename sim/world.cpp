#include <sim/world.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/runtime/async.hpp>
#include <sim/canary.hpp>
#include <sim/payload.hpp>

namespace framegrid::sim {

namespace {

constexpr const char* kSecret = "the network's secret";

void add(Totals& totals, const gateway::Stats& stats) {
    totals.gateway_retries += stats.retries;
    totals.gateway_rejected_results += stats.results_rejected;
    totals.suspensions += stats.pool.suspensions;
}

void add(Totals& totals, const orchestrator::Stats& stats) {
    totals.redispatched += stats.redispatched;
    totals.late_results += stats.results_late;
    totals.refused_results += stats.results_refused;
}

}  // namespace

World::World(
    const RunSettings& run, const Plan& drawn, Scheduler& sched, Random& rng, Trace& fingerprint,
    Verdict& findings
)
    : settings(run),
      plan(drawn),
      scheduler(sched),
      random(rng),
      trace(fingerprint),
      verdict(findings),
      device_faults(drawn.devices),
      network(sched, rng, fingerprint) {
    network.faults = plan.links;
    build_gateways();
    build_orchestrators();
    build_workers();
    client = add_node();
    network.node(client).reliable = true;
    network.bring_up(client);
}

World::~World() {
    FG_ASSERT(ended_);
}

NodeId World::add_node() {
    return network.add_node([this](std::exception_ptr thrown) {
        verdict.fail("exceptions", "a task ended with: " + error_from(thrown).message);
    });
}

void World::build_gateways() {
    for (std::uint32_t i = 0; i < plan.gateways; ++i) {
        GatewayNode node;
        node.id = add_node();
        gateways.push_back(std::move(node));
    }
}

void World::build_orchestrators() {
    bool input_liar = settings.canary == Canary::kTrust;
    for (std::uint32_t i = 0; i < plan.orchestrators; ++i) {
        OrchestratorNode node;
        node.id = add_node();
        // The first ones are honest; liars are at the end of the list.
        if (i >= plan.orchestrators - plan.liars) {
            node.lie = static_cast<Lie>(random.below(kLies));
            if (settings.canary == Canary::kTrust) {
                node.lie = Lie::kCallsInputBad;
            } else if (node.lie == Lie::kCallsInputBad && std::exchange(input_liar, true)) {
                // Two nodes that agree that an input is bad are believed, so there is at most one such liar.
                node.lie = Lie::kGarbage;
            }
        }
        orchestrators.push_back(std::move(node));
    }
    std::vector<std::string> uris;
    for (std::size_t i = 0; i < orchestrators.size(); ++i) {
        uris.push_back(orchestrator_uri(i));
    }
    for (GatewayNode& node : gateways) {
        node.directory = std::make_unique<RemoteOrchestrators>(
            network, node.id, orchestrators.front().id, orchestrators.size()
        );
        node.source = std::make_unique<FixedSource>(uris);
    }
}

void World::build_workers() {
    const auto honest = plan.orchestrators - plan.liars;
    for (std::uint32_t i = 0; i < plan.workers; ++i) {
        WorkerNode node;
        node.id = add_node();
        // The first few serve honest orchestrators only and do both kinds of work, so that every job can be
        // done.
        const bool essential = i < 4;
        const std::uint64_t first = essential ? i % honest : i % plan.orchestrators;
        node.hosts.push_back(orchestrators[first].id);
        const std::uint64_t more = random.below(3);
        for (std::uint64_t k = 0; k < more; ++k) {
            node.hosts.push_back(orchestrators[random.below(essential ? honest : plan.orchestrators)].id);
        }
        const std::uint64_t kind = essential ? 2 : random.below(10);
        node.transcode_capacity = kind < 9 ? 1 + static_cast<std::int64_t>(random.below(4)) : 0;
        node.ai_capacity =
            kind == 2 || kind == 3 || kind == 9 ? 1 + static_cast<std::int64_t>(random.below(2)) : 0;
        node.wrong_secret = i >= plan.workers - plan.wrong_secrets;
        workers.push_back(std::move(node));
    }
}

void World::start() {
    for (NodeId id = 0; id < client; ++id) {
        const Duration delay(static_cast<Duration::rep>(random.unit() * 1e9));
        scheduler.after(delay, [this, id] { restart(id); });
    }
}

GatewayNode* World::gateway_of(NodeId id) {
    return id < gateways.size() ? &gateways[id] : nullptr;
}

OrchestratorNode* World::orchestrator_of(NodeId id) {
    const std::size_t index = id - gateways.size();
    return id >= gateways.size() && index < orchestrators.size() ? &orchestrators[index] : nullptr;
}

WorkerNode* World::worker_of(NodeId id) {
    const std::size_t before = gateways.size() + orchestrators.size();
    return id >= before && id - before < workers.size() ? &workers[id - before] : nullptr;
}

std::string World::name_of(NodeId id) {
    if (gateway_of(id) != nullptr) {
        return fmt::format("gateway {}", id);
    }
    if (orchestrator_of(id) != nullptr) {
        return fmt::format("orchestrator {}", id - gateways.size());
    }
    return fmt::format("worker {}", id - gateways.size() - orchestrators.size());
}

Logger World::logger_for(NodeId id) {
    return Logger(
        [this, id](LogLevel level, std::string_view line) {
            if (settings.verbose) {
                const auto ms =
                    std::chrono::duration_cast<std::chrono::milliseconds>(scheduler.now().time_since_epoch());
                fmt::print(stderr, "{:>9} ms  {}: {}\n", ms.count(), name_of(id), line);
            }
            const WorkerNode* node = worker_of(id);
            const bool expected = node != nullptr && node->wrong_secret && line.contains("worker.refused");
            if (level >= LogLevel::kError && !expected) {
                verdict.fail("error log", name_of(id) + ": " + std::string(line));
            }
        },
        settings.verbose ? LogLevel::kInfo : LogLevel::kError
    );
}

void World::start_gateway(GatewayNode& node) {
    node.random = std::make_unique<SeededRandom>(random.next());
    gateway::Settings role;
    role.jobs_max = plan.gateway_jobs_max;
    role.streams_max = plan.gateway_streams_max;
    role.confirmations = settings.canary == Canary::kTrust ? 1 : 2;
    const gateway::Ports ports{scheduler.executor(), scheduler.clock(), *node.random,
                               logger_for(node.id),  *node.directory,   *node.source};
    node.role = with_canary(settings.canary, gateway::make_gateway(ports, role));
    network.node(node.id).tasks->spawn(serve(node));
}

Task<void> World::serve(GatewayNode& node) {
    auto ended = co_await node.role->serve();
    verdict.fail("roles", name_of(node.id) + " stopped serving: " + (ended ? "" : ended.error().message));
}

void World::start_orchestrator(OrchestratorNode& node) {
    node.random = std::make_unique<SeededRandom>(random.next());
    orchestrator::Settings role;
    role.service_uri = orchestrator_uri(node.id - gateways.size());
    role.secret = kSecret;
    role.sessions.sessions_max = plan.sessions_max;
    role.sessions.token_life = plan.token_life;
    role.waiting_max = plan.waiting_max;
    role.store_bytes_max = plan.store_bytes_max;
    orchestrator::Ports ports{
        scheduler.executor(), scheduler.clock(), *node.random, logger_for(node.id), nullptr
    };
    node.role = orchestrator::make_orchestrator(std::move(ports), role);
    Network::Node& place = network.node(node.id);
    place.service = node.role.get();
    place.front = node.role.get();
    if (node.lie) {
        node.liar = std::make_unique<Liar>(*node.role, scheduler.clock(), *node.random, *node.lie);
        place.front = node.liar.get();
    }
}

void World::start_worker(WorkerNode& node) {
    node.random = std::make_unique<SeededRandom>(random.next());
    node.device = std::make_unique<Device>(
        scheduler.clock(), *node.random, device_faults, 0.1 + 0.5 * node.random->unit()
    );
    worker::Settings role;
    std::map<std::string, std::shared_ptr<api::WorkerHost>> hosts;
    for (const NodeId host : node.hosts) {
        const std::string uri = orchestrator_uri(host - gateways.size());
        role.orchestrators.push_back(uri);
        hosts[uri] = remote_host(network, node.id, host, plan.inputs_by_url);
    }
    role.secret = node.wrong_secret ? "a guess" : kSecret;
    role.transcode_capacity = node.transcode_capacity;
    role.ai_capacity = node.ai_capacity;
    role.transcode_capabilities = job::default_capabilities();
    role.transcode_capabilities.add(job::Capability::kOtherDecode);  // says that the capacities are meant
    for (auto& [capability, capacity] : role.transcode_capabilities.capacities) {
        capacity = static_cast<std::uint32_t>(node.transcode_capacity);
    }
    role.ai_capabilities = job::default_capabilities();
    role.ai_capabilities.add_model(
        job::Capability::kUpscale, kModel,
        {.warm = true, .capacity = static_cast<std::uint32_t>(std::max<std::int64_t>(1, node.ai_capacity))}
    );
    worker::Ports ports{
        scheduler.executor(), scheduler.clock(),
        *node.random,         logger_for(node.id),
        *node.device,         [hosts = std::move(hosts)](const std::string& uri) { return hosts.at(uri); }
    };
    node.role = worker::make_worker(std::move(ports), std::move(role));
    network.node(node.id).tasks->spawn(serve(node));
}

Task<void> World::serve(WorkerNode& node) {
    auto ended = co_await node.role->run();
    node.refused = !ended && ended.error().code == Errc::kUnauthorized;
    if (!node.wrong_secret || !node.refused) {
        verdict.fail("roles", name_of(node.id) + " ended: " + (ended ? "" : ended.error().message));
    }
}

void World::restart(NodeId id) {
    if (is_up(id)) {
        return;
    }
    GatewayNode* gateway = gateway_of(id);
    OrchestratorNode* orchestrator = orchestrator_of(id);
    WorkerNode* worker = worker_of(id);
    trace.add({0x57a47, id});
    if (settings.verbose) {
        fmt::print(
            stderr, "{:>9} ms  starts {}\n", scheduler.now().time_since_epoch().count() / 1'000'000,
            name_of(id)
        );
    }
    network.bring_up(id);
    if (gateway != nullptr) {
        ++gateway->starts;
        start_gateway(*gateway);
    } else if (orchestrator != nullptr) {
        ++orchestrator->starts;
        start_orchestrator(*orchestrator);
    } else if (worker != nullptr) {
        ++worker->starts;
        start_worker(*worker);
    }
}

void World::crash(NodeId id, bool silent) {
    trace.add({0xc7a54, id, silent ? 1u : 0u});
    if (settings.verbose) {
        fmt::print(
            stderr, "{:>9} ms  crashes {}{}\n", scheduler.now().time_since_epoch().count() / 1'000'000,
            name_of(id), silent ? " (silently)" : ""
        );
    }
    network.take_down(id, silent);
    // Its coroutines unwind in this instant, so the role can go in the next one.
    scheduler.after(Duration(1), [this, id] { remove_role(id); });
}

void World::remove_role(NodeId id) {
    if (network.node(id).tasks->size() != 0) {
        verdict.fail(
            "unwinding",
            fmt::format("{} of {}'s tasks outlive it", network.node(id).tasks->size(), name_of(id))
        );
        return;
    }
    if (GatewayNode* gateway = gateway_of(id); gateway != nullptr && gateway->role) {
        add(gone_, gateway->role->stats());
        gateway->role.reset();
    } else if (OrchestratorNode* orchestrator = orchestrator_of(id);
               orchestrator != nullptr && orchestrator->role) {
        add(gone_, orchestrator->role->stats());
        network.node(id).front = nullptr;
        network.node(id).service = nullptr;
        orchestrator->liar.reset();
        orchestrator->role.reset();
    } else if (WorkerNode* worker = worker_of(id); worker != nullptr && worker->role) {
        worker->running_max = std::max(worker->running_max, worker->device->stats().running_max);
        verdict.expect(
            worker->device->stats().running == 0, "unwinding", name_of(id) + "'s device still works"
        );
        worker->role.reset();
        worker->device.reset();
    }
}

void World::heal() {
    network.heal();
    device_faults = {};
    for (WorkerNode& node : workers) {
        if (node.device) {
            node.device->sick = false;
        }
    }
    for (NodeId id = 0; id < client; ++id) {
        if (!is_up(id)) {
            const Duration delay(static_cast<Duration::rep>(1e6 + random.unit() * 1e9));
            scheduler.after(delay, [this, id] { restart(id); });
        }
    }
}

void World::shut_down() {
    network.node(client).tasks->cancel_all();
    if (!scheduler.drain()) {
        verdict.fail("livelock", "clients do not unwind");
    }
    for (NodeId id = 0; id < client; ++id) {
        if (is_up(id)) {
            network.take_down(id, true);
        }
    }
    if (!scheduler.drain()) {
        verdict.fail("livelock", "nodes do not unwind");
    }
    for (NodeId id = 0; id < client; ++id) {
        remove_role(id);
    }
    verdict.expect(network.node(client).tasks->size() == 0, "unwinding", "clients outlive their network");
    ended_ = true;
}

Totals World::totals() const {
    Totals out = gone_;
    for (const GatewayNode& node : gateways) {
        if (node.role) {
            add(out, node.role->stats());
        }
    }
    for (const OrchestratorNode& node : orchestrators) {
        if (node.role) {
            add(out, node.role->stats());
        }
    }
    return out;
}

std::int64_t World::transcode_slots() const {
    std::int64_t slots = 0;
    for (const WorkerNode& node : workers) {
        slots += node.wrong_secret ? 0 : node.transcode_capacity;
    }
    return slots;
}

std::int64_t World::ai_slots() const {
    std::int64_t slots = 0;
    for (const WorkerNode& node : workers) {
        slots += node.wrong_secret ? 0 : node.ai_capacity;
    }
    return slots;
}

}  // namespace framegrid::sim
