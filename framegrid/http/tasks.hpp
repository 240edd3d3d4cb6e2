// Tasks that can be cancelled one by one, counted by who must outlive them.
#pragma once

#include <exception>
#include <functional>
#include <memory>

#include <boost/asio/cancellation_signal.hpp>

#include <framegrid/runtime/async.hpp>

namespace framegrid::http {

// The handle of one running task. Cancelling after its end does nothing.
class TaskHandle {
  public:
    bool running() const { return running_; }
    void cancel() {
        if (running_) {
            signal_.emit(boost::asio::cancellation_type::terminal);
        }
    }

  private:
    friend class TaskSet;
    boost::asio::cancellation_signal signal_;
    bool running_ = false;
};

class TaskSet {
  public:
    explicit TaskSet(Executor executor) : executor_(std::move(executor)), state_(std::make_shared<State>()) {}

    // Starts `task` at once. `owner` holds `handle` and lives until the task has ended; then `done` is called
    // with what left the task. Must not be called from inside a library's callback: the task runs up to its
    // first wait.
    void spawn(
        Task<void> task, std::shared_ptr<void> owner, TaskHandle& handle,
        std::move_only_function<void(std::exception_ptr)> done
    );
    std::size_t size() const { return state_->running; }
    // Waits until no task is left.
    Task<void> join();

  private:
    struct State {
        std::size_t running = 0;
        Notifier ended;
    };
    Executor executor_;
    std::shared_ptr<State> state_;
};

}  // namespace framegrid::http
