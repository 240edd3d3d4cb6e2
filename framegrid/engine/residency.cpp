#include <framegrid/engine/residency.hpp>

#include <algorithm>

namespace framegrid::engine {

Result<std::vector<std::string>> Residency::admit(
    const std::string& id, std::int64_t bytes, bool pinned, TimePoint now
) {
    FG_ASSERT(bytes >= 0 && !models_.contains(id));
    std::vector<std::string> victims;
    if (bytes > limit_bytes_) {
        return fail(
            Errc::kCapacity, "model " + id + " needs " + std::to_string(bytes) + " bytes, the limit is " +
                                 std::to_string(limit_bytes_)
        );
    }
    std::vector<std::pair<TimePoint, std::string>> idle;
    for (const auto& [name, model] : models_) {
        if (model.users == 0 && !model.pinned) {
            idle.emplace_back(model.last_used, name);
        }
    }
    std::ranges::sort(idle);
    std::int64_t free = limit_bytes_ - bytes_loaded_;
    for (auto it = idle.begin(); free < bytes && it != idle.end(); ++it) {
        free += models_.at(it->second).bytes;
        victims.push_back(std::move(it->second));
    }
    if (free < bytes) {
        return fail(Errc::kCapacity, "model " + id + " does not fit beside the models in use");
    }
    for (const auto& victim : victims) {
        forget(victim);
    }
    models_.emplace(id, Model{.bytes = bytes, .pinned = pinned, .users = 1, .last_used = now});
    bytes_loaded_ += bytes;
    return victims;
}

bool Residency::acquire(const std::string& id, TimePoint now) {
    const auto it = models_.find(id);
    if (it == models_.end()) {
        return false;
    }
    ++it->second.users;
    it->second.last_used = now;
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
