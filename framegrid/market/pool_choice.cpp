// Who may have a job, who gets it, and at which price.
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <framegrid/market/pool.hpp>
#include <framegrid/market/pool_entry.hpp>

namespace framegrid::market {

namespace {

constexpr double kUnmeasuredScore = 0.5;  // newcomers are tried before mediocre nodes
constexpr double kExplore = 0.1;  // and now and then before good ones, or they would never be measured;
                                  // halved by each failure, or they would never be forgiven
constexpr double kSessionBonus = 0.7;
constexpr double kColdPenalty = 4.0;
constexpr double kNoise = 0.2;              // equal nodes share the work
constexpr std::int64_t kQuoteTimesMax = 2;  // of the cheapest: one that asks a fortune spoils nobody's quote

bool contains(const std::vector<Slot>& slots, Slot slot) {
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

}  // namespace

// Who was looked at for a job, as far as there is room: enough for the sample.
struct Pool::Considered {
    static constexpr std::size_t kMax = 32;
    std::array<Slot, kMax> slots{};
    std::array<Obstacle, kMax> obstacles{};
    std::size_t count = 0;
    void add(Slot slot, Obstacle obstacle) {
        if (count < kMax) {
            slots[count] = slot;
            obstacles[count++] = obstacle;
        }
    }
};

struct Pool::Scored {
    Slot slot;
    bool full;
    double score;
    bool operator<(const Scored& other) const { return full != other.full ? !full : score < other.score; }
};

Price Pool::price_of(const Entry& entry, const Demand& demand) {
    for (const auto& model : entry.info->model_prices) {
        if (demand.capability && model.model_id == demand.model_id &&
            model.capability == static_cast<std::uint32_t>(*demand.capability)) {
            return model.price;
        }
    }
    return entry.info->price.value_or(Price{});
}

Price Pool::price_of(Slot slot, const Demand& demand) const {
    return info(slot) == nullptr ? Price{} : price_of(*entries_[slot], demand);
}

bool Pool::affordable(const Entry& entry, const Demand& demand) const {
    if (!settings_.price_max && !demand.price_max) {
        return true;
    }
    const Price price = price_of(entry, demand);
    return (!settings_.price_max || price <= *settings_.price_max) &&
           (!demand.price_max || price <= *demand.price_max);
}

bool Pool::acceptable(const Entry& entry, const Demand& demand) const {
    return demand.constraints.allow(entry.uri) && affordable(entry, demand);
}

// The lower one of the job's and the gateway's; there is one.
Price Pool::limit_of(const Demand& demand) const {
    if (demand.price_max && settings_.price_max) {
        return std::min(*demand.price_max, *settings_.price_max);
    }
    return demand.price_max ? *demand.price_max : settings_.price_max.value_or(Price{});
}

Obstacle Pool::obstacle_of(Slot slot, const Demand& demand, TimePoint now) const {
    const Entry& entry = *entries_[slot];
    if (!demand.constraints.allow(entry.uri)) {
        return Obstacle::kConstraint;
    }
    if (!affordable(entry, demand)) {
        return Obstacle::kPrice;
    }
    if (!entry.reachable) {
        return Obstacle::kUnreachable;
    }
    if (contains(demand.exclude, slot)) {
        return Obstacle::kTried;
    }
    if (entry.usable_from > now) {
        return entry.failures > 0 ? Obstacle::kSuspended : Obstacle::kBusy;
    }
    return entry.full(demand) ? Obstacle::kFull : Obstacle::kNone;
}

double Pool::score(const Entry& entry, const Demand& demand, bool preferred, Random& random) const {
    const auto* model = demand.capability && entry.info->capabilities
                            ? entry.info->capabilities->model(*demand.capability, demand.model_id)
                            : nullptr;
    const bool cold = model != nullptr && !model->warm;
    const auto record = entry.record(demand.capability);
    double value = record.latency.value_or(kUnmeasuredScore) * (1.0 + record.failures);
    if (!cold && (!record.latency || record.failures > 0) &&
        random.chance(std::ldexp(kExplore, -static_cast<int>(std::min(record.failures, kDoublingsMax))))) {
        value = 0;
    }
    value *= 1.0 + static_cast<double>(entry.in_flight) / entry.capacity_for(demand);
    if (preferred) {
        value *= kSessionBonus;
    }
    if (cold) {
        value *= kColdPenalty;
    }
    return value * (1.0 + kNoise * random.unit());
}

std::optional<Slot> Pool::pick(const Demand& demand, TimePoint now, Random& random) {
    ++stats_.picks;
    NeedsKind& kind = kind_for(demand.needs);
    std::optional<Scored> best;
    Considered considered;
    const auto consider = [&](Slot slot) {
        Entry& entry = *entries_[slot];
        const Obstacle obstacle = obstacle_of(slot, demand, now);
        if (std::exchange(entry.considered_for, stats_.picks) != stats_.picks) {
            considered.add(slot, obstacle);
        }
        const bool full = obstacle == Obstacle::kFull;
        if (obstacle != Obstacle::kNone && !full) {
            return;
        }
        const Scored scored{slot, full, score(entry, demand, contains(demand.prefer, slot), random)};
        if (!best || scored < *best) {
            best = scored;
        }
    };
    const std::size_t count = kind.members.size();
    if (count <= settings_.sample_size) {
        for (const Slot slot : kind.members) {
            consider(slot);
        }
    } else {
        for (const Slot slot : demand.prefer) {
            if (kind.position.contains(slot)) {
                consider(slot);
            }
        }
        for (std::size_t i = 0; i < settings_.sample_size; ++i) {
            consider(kind.members[random.below(count)]);
        }
        if (!best || best->full) {
            // The sample was unlucky (most are suspended, expensive or full): look at everybody, from a
            // random start.
            const std::size_t start = random.below(count);
            for (std::size_t i = 0; i < count && (!best || best->full); ++i) {
                consider(kind.members[(start + i) % count]);
            }
        }
    }
    if (!best) {
        ++stats_.picks_empty;
        return std::nullopt;
    }
    if (!demand.counted) {
        ++kind.jobs;
        for (std::size_t i = 0; i < considered.count; ++i) {
            if (considered.slots[i] != best->slot) {
                note_lost(considered.slots[i], considered.obstacles[i], demand);
            }
        }
    }
    return best->slot;
}

bool Pool::could_serve_since(const Demand& demand, TimePoint since) {
    const NeedsKind& kind = kind_for(demand.needs);
    const auto may = [&](Slot slot) {
        return acceptable(*entries_[slot], demand) && !contains(demand.exclude, slot);
    };
    return std::any_of(kind.members.begin(), kind.members.end(), may) ||
           std::any_of(kind.left_at.begin(), kind.left_at.end(), [&](const auto& left) {
               return left.second > since && may(left.first);
           });
}

bool Pool::could_serve(const Demand& demand, TimePoint now) {
    return could_serve_since(demand, now - settings_.memory);
}

bool Pool::ever_could_serve(const Demand& demand) {
    return could_serve_since(demand, TimePoint::min());
}

std::optional<Price> Pool::price_for(const Demand& demand, TimePoint now) {
    const NeedsKind& kind = kind_for(demand.needs);
    std::vector<Price> prices;
    const auto add = [&](Slot slot) {
        if (info(slot) != nullptr && acceptable(*entries_[slot], demand)) {
            prices.push_back(price_of(*entries_[slot], demand));
        }
    };
    std::ranges::for_each(kind.members, add);
    for (const auto& [slot, left_at] : kind.left_at) {
        if (left_at > now - settings_.memory) {
            add(slot);
        }
    }
    if (prices.empty()) {
        return std::nullopt;
    }
    const Price cheapest = *std::ranges::min_element(prices);
    const Price limit{
        std::min(cheapest.wei, std::numeric_limits<std::int64_t>::max() / kQuoteTimesMax) * kQuoteTimesMax,
        cheapest.units
    };
    std::erase_if(prices, [&](const Price& price) { return price > limit; });
    return *std::ranges::max_element(prices);
}

std::optional<TimePoint> Pool::next_release(const Demand& demand, TimePoint now) {
    const NeedsKind& kind = kind_for(demand.needs);
    std::optional<TimePoint> earliest;
    for (const Slot slot : kind.members) {
        const Entry& entry = *entries_[slot];
        if (acceptable(entry, demand) && entry.usable_from > now &&
            (!earliest || entry.usable_from < *earliest)) {
            earliest = entry.usable_from;
        }
    }
    return earliest;
}

}  // namespace framegrid::market
