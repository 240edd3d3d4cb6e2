// Virtual time for a whole network in one thread: runs what is ready, then moves the clock to the next event.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::sim {

class Scheduler {
  public:
    Scheduler();

    ManualClock& clock() { return clock_; }
    TimePoint now() const { return clock_.now(); }
    Executor executor() { return loop_.get_executor(); }

    // Calls `fn` at a point of virtual time, outside of every coroutine.
    void at(TimePoint at, std::move_only_function<void()> fn);
    void after(Duration delay, std::move_only_function<void()> fn) { at(now() + delay, std::move(fn)); }

    // Runs everything that is ready now. False when it never ends: something runs in circles without time
    // passing.
    [[nodiscard]] bool drain();

    enum class Outcome : std::uint8_t { kDone, kLimit, kIdle, kLivelock };
    // Runs until `done` says so, virtual time reaches `limit`, or nothing is left that could happen.
    Outcome run_until(TimePoint limit, const std::function<bool()>& done);

    std::uint64_t steps() const { return steps_; }

  private:
    // One thread, so that Asio's locks and wake-ups are left out.
    boost::asio::io_context loop_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    ManualClock clock_;
    std::uint64_t steps_ = 0;  // handlers and timed events run
};

}  // namespace framegrid::sim
