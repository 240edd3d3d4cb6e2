// Runs a task to its end on a loop that has nothing else to wait for: for tests.
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/task.hpp>

namespace framegrid {

// Throws what the task throws.
template <class T>
T run_to_end(boost::asio::io_context& loop, Task<T> task) {
    std::optional<T> out;
    std::exception_ptr thrown;
    boost::asio::co_spawn(loop, std::move(task), [&out, &thrown](std::exception_ptr error, T result) {
        thrown = std::move(error);
        out.emplace(std::move(result));
    });
    loop.restart();
    loop.run();
    if (thrown) {
        std::rethrow_exception(thrown);
    }
    return std::move(out.value());
}

}  // namespace framegrid
