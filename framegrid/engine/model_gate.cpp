#include <framegrid/engine/model_gate.hpp>

#include <algorithm>

#include <framegrid/engine/stop_period.hpp>

namespace framegrid::engine {

// The first in line, or somebody new while nobody has waited for long.
bool ModelGate::may_try(std::uint64_t place) const {
    if (waiters_.empty() || waiters_.front().place == place) {
        return true;
    }
    const bool is_new = std::ranges::find(waiters_, place, &Waiter::place) == waiters_.end();
    return is_new && now_() - waiters_.front().since < kPatience;
}

void ModelGate::leave(std::uint64_t place) {
    std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.place == place; });
    wake_.notify_all();
}

Result<ModelGate::Lease> ModelGate::acquire(
    const std::string& pipeline, const std::string& model_id, const api::StopFlag& stop
) {
    std::unique_lock lock(mutex_);
    const std::uint64_t place = ++last_;
    while (true) {
        if (may_try(place)) {
            lock.unlock();
            auto lease = models_.acquire(pipeline, model_id);  // may take seconds
            lock.lock();
            if (lease || lease.error().code != Errc::kCapacity) {
                leave(place);
                if (!lease) {
                    return fail(std::move(lease.error()));
                }
                return Lease(*this, std::move(*lease));
            }
        }
        if (stop.load(std::memory_order_relaxed)) {
            leave(place);
            return fail(Errc::kCancelled, "the work was stopped while it waited for its model");
        }
        if (std::ranges::find(waiters_, place, &Waiter::place) == waiters_.end()) {
            waiters_.push_back({place, now_()});
        }
        wake_.wait_for(lock, kStopPeriod);
    }
}

}  // namespace framegrid::engine
