#include <sim/scheduler.hpp>

namespace framegrid::sim {

namespace {
// More handlers than any honest run needs at one instant.
constexpr std::uint64_t kHandlersPerInstantMax = 20'000'000;
}  // namespace

Scheduler::Scheduler() : work_(loop_.get_executor()) {}

void Scheduler::at(TimePoint at, std::move_only_function<void()> fn) {
    struct Event {
        std::move_only_function<void()> fn;
        Timer timer;
    };
    auto event = std::make_shared<Event>(Event{std::move(fn), {}});
    Event& pending = *event;
    pending.timer = clock_.call_at(at, [event = std::move(event)] { event->fn(); });
}

bool Scheduler::drain() {
    std::uint64_t handlers = 0;
    while (loop_.poll_one() > 0) {
        if (++handlers > kHandlersPerInstantMax) {
            return false;
        }
    }
    steps_ += handlers;
    return true;
}

Scheduler::Outcome Scheduler::run_until(TimePoint limit, const std::function<bool()>& done) {
    for (;;) {
        if (!drain()) {
            return Outcome::kLivelock;
        }
        if (done()) {
            return Outcome::kDone;
        }
        if (now() >= limit) {
            return Outcome::kLimit;
        }
        if (!clock_.step()) {
            return Outcome::kIdle;
        }
        ++steps_;
    }
}

}  // namespace framegrid::sim
