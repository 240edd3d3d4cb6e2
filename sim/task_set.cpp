#include <sim/task_set.hpp>

#include <algorithm>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>

#include <framegrid/runtime/async.hpp>

namespace framegrid::sim {

namespace asio = boost::asio;

TaskSet::TaskSet(Executor executor, std::function<void(std::exception_ptr)> on_exception)
    : executor_(std::move(executor)), state_(std::make_shared<State>()) {
    state_->on_exception = std::move(on_exception);
}

TaskSet::Id TaskSet::spawn(Task<void> task) {
    const Id id = next_++;
    auto signal = std::make_unique<asio::cancellation_signal>();
    const auto slot = signal->slot();
    state_->running.emplace(id, std::move(signal));
    state_->size_max = std::max(state_->size_max, state_->running.size());
    asio::co_spawn(
        executor_, std::move(task),
        asio::bind_cancellation_slot(
            slot,
            [state = state_, id](std::exception_ptr thrown) {
                state->running.erase(id);
                if (thrown && error_from(thrown).code != Errc::kCancelled) {
                    state->on_exception(thrown);
                }
            }
        )
    );
    return id;
}

void TaskSet::cancel(Id id) {
    if (const auto task = state_->running.find(id); task != state_->running.end()) {
        task->second->emit(asio::cancellation_type::terminal);
    }
}

void TaskSet::cancel_all() {
    std::vector<Id> ids;
    ids.reserve(state_->running.size());
    for (const auto& [id, signal] : state_->running) {
        ids.push_back(id);
    }
    for (const Id id : ids) {
        cancel(id);
    }
}

}  // namespace framegrid::sim
