// Structured waiting: one-shot events, sleeping, deadlines, fan-out. Single-threaded: all parties share one
// executor (a strand or a one-thread loop); only Offload crosses threads.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <framegrid/base/result.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid {

// Wakes one waiter, once. Firing before the wait is remembered. Copies share the state.
class OneShot {
  public:
    OneShot() : state_(std::make_shared<State>()) {}
    void fire() const;
    bool fired() const { return state_->fired; }
    // Completes when fired; cancellation unwinds.
    Task<void> wait() const;
    // Completes when fired (true) or at that time (false). Cheaper than with_deadline around wait().
    Task<bool> wait_until(Clock& clock, TimePoint at) const;

  private:
    friend class Notifier;
    struct State {
        bool fired = false;
        std::move_only_function<void(boost::system::error_code)> waiter;
    };
    explicit OneShot(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

// Wakes everybody who waits now; keeps no memory of past notifications.
class Notifier {
  public:
    void notify_all();
    Task<void> wait();
    // True when notified, false when the time came first.
    Task<bool> wait_until(Clock& clock, TimePoint at);

  private:
    void add(const OneShot& shot);
    // Weak, so that a cancelled waiter leaves nothing behind but an entry that the next sweep drops.
    std::vector<std::weak_ptr<OneShot::State>> waiters_;
    std::size_t sweep_at_ = 16;
};

Task<void> sleep_until(Clock& clock, TimePoint at);
Task<void> sleep_for(Clock& clock, Duration duration);

// What an exception that left a Task means as a value: operation_aborted is kCancelled, anything else
// kInternal.
Error error_from(std::exception_ptr exception);

namespace detail {

template <class T>
struct Child {
    boost::asio::cancellation_signal signal;
    std::optional<Result<T>> result;
    bool timed_out = false;
    std::move_only_function<void()> resume;
};

// Runs `work` as a child and suspends the caller until it has finished, whatever happens: the caller's frame,
// which the child may refer to, outlives the child. A cancelled caller cancels the child and still waits for
// it.
template <class T>
Task<void> run_child(std::shared_ptr<Child<T>> child, Task<Result<T>> work) {
    const Executor executor = co_await this_executor();
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [&](auto handler) {
            auto slot = boost::asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected()) {
                slot.assign([child](boost::asio::cancellation_type type) { child->signal.emit(type); });
            }
            child->resume = [executor, slot, handler = std::move(handler)]() mutable {
                if (slot.is_connected()) {
                    slot.clear();
                }
                boost::asio::post(executor, std::move(handler));
            };
            boost::asio::co_spawn(
                executor, std::move(work),
                boost::asio::bind_cancellation_slot(
                    child->signal.slot(),
                    [child](std::exception_ptr exception, Result<T> result) {
                        if (exception) {
                            child->result.emplace(std::unexpected(error_from(exception)));
                        } else {
                            child->result.emplace(std::move(result));
                        }
                        std::exchange(child->resume, nullptr)();
                    }
                )
            );
        },
        boost::asio::use_awaitable
    );
}

// Unwinds a coroutine that was cancelled while it waited for children: their results are nobody's then.
inline void unwind_if_cancelled(bool throwing, const boost::asio::cancellation_state& state) {
    if (throwing && state.cancelled() != boost::asio::cancellation_type::none) {
        throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
}

}  // namespace detail

// Runs `work` until it finishes or the deadline passes; then cancels it, waits for it to unwind and returns
// kDeadline. T must be default constructible.
template <class T>
Task<Result<T>> with_deadline(Clock& clock, Deadline deadline, Task<Result<T>> work) {
    auto child = std::make_shared<detail::Child<T>>();
    const Timer timer = clock.call_at(deadline.at, [child] {
        if (!child->result) {
            child->timed_out = true;
            child->signal.emit(boost::asio::cancellation_type::terminal);
        }
    });
    co_await detail::run_child<T>(child, std::move(work));
    const bool throwing = co_await boost::asio::this_coro::throw_if_cancelled();
    detail::unwind_if_cancelled(throwing, co_await boost::asio::this_coro::cancellation_state);
    if (child->timed_out && !child->result->has_value()) {
        co_return fail(Errc::kDeadline, "the deadline passed");
    }
    co_return std::move(*child->result);
}

// Lets somebody else end a piece of work. Single-threaded; outlives what it runs.
class Canceller {
  public:
    // The work unwinds soon; work that starts later does not begin.
    void cancel() {
        cancelled_ = true;
        if (emit_) {
            emit_();
        }
    }
    bool cancelled() const { return cancelled_; }
    // One piece at a time. kCancelled when cancel() came first.
    template <class T>
    Task<Result<T>> run(Task<Result<T>> work) {
        if (cancelled_) {
            co_return fail(Errc::kCancelled, "cancelled");
        }
        auto child = std::make_shared<detail::Child<T>>();
        emit_ = [weak = std::weak_ptr(child)] {
            if (const auto running = weak.lock(); running && !running->result) {
                running->signal.emit(boost::asio::cancellation_type::terminal);
            }
        };
        co_await detail::run_child<T>(child, std::move(work));
        emit_ = nullptr;
        const bool throwing = co_await boost::asio::this_coro::throw_if_cancelled();
        detail::unwind_if_cancelled(throwing, co_await boost::asio::this_coro::cancellation_state);
        co_return std::move(*child->result);
    }

