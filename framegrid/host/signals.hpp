// Requests from outside to stop: SIGINT (Ctrl-C) and SIGTERM.
#pragma once

#include <memory>

#include <framegrid/runtime/task.hpp>

namespace framegrid::host {

// Catches SIGINT and SIGTERM from construction to destruction; a signal that comes between two waits is kept.
class StopSignals {
  public:
    explicit StopSignals(const Executor& executor);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    // Waits for the next signal and returns its number. Cancellation unwinds. One waiter at a time.
    Task<int> next();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Writing to a closed socket or pipe becomes an error value instead of ending the process. Call once, in
// main().
void ignore_broken_pipes();

}  // namespace framegrid::host
