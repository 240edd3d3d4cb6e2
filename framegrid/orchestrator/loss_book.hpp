// What gateways say of the jobs that this node did not get: counters, and now and then a line in the log.
#pragma once

#include <optional>

#include <framegrid/api/lost_jobs.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::orchestrator {

class LossBook {
  public:
    LossBook(Clock& clock, Logger log) : clock_(clock), log_(std::move(log)) {}

    // With each poll, also when nothing was lost: the line about earlier losses is due some time later.
    // Nobody proves what it says.
    void add(const api::LostJobs& lost);
    const api::LostJobs& total() const { return total_; }

  private:
    Clock& clock_;
    Logger log_;
    api::LostJobs total_;
    api::LostJobs untold_;  // not in the log yet
    std::optional<TimePoint> told_at_;
};

// framegrid_orchestrator_lost_jobs_total by reason.
void dump(MetricsWriter& out, const api::LostJobs& total);

}  // namespace framegrid::orchestrator
