#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid {

namespace {
constexpr std::int64_t kEpochMs =
    1'700'000'000'000;  // an arbitrary wall time, so that expiry dates look real
}

class ManualClock::Pending final : public Timer::Pending {
  public:
    Pending(std::weak_ptr<Calls> calls, Key key) : calls_(std::move(calls)), key_(key) {}
    ~Pending() override {
        if (const auto calls = calls_.lock()) {
            calls->erase(key_);
        }
    }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

  private:
    std::weak_ptr<Calls> calls_;
    Key key_;
};

std::int64_t ManualClock::unix_ms() const {
    return kEpochMs + milliseconds(now_.time_since_epoch());
}

Timer ManualClock::call_at(TimePoint at, std::move_only_function<void()> fn) {
    const Key key{std::max(at, now_), order_++};
    calls_->emplace(key, std::move(fn));
    return Timer(std::make_unique<Pending>(calls_, key));
}

bool ManualClock::step() {
    if (calls_->empty()) {
        return false;
    }
    auto node = calls_->extract(calls_->begin());
    now_ = node.key().at;
    node.mapped()();
    return true;
}

void ManualClock::advance_to(TimePoint at) {
    while (!calls_->empty() && calls_->begin()->first.at <= at) {
        step();
    }
    now_ = std::max(now_, at);
}

}  // namespace framegrid
