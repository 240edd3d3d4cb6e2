// A call on a thread of its own.
#pragma once

#include <future>
#include <thread>
#include <type_traits>
#include <utility>

namespace framegrid::engine::testing {

template <class Value>
class OnThread {
  public:
    template <class Call>
    explicit OnThread(Call&& call) {
        std::packaged_task<Value()> task(std::forward<Call>(call));
        value_ = task.get_future();
        thread_ = std::jthread(std::move(task));
    }
    // What it returned, or threw; once.
    Value get() { return value_.get(); }

  private:
    std::future<Value> value_;
    std::jthread thread_;
};

template <class Call>
OnThread(Call) -> OnThread<std::invoke_result_t<Call>>;

}  // namespace framegrid::engine::testing
