// The one place that names the coroutine type: a Task is an Asio awaitable on a type-erased executor.
//
// Cancellation unwinds a Task: the await it is parked in throws
// boost::system::system_error(operation_aborted), which TaskGroup and with_deadline turn back into a value.
// Clean up with destructors, never with another co_await.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <framegrid/base/result.hpp>

namespace framegrid {

using Executor = boost::asio::any_io_executor;

template <class T = void>
using Task = boost::asio::awaitable<T>;

// The executor that the calling coroutine runs on: `co_await this_executor()`.
inline auto this_executor() {
    return boost::asio::this_coro::executor;
}

}  // namespace framegrid
