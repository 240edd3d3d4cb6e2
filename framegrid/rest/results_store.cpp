#include <framegrid/rest/results_store.hpp>

namespace framegrid::rest {

namespace {
constexpr std::size_t kIdBytes = 16;
}  // namespace

std::optional<std::string> ResultsStore::put(const std::string& name, StoredResult result) {
    if (result.bytes.size() > bytes_max_) {
        return std::nullopt;
    }
    while (result.bytes.size() > bytes_max_ - bytes_) {
        drop_oldest();
    }
    std::string id = random_.hex(kIdBytes);
    bytes_ += result.bytes.size();
    order_.push_back({id, name, std::move(result), clock_.now()});
    by_id_[id] = std::prev(order_.end());
    return "/stream/" + id + "/" + name;
}

std::optional<StoredResult> ResultsStore::get(const std::string& id, const std::string& name) const {
    const auto known = by_id_.find(id);
    if (known == by_id_.end() || known->second->name != name) {
        return std::nullopt;
    }
    return known->second->result;
}

void ResultsStore::sweep() {
    const TimePoint now = clock_.now();
    while (!order_.empty() && now - order_.front().stored_at > life_) {
        drop_oldest();
    }
}

void ResultsStore::drop_oldest() {
    FG_ASSERT(!order_.empty());
    bytes_ -= order_.front().result.bytes.size();
    by_id_.erase(order_.front().id);
    order_.pop_front();
}

}  // namespace framegrid::rest
