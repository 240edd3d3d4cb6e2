// The coroutines of one simulated process: each can be cancelled alone, all of them when it crashes.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>

#include <boost/asio/cancellation_signal.hpp>

#include <framegrid/runtime/task.hpp>

namespace framegrid::sim {

// Cancel only from timed events, never from inside a coroutine of the set. Must be empty before what its
// tasks refer to goes.
class TaskSet {
  public:
    using Id = std::uint64_t;  // never used twice
    // `on_exception` hears of exceptions that leave a task, cancellation excepted.
    TaskSet(Executor executor, std::function<void(std::exception_ptr)> on_exception);

    Id spawn(Task<void> task);
    // Nothing happens when the task has ended.
    void cancel(Id id);
    void cancel_all();
    std::size_t size() const { return state_->running.size(); }
    std::size_t size_max() const { return state_->size_max; }

  private:
    struct State {
        std::map<Id, std::unique_ptr<boost::asio::cancellation_signal>> running;
        std::size_t size_max = 0;
        std::function<void(std::exception_ptr)> on_exception;
    };
    Executor executor_;
    std::shared_ptr<State> state_;
    Id next_ = 1;
};

}  // namespace framegrid::sim
