#include <framegrid/orchestrator/memory_store.hpp>

namespace framegrid::orchestrator {

namespace {
constexpr std::size_t kFileOverhead = 256;  // list and map nodes, the path twice, allocator slack
}

std::size_t MemoryStore::cost(const File& file) {
    return file.bytes.size() + file.path.size() + kFileOverhead;
}

void MemoryStore::put(std::string path, Blob bytes) {
    if (const auto known = by_path_.find(path); known != by_path_.end()) {
        erase(known->second);
    }
    order_.push_back({path, std::move(bytes)});
    bytes_ += cost(order_.back());
    by_path_[std::move(path)] = std::prev(order_.end());
    while (bytes_ > bytes_max_ && order_.size() > 1) {
        erase(order_.begin());
    }
}

std::optional<Blob> MemoryStore::get(std::string_view path) const {
    const auto known = by_path_.find(path);
    return known == by_path_.end() ? std::nullopt : std::optional(known->second->bytes);
}

void MemoryStore::erase_prefix(std::string_view prefix) {
    auto it = by_path_.lower_bound(prefix);
    while (it != by_path_.end() && it->first.starts_with(prefix)) {
        const auto file = it->second;
        ++it;
        erase(file);
    }
}

void MemoryStore::erase(std::list<File>::iterator file) {
    bytes_ -= cost(*file);
    by_path_.erase(file->path);
    order_.erase(file);
}

}  // namespace framegrid::orchestrator
