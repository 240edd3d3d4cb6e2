#include <framegrid/market/pool.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace framegrid::market {

namespace {

constexpr double kUnmeasuredScore = 0.5;  // newcomers are tried before mediocre nodes
constexpr double kExplore = 0.1;     // and now and then before good ones, or they would never be measured;
                                     // halved by each failure, or they would never be forgiven
constexpr double kScoreAlpha = 0.3;  // weight of the newest measurement
constexpr double kSessionBonus = 0.7;
constexpr double kColdPenalty = 4.0;
constexpr double kNoise = 0.2;  // equal nodes share the work
constexpr std::uint32_t kDoublingsMax = 16;
constexpr std::size_t kExplainedMax = 1'000;  // a refusal must stay cheap, however large the pool is
constexpr std::int64_t kQuoteTimesMax = 2;  // of the cheapest: one that asks a fortune spoils nobody's quote

bool contains(const std::vector<Slot>& slots, Slot slot) {
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

std::uint32_t capacity_of(const api::OrchestratorInfo& info) {
    if (!info.capabilities) {
        return 1;
    }
    // The node's simultaneous jobs: what it says for plain H.264, else its largest capacity.
    const auto& capacities = info.capabilities->capacities;
    const auto h264 = capacities.find(static_cast<std::uint32_t>(job::Capability::kH264));
    if (h264 != capacities.end()) {
        return std::max(1u, h264->second);
    }
    std::uint32_t largest = 1;
    for (const auto& [capability, capacity] : capacities) {
        largest = std::max(largest, capacity);
    }
    return largest;
}

}  // namespace

struct Pool::Entry {
    std::string uri;
    std::optional<api::OrchestratorInfo> info;
    TimePoint usable_from{};           // suspended or paused until then
    api::LostJobs lost;                // not told yet
    std::int64_t foreign_mark = 0;     // foreign_jobs() when it was last told
    std::uint64_t considered_for = 0;  // the pick
    bool reachable = true;             // the last poll or job got an answer
    std::uint32_t in_flight = 0;
    std::uint32_t capacity = 1;
    std::uint32_t failures = 0;
    // What is known about one kind of work.
    struct Record {
        std::int32_t capability = -1;  // its number, -1 for transcoding
        std::optional<double> latency;
        std::uint32_t failures = 0;  // in a row
    };
    std::vector<Record> records;  // few, so a flat list

    Record record(std::optional<job::Capability> capability) const {
        const auto key = key_of(capability);
        const auto known = std::ranges::find(records, key, &Record::capability);
        return known != records.end() ? *known : Record{key, std::nullopt, 0};
    }
    Record& record_to_change(std::optional<job::Capability> capability) {
        const auto key = key_of(capability);
        const auto known = std::ranges::find(records, key, &Record::capability);
        return known != records.end() ? *known : records.emplace_back(key);
    }
    // Whoever fails at a kind of work gets one job of it to prove itself, not as many as it could do.
    bool full(std::optional<job::Capability> capability) const {
        return in_flight >= capacity || (in_flight > 0 && record(capability).failures > 0);
    }

  private:
    static std::int32_t key_of(std::optional<job::Capability> capability) {
        return capability ? static_cast<std::int32_t>(*capability) : -1;
    }
};

// Who can serve one kind of needs. Positions are kept so that removal is constant time.
struct Pool::NeedsKind {
    job::Capabilities needs;
    std::vector<Slot> members;
    std::unordered_map<Slot, std::size_t> position;
    std::unordered_map<Slot, TimePoint> left_at;  // those of the list that were members, and until when
    std::int64_t jobs = 0;  // that somebody got, or nobody: lost by all that are no members

