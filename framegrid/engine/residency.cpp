#include <framegrid/engine/residency.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace framegrid::engine {

void Residency::count_use(const std::string& id, TimePoint now) {
    auto& demand = demand_[id];
    const double halves = std::chrono::duration<double>(now - demand.at) / kHalfLife;
    demand.uses = demand.uses * std::exp2(-std::max(0.0, halves)) + 1;
    demand.at = std::max(demand.at, now);
}

void Residency::loaded_in(const std::string& id, Duration time) {
    demand_[id].reload = std::max<Duration>(time, std::chrono::milliseconds(1));
}

double Residency::value_of(const std::string& id, TimePoint now) const {
    const auto it = demand_.find(id);
    if (it == demand_.end()) {
        return 0;
    }
    const double halves = std::chrono::duration<double>(now - it->second.at) / kHalfLife;
    return it->second.uses * std::exp2(-std::max(0.0, halves)) *
           std::chrono::duration<double>(it->second.reload).count();
}

std::vector<std::string> Residency::choose_victims(std::int64_t bytes, TimePoint now) const {
    std::vector<std::pair<double, std::string>> idle;
    for (const auto& [name, model] : models_) {
        if (model.users == 0 && !model.pinned) {
            idle.emplace_back(value_of(name, now), name);
        }
    }
    std::ranges::sort(idle);
    std::vector<std::string> victims;
    std::int64_t free = limit_bytes_ - bytes_loaded_;
    for (auto it = idle.begin(); free < bytes && it != idle.end(); ++it) {
        free += models_.at(it->second).bytes;
        victims.push_back(std::move(it->second));
    }
    // What was chosen before a large one may stay after all, the most missed first.
    for (auto it = victims.rbegin(); it != victims.rend();) {
        const std::int64_t size = models_.at(*it).bytes;
        if (free - size >= bytes) {
            free -= size;
            it = std::reverse_iterator(victims.erase(std::next(it).base()));
        } else {
            ++it;
        }
    }
    return victims;
}

Result<std::vector<std::string>> Residency::admit(
    const std::string& id, std::int64_t bytes, bool pinned, TimePoint now
) {
    FG_ASSERT(bytes >= 0 && !models_.contains(id));
    if (bytes > limit_bytes_) {
        auto error = make_error(
            Errc::kUnsupported, "model " + id + " needs " + std::to_string(bytes) + " bytes, the limit is " +
                                    std::to_string(limit_bytes_)
        );
        return fail(std::move(error).with_disposition(Disposition::kRetry));
    }
    std::vector<std::string> victims = choose_victims(bytes, now);
    std::int64_t free = limit_bytes_ - bytes_loaded_;
    for (const auto& victim : victims) {
        free += models_.at(victim).bytes;
    }
    if (free < bytes) {
        return fail(Errc::kCapacity, "model " + id + " does not fit beside the models in use");
    }
    for (const auto& victim : victims) {
        forget(victim);
    }
    models_.emplace(id, Model{.bytes = bytes, .pinned = pinned, .users = 1, .last_used = now});
    bytes_loaded_ += bytes;
    count_use(id, now);
    return victims;
}

bool Residency::acquire(const std::string& id, TimePoint now) {
    const auto it = models_.find(id);
    if (it == models_.end()) {
        return false;
    }
    ++it->second.users;
    it->second.last_used = now;
    count_use(id, now);
    return true;
}

void Residency::release(const std::string& id, TimePoint now) {
    const auto it = models_.find(id);
    FG_ASSERT(it != models_.end() && it->second.users > 0);
    --it->second.users;
    it->second.last_used = std::max(it->second.last_used, now);
}

void Residency::forget(const std::string& id) {
    if (const auto it = models_.find(id); it != models_.end()) {
        bytes_loaded_ -= it->second.bytes;
        models_.erase(it);
    }
}

std::vector<std::string> Residency::expire(TimePoint now, Duration idle) {
    std::vector<std::string> out;
    for (const auto& [name, model] : models_) {
        if (model.users == 0 && !model.pinned && now - model.last_used >= idle) {
            out.push_back(name);
        }
    }
    for (const auto& name : out) {
        forget(name);
    }
    return out;
}

std::vector<std::string> Residency::loaded() const {
    std::vector<std::string> out;
    for (const auto& [name, model] : models_) {
        out.push_back(name);
    }
    return out;
}

}  // namespace framegrid::engine
