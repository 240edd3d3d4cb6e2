#include <framegrid/gateway/gateway.hpp>

namespace framegrid::gateway {

void dump(MetricsWriter& out, const Stats& stats) {
    out.counter("framegrid_gateway_jobs_total", stats.jobs_done, {{"result", "done"}});
    out.counter("framegrid_gateway_jobs_total", stats.jobs_failed, {{"result", "failed"}});
    out.counter("framegrid_gateway_jobs_total", stats.jobs_refused, {{"result", "refused"}});
    out.counter("framegrid_gateway_retries_total", stats.retries);
    out.counter("framegrid_gateway_renditions_early_total", stats.renditions_early);
    out.counter("framegrid_gateway_results_rejected_total", stats.results_rejected);
    out.gauge("framegrid_gateway_jobs_in_flight", static_cast<double>(stats.in_flight));
    out.gauge("framegrid_gateway_streams", static_cast<double>(stats.streams));
    market::dump(out, stats.pool);
    if (stats.payments) {
        dump(out, *stats.payments);
    }
    stats.jobs.dump(out, "framegrid_gateway_job_seconds", "pipeline");
    stats.attempts.dump(out, "framegrid_gateway_attempt_seconds", "orchestrator");
}

}  // namespace framegrid::gateway
