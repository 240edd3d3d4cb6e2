// Ports for time: monotonic time for deadlines, wall time for what peers and people read.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace framegrid {

using Duration = std::chrono::nanoseconds;

// Whole milliseconds, cut off: for JSON, logs and the store.
constexpr std::int64_t milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// Tag of the monotonic time line that a Clock reads; it has no now() of its own, so nobody can bypass the
// port.
struct MonotonicTime {
    using duration = Duration;
    using rep = Duration::rep;
    using period = Duration::period;
    using time_point = std::chrono::time_point<MonotonicTime, Duration>;
    static constexpr bool is_steady = true;
};
using TimePoint = MonotonicTime::time_point;

// A pending call; destroying it cancels the call. Must be destroyed on the clock's executor.
class Timer {
  public:
    class Pending {
      public:
        virtual ~Pending() = default;
    };
    Timer() = default;
    explicit Timer(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}
    void cancel() { pending_.reset(); }

  private:
    std::unique_ptr<Pending> pending_;
};

class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
    // Milliseconds since 1970-01-01 UTC.
    virtual std::int64_t unix_ms() const = 0;
    // Calls `fn` once on the clock's executor, at `at` or as soon as possible afterwards.
    virtual Timer call_at(TimePoint at, std::move_only_function<void()> fn) = 0;
};

// The point in time after which nobody wants the answer any more. Crosses process borders as a remaining
// duration.
struct Deadline {
    TimePoint at;

    static Deadline after(const Clock& clock, Duration duration) { return {clock.now() + duration}; }
    Duration left(const Clock& clock) const { return std::max(Duration::zero(), at - clock.now()); }
    bool passed(const Clock& clock) const { return clock.now() >= at; }
    // The earlier of this deadline and `duration` from now.
    Deadline at_most(const Clock& clock, Duration duration) const {
        return {std::min(at, clock.now() + duration)};
    }
    friend auto operator<=>(const Deadline&, const Deadline&) = default;
};

}  // namespace framegrid
