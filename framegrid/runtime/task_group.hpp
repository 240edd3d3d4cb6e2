// Owns a bounded number of concurrent tasks; nothing is ever detached.
#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include <boost/asio/cancellation_signal.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid {

// Single-threaded: spawn, cancel and join on the group's executor. Destroy only after join().
class TaskGroup {
  public:
    TaskGroup(Executor executor, std::size_t max, Logger log = {});
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    // Starts the task. False when `max` tasks are running or the group is stopping: the task is then dropped.
    // An exception that leaves the task, cancellation excepted, is logged as an error.
    bool spawn(Task<void> task);
    // Cancels every task and refuses new ones.
    void cancel();
    // Cancels nothing: waits until no task is left.
    Task<void> join();
    // cancel() and join() that a cancelled caller waits for, too.
    Task<void> close();
    std::size_t size() const { return state_->running.size(); }
    std::size_t max() const { return max_; }

  private:
    struct State {
        std::list<boost::asio::cancellation_signal> running;
        Notifier done;
        bool stopping = false;
    };
    Executor executor_;
    std::size_t max_;
    Logger log_;
    std::shared_ptr<State> state_;
};

namespace detail {
Task<Result<bool>> uninterrupted(Task<void> task);
}

// Runs `body`, which may spawn into `group`, then closes the group, also when the caller is cancelled:
// whatever the group's tasks refer to in the caller's frame outlives them.
template <class T>
Task<Result<T>> with_group(TaskGroup& group, Task<Result<T>> body) {
    const bool throwing = co_await boost::asio::this_coro::throw_if_cancelled();
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    auto child = std::make_shared<detail::Child<T>>();
    co_await detail::run_child<T>(child, std::move(body));
    co_await group.close();
    co_await boost::asio::this_coro::throw_if_cancelled(throwing);
    co_return std::move(*child->result);
}

// Runs `body`, then `cleanup`, also when the caller is cancelled; `cleanup` itself is not cut short.
template <class T>
Task<Result<T>> with_cleanup(Task<Result<T>> body, Task<void> cleanup) {
    const bool throwing = co_await boost::asio::this_coro::throw_if_cancelled();
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    auto child = std::make_shared<detail::Child<T>>();
    co_await detail::run_child<T>(child, std::move(body));
    auto last = std::make_shared<detail::Child<bool>>();
    co_await detail::run_child<bool>(last, detail::uninterrupted(std::move(cleanup)));
    co_await boost::asio::this_coro::throw_if_cancelled(throwing);
    co_return std::move(*child->result);
}

}  // namespace framegrid
