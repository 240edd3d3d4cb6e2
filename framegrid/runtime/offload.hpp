// Port for CPU-bound work: everything over about 1 ms leaves the event loop through here.
#pragma once

#include <functional>
#include <optional>
#include <type_traits>

#include <framegrid/runtime/async.hpp>

namespace framegrid {

class WorkPool {
  public:
    virtual ~WorkPool() = default;
    // Runs `work` on some other thread (the host) or at once (the simulator). Never blocks.
    virtual void post(std::move_only_function<void()> work) = 0;
};

// Runs `fn` on the pool and resumes the caller on its own executor. Not cancellable: the caller waits for
// `fn`, so `fn` may refer to the caller's frame. `fn` must not throw.
template <class F>
Task<std::invoke_result_t<F&>> offload(WorkPool& pool, F fn) {
    using R = std::invoke_result_t<F&>;
    const Executor executor = co_await this_executor();
    std::optional<R> result;
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [&](auto handler) {
            pool.post([&result, &fn, executor, handler = std::move(handler)]() mutable {
                result.emplace(fn());
                boost::asio::post(executor, std::move(handler));
            });
        },
        boost::asio::use_awaitable
    );
    co_return std::move(*result);
}

}  // namespace framegrid
