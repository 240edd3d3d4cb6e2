// Files that peers fetch by URL soon after they were made: bounded in bytes, oldest out first.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>

namespace framegrid::orchestrator {

class MemoryStore {
  public:
    explicit MemoryStore(std::size_t bytes_max) : bytes_max_(bytes_max) {}
    // Replaces what was stored under the path. A file larger than the whole store is kept alone. Each file
    // counts with its path and a fixed overhead, so that many tiny files are bounded as well.
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
    static std::size_t cost(const File& file);
    void erase(std::list<File>::iterator file);

    std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::list<File> order_;                                                  // oldest first
    std::map<std::string, std::list<File>::iterator, std::less<>> by_path_;  // ordered: prefixes are ranges
};

}  // namespace framegrid::orchestrator