  private:
    bool cancelled_ = false;
    std::function<void()> emit_;
};

// Runs all tasks concurrently and returns their results in order.
template <class T>
Task<std::vector<Result<T>>> all_of(std::vector<Task<Result<T>>> tasks) {
    const Executor executor = co_await this_executor();
    struct Shared {
        std::vector<std::shared_ptr<detail::Child<T>>> children;
        std::size_t left = 0;
        std::move_only_function<void()> resume;
    };
    auto shared = std::make_shared<Shared>();
    shared->left = tasks.size();
    if (!tasks.empty()) {
        co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
            [&](auto handler) {
                auto slot = boost::asio::get_associated_cancellation_slot(handler);
                if (slot.is_connected()) {
                    slot.assign([shared](boost::asio::cancellation_type type) {
                        const auto children = shared->children;
                        for (const auto& child : children) {
                            child->signal.emit(type);
                        }
                    });
                }
                shared->resume = [executor, slot, handler = std::move(handler)]() mutable {
                    if (slot.is_connected()) {
                        slot.clear();
                    }
                    boost::asio::post(executor, std::move(handler));
                };
                for (std::size_t i = 0; i < tasks.size(); ++i) {
                    shared->children.push_back(std::make_shared<detail::Child<T>>());
                }
                for (std::size_t i = 0; i < tasks.size(); ++i) {
                    auto child = shared->children[i];
                    boost::asio::co_spawn(
                        executor, std::move(tasks[i]),
                        boost::asio::bind_cancellation_slot(
                            child->signal.slot(),
                            [shared, child](std::exception_ptr exception, Result<T> result) {
                                if (exception) {
                                    child->result.emplace(std::unexpected(error_from(exception)));
                                } else {
                                    child->result.emplace(std::move(result));
                                }
                                if (--shared->left == 0) {
                                    std::exchange(shared->resume, nullptr)();
                                }
                            }
                        )
                    );
                }
            },
            boost::asio::use_awaitable
        );
    }
    const bool throwing = co_await boost::asio::this_coro::throw_if_cancelled();
    detail::unwind_if_cancelled(throwing, co_await boost::asio::this_coro::cancellation_state);
    std::vector<Result<T>> results;
    results.reserve(shared->children.size());
    for (auto& child : shared->children) {
        results.push_back(std::move(*child->result));
    }
    co_return results;
}

}  // namespace framegrid
