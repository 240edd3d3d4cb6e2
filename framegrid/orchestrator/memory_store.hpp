// Files that peers fetch by URL soon after they were made: bounded in bytes, oldest out first.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <framegrid/base/bytes.hpp>

namespace framegrid::orchestrator {

class MemoryStore {
  public:
    explicit MemoryStore(std::size_t bytes_max) : bytes_max_(bytes_max) {}
    // Replaces what was stored under the path. A file larger than the whole store is kept alone.
    void put(std::string path, Blob bytes);
    std::optional<Blob> get(std::string_view path) const;
    void erase_prefix(std::string_view prefix);
    std::size_t bytes() const { return bytes_; }
    std::size_t files() const { return order_.size(); }

  private:
    struct File {
        std::string path;
        Blob bytes;
    };
    void erase(std::list<File>::iterator file);

    std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::list<File> order_;  // oldest first
    std::unordered_map<std::string, std::list<File>::iterator> by_path_;
};

}  // namespace framegrid::orchestrator
