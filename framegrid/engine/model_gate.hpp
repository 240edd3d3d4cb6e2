// Jobs that wait until there is room for their model beside those in use.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <framegrid/engine/model_source.hpp>

namespace framegrid::engine {

// Thread-safe, as `models` must be. Outlives its leases.
class ModelGate {
  public:
    // Tells the gate when it ends: somebody may wait for the room.
    class Lease {
      public:
        Lease() = default;
        Lease(ModelGate& gate, std::unique_ptr<ModelLease> lease) : gate_(&gate), lease_(std::move(lease)) {}
        Lease(Lease&&) noexcept = default;
        Lease& operator=(Lease&&) = delete;
        ~Lease() {
            if (lease_ != nullptr) {
                lease_.reset();
                gate_->wake_.notify_all();
            }
        }
        ModelLease& operator*() const { return *lease_; }
        ModelLease* operator->() const { return lease_.get(); }

      private:
        ModelGate* gate_ = nullptr;
        std::unique_ptr<ModelLease> lease_;
    };

    // `now`: a monotonic clock, for any thread.
    ModelGate(ModelSource& models, std::function<TimePoint()> now) : models_(models), now_(std::move(now)) {}

    // Blocking. Others may overtake whoever waits, but for at most kPatience: then all queue up behind.
    // Errors as of ModelSource::acquire(), but for kCapacity; kCancelled: `stop` was set.
    Result<Lease> acquire(
        const std::string& pipeline, const std::string& model_id, const api::StopFlag& stop
    );

  private:
    static constexpr Duration kPatience = std::chrono::milliseconds(500);

    struct Waiter {
        std::uint64_t place = 0;
        TimePoint since{};
    };
    bool may_try(std::uint64_t place) const;
    void leave(std::uint64_t place);

    ModelSource& models_;
    std::function<TimePoint()> now_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Waiter> waiters_;  // the longest-waiting first
    std::uint64_t last_ = 0;
};

}  // namespace framegrid::engine
