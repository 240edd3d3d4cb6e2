#include <framegrid/runtime/task_group.hpp>

namespace framegrid {

namespace asio = boost::asio;

TaskGroup::TaskGroup(Executor executor, std::size_t max, Logger log)
    : executor_(std::move(executor)), max_(max), log_(std::move(log)), state_(std::make_shared<State>()) {}

TaskGroup::~TaskGroup() {
    cancel();
}

bool TaskGroup::spawn(Task<void> task) {
    if (state_->stopping || state_->running.size() >= max_) {
        return false;
    }
    const auto entry = state_->running.emplace(state_->running.end());
    asio::co_spawn(
        executor_, std::move(task),
        asio::bind_cancellation_slot(
            entry->slot(),
            [state = state_, entry, log = log_](std::exception_ptr exception) {
                if (exception) {
                    const Error error = error_from(exception);
                    if (error.code != Errc::kCancelled) {
                        log.error("runtime.task_failed", {{"error", error.message}});
                    }
                }
                state->running.erase(entry);
                state->done.notify_all();
            }
        )
    );
    return true;
}

void TaskGroup::cancel() {
    state_->stopping = true;
    // A cancelled task may finish inside emit() and erase its own entry.
    for (auto it = state_->running.begin(); it != state_->running.end();) {
        auto& signal = *it++;
        signal.emit(asio::cancellation_type::terminal);
    }
}

Task<void> TaskGroup::join() {
    const auto state = state_;
    while (!state->running.empty()) {
        co_await state->done.wait();
    }
}

Task<void> TaskGroup::close() {
    cancel();
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    // As a child with its own cancellation state: the caller's signal, past or to come, must not cut the wait
    // short.
    auto child = std::make_shared<detail::Child<bool>>();
    co_await detail::run_child<bool>(child, detail::uninterrupted(join()));
    co_await asio::this_coro::throw_if_cancelled(throwing);
}

namespace detail {

Task<Result<bool>> uninterrupted(Task<void> task) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await std::move(task);
    co_return true;
}

}  // namespace detail

}  // namespace framegrid
