// Which jobs an orchestrator did not get, and why.
#include <utility>

#include <framegrid/market/pool.hpp>
#include <framegrid/market/pool_entry.hpp>

namespace framegrid::market {

void Pool::on_refused(const Demand& demand, TimePoint now) {
    if (demand.counted) {
        return;
    }
    NeedsKind& kind = kind_for(demand.needs);
    ++kind.jobs;
    for (std::size_t i = 0; i < std::min(kind.members.size(), kExplainedMax); ++i) {
        note_lost(kind.members[i], obstacle_of(kind.members[i], demand, now), demand);
    }
}

void Pool::note_lost(Slot slot, Obstacle obstacle, const Demand& demand) {
    auto& lost = entries_[slot]->lost;
    switch (obstacle) {
        case Obstacle::kPrice:
            ++lost.price;
            if (!demand.price_max || demand.price_told) {
                lost.price_cap = std::max(lost.price_cap.value_or(Price{0, 1}), limit_of(demand));
            }
            break;
        case Obstacle::kSuspended:
        case Obstacle::kUnreachable:
            ++lost.suspended;
            break;
        case Obstacle::kBusy:
        case Obstacle::kFull:
            ++lost.capacity;
            break;
        case Obstacle::kNone:
            ++lost.latency;
            break;
        case Obstacle::kTried:       // it knows why
        case Obstacle::kConstraint:  // nothing that it could change
        case Obstacle::kSilent:
        case Obstacle::kIncompatible:  // see foreign_jobs()
            break;
    }
}

// Of the kinds that it does not offer. Kept as sums of kinds, because there may be very many nodes that do
// not offer one.
std::int64_t Pool::foreign_jobs(Slot slot) const {
    std::int64_t out = 0;
    for (const auto& kind : kinds_) {
        out += kind->position.contains(slot) ? 0 : kind->jobs;
    }
    return out;
}

api::LostJobs Pool::take_lost(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot]) {
        return {};
    }
    Entry& entry = *entries_[slot];
    auto out = std::exchange(entry.lost, {});
    const std::int64_t before = std::exchange(entry.foreign_mark, foreign_jobs(slot));
    if (entry.info && !entry.info->service_uri.empty()) {
        out.capability += static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry.foreign_mark - before));
    }
    return out;
}

void Pool::return_lost(Slot slot, const api::LostJobs& lost) {
    if (slot < entries_.size() && entries_[slot]) {
        entries_[slot]->lost += lost;
    }
}

}  // namespace framegrid::market
