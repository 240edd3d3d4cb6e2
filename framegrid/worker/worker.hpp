// The worker role: registers with an orchestrator, runs the tasks it is sent, reports the results.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/worker_host.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::worker {

struct Settings {
    std::vector<std::string>
        orchestrators;  // in order of preference; the next one is tried when one is unreachable
    std::string secret;
    std::int64_t transcode_capacity = 1;  // 0: do not register as a transcoder
    job::Capabilities transcode_capabilities;
    std::int64_t ai_capacity = 1;       // 0, or no models: do not register as an AI worker
    job::Capabilities ai_capabilities;  // models under their capabilities
    std::vector<api::HardwareInfo> hardware;
    Duration register_time_max = std::chrono::seconds(5);
    Duration fetch_time_max = std::chrono::seconds(30);
    Duration submit_time_max = std::chrono::seconds(30);
    Duration submit_early_time_max = std::chrono::seconds(5);  // then it comes with the result
    Duration submit_progress_time_max = std::chrono::seconds(5);
    Duration progress_period = std::chrono::milliseconds(200);  // between two reports, but for previews
    Duration transcode_time_min = std::chrono::seconds(8);      // max(this, 4 x duration)
    Duration ai_time_max = std::chrono::minutes(15);
    Duration reconnect_min = std::chrono::milliseconds(200);
    Duration reconnect_max = std::chrono::seconds(10);
    int submit_attempts = 3;
    int ai_submit_attempts = 8;  // half a minute: an AI task outlives its registration, and took long
};

struct Ports {
    Executor executor;
    Clock& clock;
    Random& random;
    Logger log;
    api::WorkExecutor& work;
    std::function<std::shared_ptr<api::WorkerHost>(const std::string& orchestrator_uri)> host_at;
    Tracer tracer{};
};

struct Stats {
    std::uint64_t tasks_done = 0;
    std::uint64_t tasks_failed = 0;
    std::uint64_t tasks_refused = 0;     // over capacity
    std::uint64_t renditions_early = 0;  // delivered before their tasks' ends
    std::uint64_t progress_reports = 0;
    std::uint64_t registrations = 0;
    std::uint64_t reports_lost = 0;  // results that could not be delivered
    std::size_t tasks_running = 0;
    std::size_t registered = 0;  // registrations that stand now
    Timings tasks;               // by pipeline
};
void dump(MetricsWriter& out, const Stats& stats);

// Runs on one executor.
class Worker {
  public:
    virtual ~Worker() = default;
    // Serves until cancelled. Returns only with an error that coming back cannot mend: a wrong secret, or a
    // refused registration.
    virtual Task<Result<void>> run() = 0;
    // For an orderly stop: refuses new tasks, telling orchestrators why; returns when those that run are done
    // and delivered, at the latest at `until`. For good.
    virtual Task<void> drain(TimePoint until) = 0;
    virtual Stats stats() const = 0;
};

std::unique_ptr<Worker> make_worker(Ports ports, Settings settings);

}  // namespace framegrid::worker
