#include <framegrid/ledger_sqlite/ledger_clock.hpp>

#include <gtest/gtest.h>

namespace framegrid::ledger_sqlite {
namespace {

class SteppingClock final : public Clock {
  public:
    TimePoint now() const override { return TimePoint(std::chrono::milliseconds(monotonic_ms)); }
    std::int64_t unix_ms() const override { return 1'700'000'000'000 + monotonic_ms + step_ms; }
    Timer call_at(TimePoint /*at*/, std::move_only_function<void()> /*fn*/) override { return {}; }
    std::int64_t monotonic_ms = 0;
    std::int64_t step_ms = 0;
};

class LedgerClockTest : public testing::Test {
  protected:
    // Against a clock that never stepped.
    std::int64_t ahead() { return ledger_.unix_ms() - 1'700'000'000'000 - clock_.monotonic_ms; }
    void pass(std::int64_t ms) { clock_.monotonic_ms += ms; }

    SteppingClock clock_;
    LedgerClock ledger_{clock_};
};

TEST_F(LedgerClockTest, GoesWithTheWallClock) {
    for (int i = 0; i < 100; ++i) {
        pass(60'000);
        clock_.step_ms += 30;  // as time servers slew
        EXPECT_EQ(ahead(), clock_.step_ms);
    }
}

TEST_F(LedgerClockTest, AStepThatGoesBackIsNotSeen) {
    pass(1'000);
    for (const std::int64_t step : {3'600'000, -3'600'000, 5'000}) {
        clock_.step_ms = step;
        for (int i = 0; i < 50; ++i) {
            pass(1'000);
            EXPECT_EQ(ahead(), 0) << step;
        }
        clock_.step_ms = 0;
        pass(1'000);
        EXPECT_EQ(ahead(), 0);
    }
}

TEST_F(LedgerClockTest, AStepThatLastsIsFollowed) {
    clock_.step_ms = 3'600'000;
    EXPECT_EQ(ahead(), 0);
    pass(LedgerClock::kStepLastsMs - 1);
    EXPECT_EQ(ahead(), 0);
    pass(1);
    EXPECT_EQ(ahead(), 3'600'000);
    pass(1'000);
    EXPECT_EQ(ahead(), 3'600'000);
}

TEST_F(LedgerClockTest, EachStepHasItsOwnMinute) {
    clock_.step_ms = 3'600'000;
    EXPECT_EQ(ahead(), 0);
    pass(50'000);
    clock_.step_ms = 7'200'000;
    EXPECT_EQ(ahead(), 0);
    pass(50'000);
    EXPECT_EQ(ahead(), 0);
    pass(10'000);
    EXPECT_EQ(ahead(), 7'200'000);
}

}  // namespace
}  // namespace framegrid::ledger_sqlite
