// Wall time for rounds and blocks, which a step of the machine's clock must not end at once.
#pragma once

#include <cstdint>
#include <optional>

#include <framegrid/runtime/clock.hpp>

namespace framegrid::ledger_sqlite {

// A ticket whose round is over is worth nothing: a clock that jumps ahead for a moment would throw good ones
// away. So time goes on as the monotonic clock says until a step has lasted for a minute (a clock that was
// corrected, a machine that slept). One executor.
class LedgerClock {
  public:
    static constexpr std::int64_t kSlewMs = 2'000;  // smaller differences are followed at once
    static constexpr std::int64_t kStepLastsMs = 60'000;

    explicit LedgerClock(Clock& clock) : clock_(clock), wall_ms_(clock.unix_ms()), at_ms_(monotonic_ms()) {}
    std::int64_t unix_ms();

  private:
    struct Step {
        std::int64_t ms = 0;
        std::int64_t since_ms = 0;
    };
    std::int64_t monotonic_ms() const { return milliseconds(clock_.now().time_since_epoch()); }

    Clock& clock_;
    std::int64_t wall_ms_;  // at `at_ms_` of the monotonic clock
    std::int64_t at_ms_;
    std::optional<Step> step_;
};

}  // namespace framegrid::ledger_sqlite
