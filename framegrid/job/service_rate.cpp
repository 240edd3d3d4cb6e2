#include <framegrid/job/service_rate.hpp>

#include <algorithm>

namespace framegrid::job {

void ServiceRate::done(TimePoint now, std::size_t left) {
    if (last_) {
        constexpr int kSpan = 50;  // about so many ends are remembered
        const auto took = static_cast<double>((now - *last_).count());
        seen_ = std::min(seen_ + 1, kSpan);
        mean_ns_ += (took - mean_ns_) / seen_;
    }
    // With nobody waiting the time until the next end says nothing about the speed.
    last_ = left > 0 ? std::optional(now) : std::nullopt;
}

std::optional<Duration> ServiceRate::time_for(std::size_t jobs) const {
    if (seen_ < kSeenMin) {
        return std::nullopt;
    }
    return Duration(static_cast<Duration::rep>(mean_ns_ * static_cast<double>(jobs)));
}

}  // namespace framegrid::job
