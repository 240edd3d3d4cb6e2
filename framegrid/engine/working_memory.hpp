// What the jobs of one process may hold at once beside their models: pictures, frames, encoders.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

// Thread-safe. Outlives its shares.
class WorkingMemory {
  public:
    // Given back when it is destroyed.
    class Share {
      public:
        Share() = default;
        Share(WorkingMemory& memory, std::int64_t bytes) : memory_(&memory), bytes_(bytes) {}
        Share(Share&& other) noexcept
            : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
        Share& operator=(Share&& other) noexcept {
            std::swap(memory_, other.memory_);
            std::swap(bytes_, other.bytes_);
            return *this;
        }
        ~Share() {
            if (memory_ != nullptr) {
                memory_->give_back(bytes_);
            }
        }

      private:
        WorkingMemory* memory_ = nullptr;
        std::int64_t bytes_ = 0;
    };

    explicit WorkingMemory(std::int64_t limit_bytes) : limit_(limit_bytes) {}

    // Waits until there is room, in the order of the calls; who wants more than the limit waits until nobody
    // else holds anything. A job takes one share, once it knows what it needs. kCancelled: `stop` was set.
    Result<Share> take(std::int64_t bytes, const api::StopFlag& stop);
    std::int64_t used() const;

  private:
    void give_back(std::int64_t bytes);

    std::int64_t limit_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::uint64_t> waiting_;  // the next one first
    std::uint64_t last_ = 0;
    std::int64_t used_ = 0;
};

}  // namespace framegrid::engine
