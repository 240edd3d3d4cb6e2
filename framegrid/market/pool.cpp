#include <framegrid/market/pool.hpp>

#include <cmath>
#include <utility>

#include <framegrid/market/pool_entry.hpp>

namespace framegrid::market {

namespace {

constexpr double kScoreAlpha = 0.3;  // weight of the newest measurement

constexpr std::uint32_t kSessionsUnknown = 10;  // what nodes of the other make serve unless told otherwise

// Whether a node offers what only our own do.
bool is_ours(const job::Capabilities& offer) {
    constexpr auto kFirst = static_cast<std::size_t>(job::Capability::kInpaint);
    constexpr std::size_t kWord = kFirst / 64;
    return offer.bits.size() > kWord && offer.bits[kWord] >> kFirst % 64 != 0;
}

// Of transcoding, and of what says nothing for itself.
std::uint32_t capacity_of(const api::OrchestratorInfo& info) {
    if (!info.capabilities) {
        return kSessionsUnknown;
    }
    // The node's simultaneous jobs: what it says for plain H.264, else its largest capacity.
    const auto& capacities = info.capabilities->capacities;
    const auto h264 = capacities.find(static_cast<std::uint32_t>(job::Capability::kH264));
    if (h264 != capacities.end()) {
        // Nodes of the other make write 1 for every capability, however many sessions they serve.
        const bool unknown = h264->second == 1 && !is_ours(*info.capabilities);
        return unknown ? kSessionsUnknown : std::max(1u, h264->second);
    }
    std::uint32_t largest = 1;
    for (const auto& [capability, capacity] : capacities) {
        largest = std::max(largest, capacity);
    }
    return largest;
}

}  // namespace

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
        remember_models(entry);
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

void Pool::remember_models(const Entry& entry) {
    if (!entry.info->capabilities) {
        return;
    }
    for (const auto& [capability, models] : entry.info->capabilities->constraints) {
        auto& seen = models_seen_[capability];
        for (const auto& [id, unused] : models) {
            if (seen.size() < settings_.models_seen_max) {
                seen.insert(id);
            }
        }
    }
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

void Pool::forget_kind() {
    for (Slot slot = 0; slot < entries_.size(); ++slot) {
        if (entries_[slot] && !kinds_.back()->position.contains(slot)) {
            entries_[slot]->foreign_mark -= kinds_.back()->jobs;
        }
    }
    kinds_.pop_back();
}

const api::OrchestratorInfo* Pool::info(Slot slot) const {
    return slot < entries_.size() && entries_[slot] && entries_[slot]->info ? &*entries_[slot]->info
                                                                            : nullptr;
}

}  // namespace framegrid::market
