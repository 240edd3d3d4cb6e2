// What the pool tells of itself: verdicts, a view of each orchestrator, the models on offer, counts.
#include <cmath>
#include <map>
#include <utility>

#include <framegrid/market/pool.hpp>
#include <framegrid/market/pool_entry.hpp>

namespace framegrid::market {

Verdict Pool::judge(Slot slot, const Demand& demand, TimePoint now) const {
    const Entry& entry = *entries_[slot];
    Verdict out{entry.uri, Obstacle::kNone, ""};
    const auto seconds_left = [&] {
        const auto left = std::chrono::duration<double>(entry.usable_from - now).count();
        return std::to_string(static_cast<int>(std::ceil(left))) + " s";
    };
    if (!entry.info || entry.info->service_uri.empty()) {
        out.obstacle = entry.reachable ? Obstacle::kSilent : Obstacle::kUnreachable;
        return out;
    }
    if (!job::compatible(demand.needs, entry.info->capabilities)) {
        out.obstacle = Obstacle::kIncompatible;
        out.detail = "lacks " + job::missing(demand.needs, entry.info->capabilities);
        return out;
    }
    out.obstacle = obstacle_of(slot, demand, now);
    if (out.obstacle == Obstacle::kPrice) {
        out.detail =
            "asks " + to_string(price_of(entry, demand)) + ", the limit is " + to_string(limit_of(demand));
    } else if (out.obstacle == Obstacle::kSuspended) {
        out.detail = std::to_string(entry.failures) + " failures in a row, asked again in " + seconds_left();
    } else if (out.obstacle == Obstacle::kFull) {
        out.detail = std::to_string(entry.in_flight) + " of " + std::to_string(entry.capacity_for(demand)) +
                     " under way";
    }
    return out;
}

Explanation Pool::explain(const Demand& demand, TimePoint now, std::size_t listed_max) const {
    Explanation out;
    std::vector<Verdict> unsuitable;
    for (Slot slot = 0; slot < entries_.size() && out.considered() + unsuitable.size() < kExplainedMax;
         ++slot) {
        if (!entries_[slot]) {
            continue;
        }
        auto verdict = judge(slot, demand, now);
        if (verdict.obstacle == Obstacle::kPrice) {
            const auto price = price_of(*entries_[slot], demand);
            out.cheapest = std::min(out.cheapest.value_or(price), price);
        }
        const bool suitable =
            verdict.obstacle != Obstacle::kIncompatible && verdict.obstacle != Obstacle::kSilent;
        if (suitable) {
            out.add(std::move(verdict), listed_max);
        } else {
            unsuitable.push_back(std::move(verdict));
        }
    }
    for (auto& verdict : unsuitable) {
        out.add(std::move(verdict), listed_max);
    }
    return out;
}

std::vector<PoolEntryView> Pool::view(TimePoint now) const {
    std::vector<PoolEntryView> out;
    for (const auto& entry : entries_) {
        if (!entry) {
            continue;
        }
        const bool suspended = entry->usable_from > now || !entry->reachable;
        out.push_back(
            {entry->uri, entry->info.has_value(), suspended, entry->in_flight, entry->capacity,
             entry->record(std::nullopt).latency.value_or(0), entry->failures}
        );
    }
    return out;
}

std::vector<OfferedModel> Pool::models() const {
    std::map<std::pair<std::string, std::uint32_t>, OfferedModel> found;
    for (const auto& entry : entries_) {
        if (!entry || !entry->reachable || !entry->info || !entry->info->capabilities) {
            continue;
        }
        for (const auto& [capability, models] : entry->info->capabilities->constraints) {
            for (const auto& [id, constraint] : models) {
                auto& one = found[{id, capability}];
                one.id = id;
                one.capability = static_cast<job::Capability>(capability);
                ++one.nodes;
                one.warm_nodes += constraint.warm ? 1 : 0;
            }
        }
    }
    std::vector<OfferedModel> out;
    for (auto& [key, one] : found) {
        out.push_back(std::move(one));
    }
    return out;
}

bool Pool::ever_offered(job::Capability capability, const std::string& model_id) const {
    const auto seen = models_seen_.find(static_cast<std::uint32_t>(capability));
    return seen != models_seen_.end() &&
           (seen->second.size() >= settings_.models_seen_max || seen->second.contains(model_id));
}

PoolStats Pool::stats(TimePoint now) const {
    PoolStats out = stats_;
    for (const auto& entry : entries_) {
        out.usable += entry && entry->info && entry->reachable && entry->usable_from <= now ? 1 : 0;
    }
    return out;
}

void dump(MetricsWriter& out, const PoolStats& stats) {
    out.counter("framegrid_market_picks_total", stats.picks);
    out.counter("framegrid_market_picks_empty_total", stats.picks_empty);
    out.counter("framegrid_market_suspensions_total", stats.suspensions);
    out.gauge("framegrid_market_orchestrators", static_cast<double>(stats.orchestrators));
    out.gauge("framegrid_market_orchestrators_usable", static_cast<double>(stats.usable));
}

}  // namespace framegrid::market
