// Results that clients fetch by URL soon after they were made: in memory, bounded in bytes and time, oldest
// out first.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::rest {

struct StoredResult {
    std::string content_type;
    Blob bytes;
};

class ResultsStore {
  public:
    ResultsStore(std::size_t bytes_max, Duration life, Clock& clock, Random& random)
        : bytes_max_(bytes_max), life_(life), clock_(clock), random_(random) {}

    // Returns the path "/stream/{128 random bits}/{name}". nullopt: larger than the whole store.
    std::optional<std::string> put(const std::string& name, StoredResult result);
    std::optional<StoredResult> get(const std::string& id, const std::string& name) const;
    // Drops what is too old.
    void sweep();
    std::size_t bytes() const { return bytes_; }
    std::size_t size() const { return order_.size(); }

  private:
    struct File {
        std::string id;
        std::string name;
        StoredResult result;
        TimePoint stored_at{};
    };
    void drop_oldest();

    std::size_t bytes_max_;
    Duration life_;
    Clock& clock_;
    Random& random_;
    std::size_t bytes_ = 0;
    std::list<File> order_;  // oldest first
    std::unordered_map<std::string, std::list<File>::iterator> by_id_;
};

}  // namespace framegrid::rest
