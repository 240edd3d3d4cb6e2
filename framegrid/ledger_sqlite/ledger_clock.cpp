#include <framegrid/ledger_sqlite/ledger_clock.hpp>

#include <cstdlib>

namespace framegrid::ledger_sqlite {

std::int64_t LedgerClock::unix_ms() {
    const std::int64_t now_ms = monotonic_ms();
    const std::int64_t expected = wall_ms_ + now_ms - at_ms_;
    const std::int64_t step = clock_.unix_ms() - expected;
    const bool is_old = step_ && std::abs(step - step_->ms) <= kSlewMs;
    if (std::abs(step) > kSlewMs && !is_old) {
        step_ = Step{step, now_ms};
        return expected;
    }
    if (std::abs(step) > kSlewMs && now_ms - step_->since_ms < kStepLastsMs) {
        return expected;
    }
    step_.reset();
    wall_ms_ = expected + step;
    at_ms_ = now_ms;
    return wall_ms_;
}

}  // namespace framegrid::ledger_sqlite
