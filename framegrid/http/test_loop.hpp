// For tests: a real clock and a loop that runs one coroutine to its end.
#pragma once

#include <chrono>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::http {

class SteadyClock final : public Clock {
  public:
    explicit SteadyClock(boost::asio::io_context& loop) : loop_(loop) {}
    TimePoint now() const override {
        return TimePoint(
            std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
        );
    }
    std::int64_t unix_ms() const override {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch()
        )
            .count();
    }
    Timer call_at(TimePoint at, std::move_only_function<void()> fn) override {
        return Timer(std::make_unique<Pending>(loop_, at, std::move(fn)));
    }

  private:
    class Pending final : public Timer::Pending {
      public:
        Pending(boost::asio::io_context& loop, TimePoint at, std::move_only_function<void()> fn)
            : timer_(loop), fn_(std::make_shared<std::move_only_function<void()>>(std::move(fn))) {
            timer_.expires_at(std::chrono::steady_clock::time_point(
                std::chrono::duration_cast<std::chrono::steady_clock::duration>(at.time_since_epoch())
            ));
            timer_.async_wait([weak = std::weak_ptr(fn_)](boost::system::error_code code) {
                if (const auto locked = weak.lock(); locked && !code) {
                    (*locked)();
                }
            });
        }

      private:
        boost::asio::steady_timer timer_;
        std::shared_ptr<std::move_only_function<void()>> fn_;
    };
    boost::asio::io_context& loop_;
};

}  // namespace framegrid::http
