#include <sim/plan.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace framegrid::sim {

namespace {

constexpr std::uint32_t kJobsPerLimit = 250;  // see gateway_jobs_max

// A fault is present in half of the runs; then its strength is drawn, too.
double maybe(Random& random, double least, double most) {
    const bool present = random.chance(0.5);
    const double value = least + (most - least) * random.unit();
    return present ? value : 0;
}

void draw_mild(Plan& plan, Random& random) {
    plan.mild = true;
    plan.silent = 0;
    plan.events = {};
    plan.events.orchestrator_crash = 5 + 10 * random.unit();
    plan.events.worker_crash = 2 + 5 * random.unit();
    plan.devices = {};
    plan.devices.crash = maybe(random, 0.005, 0.03);
    plan.links.loss = 0;
    plan.links.duplicate = 0;
    plan.liars = 0;
    plan.load = 0.3;
    plan.sessions_max = 10;
    plan.waiting_max = 100;
    plan.gateway_jobs_max = 1'000;
    plan.gateway_streams_max = 10'000;
    plan.down_max = std::chrono::seconds(5);
}

}  // namespace

Plan draw_plan(const RunSettings& settings, Random& random) {
    Plan plan;
    const std::uint32_t nodes = std::max(settings.nodes, 12u);
    plan.gateways = std::max(2u, nodes / 100);
    plan.orchestrators = std::max(4u, nodes * 19 / 100);
    plan.workers = nodes - plan.gateways - plan.orchestrators;
    plan.inputs_by_url = random.chance(0.5);
    plan.poison = maybe(random, 0.01, 0.08);
    plan.cancel = maybe(random, 0.02, 0.2);
    plan.silent = maybe(random, 0.2, 0.8);
    plan.links.latency_max = std::chrono::milliseconds(2 + random.below(80));
    plan.links.loss = maybe(random, 0.0005, 0.01);
    plan.links.duplicate = maybe(random, 0.001, 0.05);
    plan.devices.crash = maybe(random, 0.005, 0.05);
    plan.devices.hang = maybe(random, 0.001, 0.01);
    plan.devices.slow = maybe(random, 0.005, 0.05);
    plan.devices.garbage = maybe(random, 0.005, 0.05);
    plan.events.orchestrator_crash = maybe(random, 4, 20);
    plan.events.worker_crash = maybe(random, 2, 10);
    plan.events.gateway_crash = maybe(random, 15, 40);
    plan.events.partition = maybe(random, 10, 30);
    plan.events.break_connection = maybe(random, 1, 5);
    plan.events.slow_node = maybe(random, 5, 20);
    plan.events.sick_device = maybe(random, 5, 20);
    plan.events.forged_result = maybe(random, 1, 5);
    plan.liars = static_cast<std::uint32_t>(maybe(random, 1, 0.3 * plan.orchestrators + 0.5));
    plan.wrong_secrets = static_cast<std::uint32_t>(maybe(random, 1, 0.1 * plan.workers + 0.5));
    plan.load = 0.3 + 0.6 * random.unit();
    if (random.chance(0.3)) {
        plan.sessions_max = 2 + static_cast<std::uint32_t>(random.below(4));
        plan.waiting_max = 1 + static_cast<std::uint32_t>(random.below(5));
    }
    if (random.chance(0.3)) {
        plan.token_life =
            std::chrono::seconds(190 + random.below(60));  // gateways renew them 180 s before the end
    }
    if (random.chance(0.2)) {
        // Tight, but not so tight that a gateway's share of the jobs cannot be done in a run's time.
        const std::uint32_t share = std::max(1u, settings.jobs / plan.gateways / kJobsPerLimit);
        plan.gateway_jobs_max = (2 + static_cast<std::uint32_t>(random.below(8))) * share;
        plan.gateway_streams_max = 1 + static_cast<std::uint32_t>(random.below(4));
    }
    if (random.chance(0.2)) {
        draw_mild(plan, random);
    }
    if (settings.canary == Canary::kTrust) {
        plan.liars = 2;
    }
    return plan;
}

std::string describe(const Plan& plan) {
    const EventRates& e = plan.events;
    return fmt::format(
        "{}{} gateways, {} orchestrators ({} lie), {} workers ({} wrong secrets); latency {} ms, loss "
        "{:.4f}, duplicates "
        "{:.3f}; devices: crash {:.3f} hang {:.3f} slow {:.3f} garbage {:.3f}; poison {:.2f}, cancelled "
        "{:.2f}; seconds "
        "between: orchestrator crash {:.0f}, worker crash {:.0f}, gateway crash {:.0f}, partition {:.0f}, "
        "break {:.0f}, "
        "slow node {:.0f}, sick device {:.0f}, forged result {:.0f}; load {:.2f}",
        plan.mild ? "mild; " : "", plan.gateways, plan.orchestrators, plan.liars, plan.workers,
        plan.wrong_secrets,
        std::chrono::duration_cast<std::chrono::milliseconds>(plan.links.latency_max).count(),
        plan.links.loss, plan.links.duplicate, plan.devices.crash, plan.devices.hang, plan.devices.slow,
        plan.devices.garbage, plan.poison, plan.cancel, e.orchestrator_crash, e.worker_crash, e.gateway_crash,
        e.partition, e.break_connection, e.slow_node, e.sick_device, e.forged_result, plan.load
    );
}

}  // namespace framegrid::sim
