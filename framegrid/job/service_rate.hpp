// How fast a queue empties, from the times at which its jobs ended.
#pragma once

#include <optional>

#include <framegrid/runtime/clock.hpp>

namespace framegrid::job {

// An average over the last ends while there was something to do, newer ones counting more. Not thread-safe.
class ServiceRate {
  public:
    // A job ended; `left` jobs were waiting then.
    void done(TimePoint now, std::size_t left);
    // About how long `jobs` of them take; nullopt before enough has been seen.
    std::optional<Duration> time_for(std::size_t jobs) const;

  private:
    static constexpr int kSeenMin = 3;
    std::optional<TimePoint> last_;  // the last end after which others waited
    double mean_ns_ = 0;             // between two ends
    int seen_ = 0;
};

}  // namespace framegrid::job
