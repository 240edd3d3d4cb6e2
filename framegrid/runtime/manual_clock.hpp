// Virtual time: moves only when told. Unit tests and the simulator run on it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include <framegrid/runtime/clock.hpp>

namespace framegrid {

// Calls are ordered by (time, order of registration), so a run is reproducible.
class ManualClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }
    std::int64_t unix_ms() const override;
    Timer call_at(TimePoint at, std::move_only_function<void()> fn) override;

    // The time of the next pending call, if any.
    bool has_pending() const { return !calls_->empty(); }
    // Moves to the next pending call and makes it. False when none is pending.
    bool step();
    // Moves to `at`, making every call due on the way.
    void advance_to(TimePoint at);
    void advance(Duration duration) { advance_to(now_ + duration); }

  private:
    struct Key {
        TimePoint at;
        std::uint64_t order;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    using Calls = std::map<Key, std::move_only_function<void()>>;
    class Pending;
    TimePoint now_{};
    std::uint64_t order_ = 0;
    std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
};

}  // namespace framegrid
