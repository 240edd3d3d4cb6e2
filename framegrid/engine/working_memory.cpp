#include <framegrid/engine/working_memory.hpp>

#include <algorithm>

#include <framegrid/engine/stop_period.hpp>

namespace framegrid::engine {

Result<WorkingMemory::Share> WorkingMemory::take(std::int64_t bytes, const api::StopFlag& stop) {
    std::unique_lock lock(mutex_);
    const std::uint64_t place = ++last_;
    waiting_.push_back(place);
    const auto fits = [&] { return used_ == 0 || bytes <= limit_ - used_; };
    while (waiting_.front() != place || !fits()) {
        if (stop.load(std::memory_order_relaxed)) {
            std::erase(waiting_, place);
            wake_.notify_all();
            return fail(Errc::kCancelled, "the work was stopped while it waited for memory");
        }
        wake_.wait_for(lock, kStopPeriod);
    }
    waiting_.pop_front();
    used_ += bytes;
    wake_.notify_all();
    return Share(*this, bytes);
}

std::int64_t WorkingMemory::used() const {
    const std::scoped_lock lock(mutex_);
    return used_;
}

void WorkingMemory::give_back(std::int64_t bytes) {
    const std::scoped_lock lock(mutex_);
    used_ -= bytes;
    wake_.notify_all();
}

}  // namespace framegrid::engine