    void insert(Slot slot) {
        left_at.erase(slot);
        if (position.try_emplace(slot, members.size()).second) {
            members.push_back(slot);
        }
    }
    void erase(Slot slot) {
        const auto it = position.find(slot);
        if (it == position.end()) {
            return;
        }
        const Slot last = members.back();
        members[it->second] = last;
        position[last] = it->second;
        members.pop_back();
        position.erase(slot);
    }
};

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

Pool::Pool(PoolSettings settings) : settings_(std::move(settings)) {}
Pool::~Pool() = default;

void Pool::set_list(const std::vector<std::string>& uris) {
    std::unordered_map<std::string_view, bool> wanted;
    for (const auto& uri : uris) {
        if (wanted.size() >= settings_.orchestrators_max) {
            break;
        }
        wanted.emplace(uri, true);
    }
    for (Slot slot = 0; slot < entries_.size(); ++slot) {
        if (entries_[slot] && !wanted.contains(entries_[slot]->uri)) {
            release(slot);
        }
    }
    for (const auto& uri : uris) {
        if (by_uri_.size() >= settings_.orchestrators_max) {
            break;
        }
        if (by_uri_.contains(uri)) {
            continue;
        }
        Slot slot = static_cast<Slot>(entries_.size());
        if (free_.empty()) {
            entries_.emplace_back();
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        entries_[slot] = std::make_unique<Entry>();
        entries_[slot]->uri = uri;
        entries_[slot]->foreign_mark = foreign_jobs(slot);
        by_uri_.emplace(uri, slot);
    }
    stats_.orchestrators = by_uri_.size();
}

void Pool::release(Slot slot) {
    for (auto& kind : kinds_) {
        kind->erase(slot);
        kind->left_at.erase(slot);
    }
    by_uri_.erase(entries_[slot]->uri);
    entries_[slot].reset();
    free_.push_back(slot);
}

std::vector<std::string> Pool::uris() const {
    std::vector<std::string> out;
    for (const auto& entry : entries_) {
        if (entry) {
            out.push_back(entry->uri);
        }
    }
    return out;
}

std::optional<Slot> Pool::find(std::string_view uri) const {
    const auto it = by_uri_.find(std::string(uri));
    return it == by_uri_.end() ? std::nullopt : std::optional(it->second);
}

const std::string& Pool::uri(Slot slot) const {
    static const std::string kNone;
    return slot < entries_.size() && entries_[slot] ? entries_[slot]->uri : kNone;
}

std::size_t Pool::size() const {
    return by_uri_.size();
}

bool Pool::on_info(Slot slot, api::OrchestratorInfo info, TimePoint now) {
    if (slot >= entries_.size() || !entries_[slot]) {
        return false;
    }
    Entry& entry = *entries_[slot];
    const bool was_usable = entry.info && entry.reachable;
    const bool first = !entry.info;
    const bool changed = !entry.info || entry.info->capabilities != info.capabilities ||
                         entry.info->service_uri.empty() != info.service_uri.empty();
    entry.capacity = capacity_of(info);
    entry.reachable = true;
    entry.info = std::move(info);
    if (changed) {
        reindex(slot, now);
    }
    if (first) {
        entry.foreign_mark = foreign_jobs(slot);  // nobody knew what it offers
    }
    return changed || !was_usable;
}

void Pool::on_info_failed(Slot slot) {
    if (slot < entries_.size() && entries_[slot]) {
        entries_[slot]->reachable = false;
    }
}

void Pool::on_started(Slot slot) {
    if (slot < entries_.size() && entries_[slot]) {
        ++entries_[slot]->in_flight;
    }
}

void Pool::on_abandoned(Slot slot) {
    if (slot < entries_.size() && entries_[slot] && entries_[slot]->in_flight > 0) {
        --entries_[slot]->in_flight;
    }
}

void Pool::on_done(Slot slot, std::optional<job::Capability> capability, double latency_score) {
    on_abandoned(slot);
    if (slot >= entries_.size() || !entries_[slot]) {
        return;
    }
    Entry& entry = *entries_[slot];
    entry.failures = 0;
    entry.reachable = true;
    auto& record = entry.record_to_change(capability);
    record.failures = 0;
    const double before = record.latency.value_or(latency_score);
    record.latency = before + kScoreAlpha * (latency_score - before);
}

void Pool::on_busy(Slot slot, TimePoint now) {
    on_abandoned(slot);
    if (slot < entries_.size() && entries_[slot]) {
        Entry& entry = *entries_[slot];
        entry.usable_from = std::max(entry.usable_from, now + settings_.busy_pause);
    }
}

void Pool::on_failed(Slot slot, std::optional<job::Capability> capability, TimePoint now, Random& random) {
    on_abandoned(slot);
    if (slot >= entries_.size() || !entries_[slot]) {
        return;
    }
    Entry& entry = *entries_[slot];
    // Failures of jobs that were under way together count once: the node went away once.
    if (entry.usable_from > now && entry.failures > 0) {
        return;
    }
    ++entry.record_to_change(capability).failures;
    suspend(entry, now, random);
}

void Pool::suspend(Entry& entry, TimePoint now, Random& random) {
    const auto doublings = std::min(entry.failures, kDoublingsMax);
    ++entry.failures;
    ++stats_.suspensions;
    const double pause = std::min(
        static_cast<double>(settings_.suspend_max.count()),
        static_cast<double>(settings_.suspend_first.count()) * std::exp2(doublings)
    );
    // Jitter, so that many gateways do not return to a node at the same moment.
    const double jittered = pause * (0.8 + 0.4 * random.unit());
    entry.usable_from = now + Duration(static_cast<Duration::rep>(jittered));
}

Pool::NeedsKind& Pool::kind_for(const job::Capabilities& needs) {
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
        if (kinds_[i]->needs == needs) {
            std::rotate(
                kinds_.begin(), kinds_.begin() + static_cast<std::ptrdiff_t>(i),
                kinds_.begin() + static_cast<std::ptrdiff_t>(i) + 1
            );
            return *kinds_.front();
        }
    }
    if (kinds_.size() >= settings_.needs_kinds_max) {
        forget_kind();
    }
    auto kind = std::make_unique<NeedsKind>();
    kind->needs = needs;
    for (Slot slot = 0; slot < entries_.size(); ++slot) {
        const auto& entry = entries_[slot];
        if (entry && entry->info && !entry->info->service_uri.empty() &&
            job::compatible(needs, entry->info->capabilities)) {
            kind->insert(slot);
        }
    }
    kinds_.insert(kinds_.begin(), std::move(kind));
    return *kinds_.front();
}

void Pool::reindex(Slot slot, TimePoint now) {
    Entry& entry = *entries_[slot];
    for (auto& kind : kinds_) {
        const bool member = kind->position.contains(slot);
        if (entry.info && !entry.info->service_uri.empty() &&
            job::compatible(kind->needs, entry.info->capabilities)) {
            entry.foreign_mark -= member ? 0 : kind->jobs;
            kind->insert(slot);
        } else if (member) {
            entry.foreign_mark += kind->jobs;
            kind->erase(slot);
            kind->left_at.insert_or_assign(slot, now);
        }
    }
}

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
    return entry.full(demand.capability) ? Obstacle::kFull : Obstacle::kNone;
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
    value *= 1.0 + static_cast<double>(entry.in_flight) / entry.capacity;
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

void Pool::forget_kind() {
    for (Slot slot = 0; slot < entries_.size(); ++slot) {
        if (entries_[slot] && !kinds_.back()->position.contains(slot)) {
            entries_[slot]->foreign_mark -= kinds_.back()->jobs;
        }
    }
    kinds_.pop_back();
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

// The lower one of the job's and the gateway's; there is one.
Price Pool::limit_of(const Demand& demand) const {
    if (demand.price_max && settings_.price_max) {
        return std::min(*demand.price_max, *settings_.price_max);
    }
    return demand.price_max ? *demand.price_max : settings_.price_max.value_or(Price{});
}

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
        out.detail = std::to_string(entry.in_flight) + " of " + std::to_string(entry.capacity) + " under way";
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

const api::OrchestratorInfo* Pool::info(Slot slot) const {
    return slot < entries_.size() && entries_[slot] && entries_[slot]->info ? &*entries_[slot]->info
                                                                            : nullptr;
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
