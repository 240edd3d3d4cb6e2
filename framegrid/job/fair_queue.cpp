#include <framegrid/job/fair_queue.hpp>

#include <algorithm>
#include <cmath>

namespace framegrid::job {

namespace {

double flow_weight(int priority, double owner_weight) {
    constexpr double kStep = 4;
    return owner_weight * std::pow(kStep, std::clamp(priority, -1, 1));
}

}  // namespace

bool FairQueue::push(Entry entry) {
    if (places_.contains(entry.id)) {
        return false;
    }
    FlowKey key{entry.owner, std::clamp(entry.priority, -1, 1)};
    auto& flow = flows_[key];
    flow.weight = flow_weight(key.second, entry.weight);
    if (flow.jobs.empty()) {
        flow.start = std::max(flow.start, now_);
        turns_.emplace(flow.start, key);
    }
    const auto order = ++flow.arrivals;
    ++owners_[entry.owner].queued;
    flow.jobs.emplace(order, entry.id);
    places_.emplace(std::move(entry.id), Place{std::move(key), order});
    return true;
}

std::optional<FairQueue::Entry> FairQueue::pop(const RunningMax& running_max) {
    for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
        const FlowKey key = turn->second;
        auto& owner = owners_[key.first];
        if (owner.running >= running_max(key.first)) {
            continue;
        }
        turns_.erase(turn);
        auto& flow = flows_.at(key);
        Entry out{
            std::move(flow.jobs.begin()->second), key.first, key.second,
            flow.weight / flow_weight(key.second, 1)
        };
        flow.jobs.erase(flow.jobs.begin());
        places_.erase(out.id);
        now_ = std::max(now_, flow.start);
        flow.start += 1 / flow.weight;
        if (!flow.jobs.empty()) {
            turns_.emplace(flow.start, key);
        }
        --owner.queued;
        ++owner.running;
        return out;
    }
    return std::nullopt;
}

void FairQueue::release(const std::string& owner) {
    const auto found = owners_.find(owner);
    if (found != owners_.end() && found->second.running > 0) {
        --found->second.running;
        drop_idle_owner(owner);
    }
}

bool FairQueue::remove(const std::string& id) {
    const auto found = places_.find(id);
    if (found == places_.end()) {
        return false;
    }
    const Place place = std::move(found->second);
    places_.erase(found);
    auto& flow = flows_.at(place.flow);
    flow.jobs.erase(place.order);
    if (flow.jobs.empty()) {
        turns_.erase({flow.start, place.flow});
    }
    --owners_[place.flow.first].queued;
    drop_idle_owner(place.flow.first);
    return true;
}

// Keeps the tables as small as what is waiting. A flow that is ahead of the others' time stays, or its owner
// could jump the queue by coming back.
void FairQueue::drop_idle_owner(const std::string& owner) {
    const auto found = owners_.find(owner);
    if (found == owners_.end() || found->second.running > 0 || found->second.queued > 0) {
        return;
    }
    owners_.erase(found);
    const bool nobody = places_.empty();
    for (int priority = -1; priority <= 1; ++priority) {
        const auto flow = flows_.find({owner, priority});
        if (flow != flows_.end() && (nobody || flow->second.start <= now_)) {
            flows_.erase(flow);
        }
    }
}

std::size_t FairQueue::size_of(const std::string& owner) const {
    const auto found = owners_.find(owner);
    return found == owners_.end() ? 0 : found->second.queued;
}

std::size_t FairQueue::running_of(const std::string& owner) const {
    const auto found = owners_.find(owner);
    return found == owners_.end() ? 0 : found->second.running;
}

std::size_t FairQueue::count_before(const FlowKey& key, std::size_t place, double start, double weight)
    const {
    const double turn = start + static_cast<double>(place) / weight;
    double count = static_cast<double>(place);
    for (const auto& [other, flow] : flows_) {
        if (other == key || flow.jobs.empty() || flow.start > turn) {
            continue;
        }
        // Of two turns at the same time the set's first one comes first.
        const double turns = (turn - flow.start) * flow.weight;
        const double earlier = other < key ? std::floor(turns) + 1 : std::ceil(turns);
        count += std::min(earlier, static_cast<double>(flow.jobs.size()));
    }
    return static_cast<std::size_t>(count);
}

std::optional<std::size_t> FairQueue::ahead_of(const std::string& id) const {
    const auto found = places_.find(id);
    if (found == places_.end()) {
        return std::nullopt;
    }
    const auto& flow = flows_.at(found->second.flow);
    // Those that were removed from the middle count, too: this is an estimate, and it must be cheap.
    const auto place =
        std::min<std::size_t>(found->second.order - flow.jobs.begin()->first, flow.jobs.size() - 1);
    return count_before(found->second.flow, place, flow.start, flow.weight);
}

std::size_t FairQueue::ahead_of_new(const std::string& owner, int priority, double weight) const {
    const FlowKey key{owner, std::clamp(priority, -1, 1)};
    const auto found = flows_.find(key);
    const double start = found == flows_.end() ? now_ : std::max(found->second.start, now_);
    const std::size_t place = found == flows_.end() ? 0 : found->second.jobs.size();
    return count_before(key, place, start, flow_weight(key.second, weight));
}

}  // namespace framegrid::job
