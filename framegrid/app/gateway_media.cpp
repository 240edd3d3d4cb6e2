#include <framegrid/app/gateway_media.hpp>

namespace framegrid::app {

namespace {

constexpr Duration kProbeRunMax = std::chrono::seconds(3);
constexpr std::size_t kProbesMax = 2;      // at once; each takes milliseconds
constexpr std::size_t kOperationsMax = 2;  // at once; each may take a core for minutes
constexpr std::uint64_t kProbeMemoryMax = 1'000'000'000;
constexpr std::uint64_t kProbeResultMax = 1 << 20;

Result<sandbox::ExecutorSettings> executor_settings(std::string flag) {
    FG_TRY(program, host::executable_path());
    sandbox::ExecutorSettings settings;
    settings.argv = {program.string(), "executor", std::move(flag)};
    return settings;
}

}  // namespace

OnDemandExecutors::OnDemandExecutors(Session& session, sandbox::ExecutorSettings settings)
    : pool_({session.loop.executor(), session.clock, session.pool, session.log}, std::move(settings)) {}

Task<Result<api::WorkOutput>> OnDemandExecutors::run(
    api::Work work, Deadline deadline, api::WorkEvents events
) {
    if (!std::exchange(started_, true)) {
        pool_.warm_up();
    }
    return pool_.run(std::move(work), deadline, std::move(events));
}

// Two pools: a look into a segment never waits behind an operation.
Result<std::unique_ptr<GatewayMedia>> GatewayMedia::make(Session& session, std::size_t probes_max) {
    FG_TRY(for_probes, executor_settings("--probe"));
    for_probes.executors = kProbesMax;
    for_probes.memory_bytes_max = kProbeMemoryMax;
    for_probes.result_bytes_max = kProbeResultMax;
    for_probes.queue_max = probes_max;
    for_probes.run_max = kProbeRunMax;
    FG_TRY(for_operations, executor_settings("--operations"));
    for_operations.executors = kOperationsMax;
    for_operations.warm = 0;
    return std::make_unique<GatewayMedia>(session, std::move(for_probes), std::move(for_operations));
}

Task<void> GatewayMedia::stop() {
    co_await probe_executors_.stop();
    co_await operation_executors_.stop();
}

}  // namespace framegrid::app
