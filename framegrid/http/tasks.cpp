#include <framegrid/http/tasks.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

void TaskSet::spawn(
    Task<void> task, std::shared_ptr<void> owner, TaskHandle& handle,
    std::move_only_function<void(std::exception_ptr)> done
) {
    FG_ASSERT(!handle.running_);
    handle.running_ = true;
    ++state_->running;
    asio::co_spawn(
        executor_, std::move(task),
        asio::bind_cancellation_slot(
            handle.signal_.slot(),
            [state = state_, owner = std::move(owner), running = &handle.running_,
             done = std::move(done)](std::exception_ptr exception) mutable {
                *running = false;
                done(exception);
                if (--state->running == 0) {
                    state->ended.notify_all();
                }
            }
        )
    );
}

Task<void> TaskSet::join() {
    const auto state = state_;
    while (state->running > 0) {
        co_await state->ended.wait();
    }
}

}  // namespace framegrid::http
