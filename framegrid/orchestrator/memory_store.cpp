#include <framegrid/orchestrator/memory_store.hpp>

namespace framegrid::orchestrator {

void MemoryStore::put(std::string path, Blob bytes) {
    if (const auto known = by_path_.find(path); known != by_path_.end()) {
        erase(known->second);
    }
    bytes_ += bytes.size();
    order_.push_back({path, std::move(bytes)});
    by_path_[std::move(path)] = std::prev(order_.end());
    while (bytes_ > bytes_max_ && order_.size() > 1) {
        erase(order_.begin());
    }
}

std::optional<Blob> MemoryStore::get(std::string_view path) const {
    const auto known = by_path_.find(std::string(path));
    return known == by_path_.end() ? std::nullopt : std::optional(known->second->bytes);
}

void MemoryStore::erase_prefix(std::string_view prefix) {
    for (auto it = order_.begin(); it != order_.end();) {
        const auto next = std::next(it);
        if (it->path.starts_with(prefix)) {
            erase(it);
        }
        it = next;
    }
}

void MemoryStore::erase(std::list<File>::iterator file) {
    bytes_ -= file->bytes.size();
    by_path_.erase(file->path);
    order_.erase(file);
}

}  // namespace framegrid::orchestrator
