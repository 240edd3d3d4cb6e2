#include <framegrid/orchestrator/loss_book.hpp>

#include <string>
#include <utility>

namespace framegrid::orchestrator {

namespace {
constexpr Duration kLinePeriod = std::chrono::minutes(1);  // however many gateways poll
}  // namespace

void LossBook::add(const api::LostJobs& lost) {
    total_ += lost;
    untold_ += lost;
    const TimePoint now = clock_.now();
    if (untold_.empty() || (told_at_ && now - *told_at_ < kLinePeriod)) {
        return;
    }
    told_at_ = now;
    const auto told = std::exchange(untold_, {});
    const std::string cap = told.price_cap ? std::to_string(told.price_cap->wei) + " wei per " +
                                                 std::to_string(told.price_cap->units)
                                           : "not told";
    log_.info(
        "orchestrator.jobs_lost", {{"price", told.price},
                                   {"price_cap", cap},
                                   {"capability", told.capability},
                                   {"capacity", told.capacity},
                                   {"suspended", told.suspended},
                                   {"latency", told.latency}}
    );
}

void dump(MetricsWriter& out, const api::LostJobs& total) {
    constexpr const char* kName = "framegrid_orchestrator_lost_jobs_total";
    out.counter(kName, total.price, {{"reason", "price"}});
    out.counter(kName, total.capability, {{"reason", "capability"}});
    out.counter(kName, total.capacity, {{"reason", "capacity"}});
    out.counter(kName, total.suspended, {{"reason", "suspended"}});
    out.counter(kName, total.latency, {{"reason", "latency"}});
}

}  // namespace framegrid::orchestrator
