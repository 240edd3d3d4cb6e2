#include <framegrid/runtime/async.hpp>

#include <algorithm>

#include <boost/asio/append.hpp>
#include <boost/asio/error.hpp>

namespace framegrid {

namespace asio = boost::asio;

void OneShot::fire() const {
    state_->fired = true;
    if (auto waiter = std::exchange(state_->waiter, nullptr)) {
        waiter({});
    }
}

Task<void> OneShot::wait() const {
    const auto state = state_;
    const Executor executor = co_await this_executor();
    if (state->fired) {
        co_return;
    }
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(
        [&](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            FG_ASSERT(!state->waiter);
            state->waiter = [executor, slot,
                             handler = std::move(handler)](boost::system::error_code code) mutable {
                if (slot.is_connected()) {
                    slot.clear();
                }
                asio::post(executor, asio::append(std::move(handler), code));
            };
            if (slot.is_connected()) {
                // The signal's owner keeps the slot alive while the operation is pending; the state does not
                // own it.
                slot.assign([weak = std::weak_ptr<State>(state)](asio::cancellation_type) {
                    const auto locked = weak.lock();
                    if (!locked) {
                        return;
                    }
                    if (auto waiter = std::exchange(locked->waiter, nullptr)) {
                        waiter(asio::error::operation_aborted);
                    }
                });
            }
        },
        asio::use_awaitable
    );
}

void Notifier::notify_all() {
    const auto waiters = std::exchange(waiters_, {});
    for (const auto& waiter : waiters) {
        if (auto state = waiter.lock()) {
            OneShot(std::move(state)).fire();
        }
    }
}

void Notifier::add(const OneShot& shot) {
    if (waiters_.size() >= sweep_at_) {
        std::erase_if(waiters_, [](const auto& waiter) { return waiter.expired(); });
        sweep_at_ = std::max<std::size_t>(16, waiters_.size() * 2);
    }
    waiters_.push_back(shot.state_);
}

Task<void> Notifier::wait() {
    const OneShot shot;
    add(shot);
    co_await shot.wait();
}

Task<bool> Notifier::wait_until(Clock& clock, TimePoint at) {
    const OneShot shot;
    add(shot);
    const bool notified = co_await shot.wait_until(clock, at);
    co_return notified;
}

Task<bool> OneShot::wait_until(Clock& clock, TimePoint at) const {
    const auto state = state_;
    bool late = false;
    const Timer timer = clock.call_at(at, [state, &late] {
        if (!state->fired) {
            late = true;
            if (auto waiter = std::exchange(state->waiter, nullptr)) {
                waiter({});
            }
        }
    });
    co_await wait();
    co_return !late;
}

Task<void> sleep_until(Clock& clock, TimePoint at) {
    const OneShot shot;
    const Timer timer = clock.call_at(at, [shot] { shot.fire(); });
    co_await shot.wait();
}

Task<void> sleep_for(Clock& clock, Duration duration) {
    co_await sleep_until(clock, clock.now() + duration);
}

Error error_from(std::exception_ptr exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const boost::system::system_error& e) {
        if (e.code() == asio::error::operation_aborted) {
            return make_error(Errc::kCancelled, "cancelled");
        }
        return make_error(Errc::kInternal, e.what());
    } catch (const std::exception& e) {
        return make_error(Errc::kInternal, e.what());
    } catch (...) {
        return make_error(Errc::kInternal, "unknown exception");
    }
}

}  // namespace framegrid
