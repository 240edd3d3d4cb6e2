// A count of what is under way, right also when it unwinds.
#pragma once

#include <cstddef>

namespace framegrid {

// Counts one in `count`, which outlives it, as long as it lives. Not thread-safe.
class Counted {
  public:
    explicit Counted(std::size_t& count) : count_(count) { ++count_; }
    ~Counted() { --count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    std::size_t& count_;
};

}  // namespace framegrid
