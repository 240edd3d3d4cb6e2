// How much the gateway takes on at once: bytes of bodies in memory, and the reading of one body within that.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <framegrid/base/bytes.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::rest {

// Counts bytes of request and result bodies. Single-threaded.
class MemoryBudget {
  public:
    explicit MemoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}
    bool has_room(std::size_t bytes) const { return bytes <= bytes_max_ - std::min(used_, bytes_max_); }
    std::size_t used() const { return used_; }
    std::size_t bytes_max() const { return bytes_max_; }

  private:
    friend class MemoryLease;
    std::size_t bytes_max_;
    std::size_t used_ = 0;
};

// What one request holds of the budget; given back when it goes.
class MemoryLease {
  public:
    explicit MemoryLease(MemoryBudget& budget) : budget_(&budget) {}
    ~MemoryLease() { budget_->used_ -= bytes_; }
    MemoryLease(const MemoryLease&) = delete;
    MemoryLease& operator=(const MemoryLease&) = delete;

    bool has_room(std::size_t bytes) const { return budget_->has_room(bytes); }
    // Counts bytes that exist already, also beyond the limit: then nothing new is admitted.
    void hold(std::size_t bytes) {
        bytes_ += bytes;
        budget_->used_ += bytes;
    }
    std::size_t bytes() const { return bytes_; }

  private:
    MemoryBudget* budget_;
    std::size_t bytes_ = 0;
};

// The whole request body. kTooLarge over `limit`, before reading when content-length says so; kCapacity when
// the budget has no room; kDeadline when it takes too long (the server bounds the silence between two
// pieces). The references live as long as the exchange.
Task<Result<Blob>> read_body(
    http::Exchange& exchange, MemoryLease& memory, std::size_t limit, Clock& clock, Deadline deadline
);

}  // namespace framegrid::rest
