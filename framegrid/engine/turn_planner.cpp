#include <framegrid/engine/turn_planner.hpp>

#include <algorithm>
#include <cmath>

namespace framegrid::engine {

namespace {

constexpr double kWeightOfPriority = 4;  // per level
constexpr int kHoldPart = 8;

double weight_of(const api::Urgency& urgency) {
    return std::pow(kWeightOfPriority, static_cast<double>(urgency.priority));
}

}  // namespace

TurnPlanner::JobId TurnPlanner::join(const api::Urgency& urgency) {
    // Time that the device worked before it came is not owed to a job.
    Job& job = jobs_[++last_];
    job.urgency = urgency;
    job.service = served_;
    return last_;
}

void TurnPlanner::leave(JobId job) {
    jobs_.erase(job);
}

void TurnPlanner::ask(JobId job, Call call) {
    Job& asking = jobs_.at(job);
    FG_ASSERT(!asking.waits);
    asking.call = std::move(call);
    asking.waits = true;
}

void TurnPlanner::withdraw(JobId job) {
    jobs_.at(job).waits = false;
}

std::size_t TurnPlanner::waiting() const {
    return static_cast<std::size_t>(std::ranges::count_if(jobs_, [](const auto& e) { return e.second.waits; })
    );
}

// Its calls alone would take until about its deadline. One that has no chance any more is in no hurry.
bool TurnPlanner::is_late(const Job& job, TimePoint now) {
    if (job.urgency.deadline == TimePoint::max() || job.urgency.deadline <= now) {
        return false;
    }
    const Duration slack = job.urgency.deadline - now;
    const Duration needed = job.took * job.call.left;
    return slack < needed + needed / 4 + 2 * job.took && slack > needed / 2;
}

bool TurnPlanner::goes_before(const Entry& a, const Entry& b, TimePoint now) const {
    const bool late_a = is_late(a.second, now);
    const bool late_b = is_late(b.second, now);
    if (late_a != late_b) {
        return late_a;
    }
    if (late_a && a.second.urgency.deadline != b.second.urgency.deadline) {
        return a.second.urgency.deadline < b.second.urgency.deadline;
    }
    if (a.second.service != b.second.service) {
        return a.second.service < b.second.service;
    }
    return a.first < b.first;
}

// A job of the same batch that has just had its turn is about to ask again.
TimePoint TurnPlanner::hold_until(const Job& leader, TimePoint now) const {
    TimePoint until{};
    for (const auto& [id, job] : jobs_) {
        if (job.waits || job.call.batch != leader.call.batch || job.call.left <= 1) {
            continue;
        }
        const Duration hold = std::clamp(job.took / kHoldPart, limits_.hold_min, limits_.hold_max);
        if (const TimePoint end = job.ended + hold; end > now) {
            until = std::max(until, end);
        }
    }
    return until;
}

TurnPlanner::Turn TurnPlanner::choose(TimePoint now) const {
    std::vector<const Entry*> order;
    for (const auto& entry : jobs_) {
        if (entry.second.waits) {
            order.push_back(&entry);
        }
    }
    std::ranges::sort(order, [&](const Entry* a, const Entry* b) { return goes_before(*a, *b, now); });
    Turn turn;
    std::int64_t rows = 0;
    for (const Entry* entry : order) {
        const Call& call = entry->second.call;
        const bool leads = turn.jobs.empty();
        const bool fits = rows + call.rows <= limits_.rows_max;
        if (leads || (fits && !call.batch.empty() && call.batch == order.front()->second.call.batch)) {
            turn.jobs.push_back(entry->first);
            rows += call.rows;
        }
    }
    if (!order.empty() && !order.front()->second.call.batch.empty() && rows < limits_.rows_max) {
        turn.not_before = hold_until(order.front()->second, now);
    }
    return turn;
}

void TurnPlanner::begin(const Turn& turn) {
    served_ = std::max(served_, jobs_.at(turn.jobs.front()).service);
    for (const JobId id : turn.jobs) {
        jobs_.at(id).waits = false;
    }
}

void TurnPlanner::end(const Turn& turn, Duration took, TimePoint now) {
    const double share = std::chrono::duration<double>(took).count() / static_cast<double>(turn.jobs.size());
    for (const JobId id : turn.jobs) {
        Job& job = jobs_.at(id);
        job.service += share / weight_of(job.urgency);
        job.took = took;
        job.ended = now;
        --job.call.left;
    }
}

}  // namespace framegrid::engine
