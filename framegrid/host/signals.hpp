// Requests from outside: to stop (SIGINT, which is Ctrl-C, and SIGTERM), and to read the configuration again
// (SIGHUP).
#pragma once

#include <initializer_list>
#include <memory>

#include <framegrid/runtime/task.hpp>

namespace framegrid::host {

// Catches signals from construction to destruction; one that comes between two waits is kept.
class Signals {
  public:
    virtual ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    // Waits for the next signal and returns its number. Cancellation unwinds. One waiter at a time.
    Task<int> next();

  protected:
    Signals(const Executor& executor, std::initializer_list<int> numbers);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// SIGINT and SIGTERM.
class StopSignals final : public Signals {
  public:
    explicit StopSignals(const Executor& executor);
};

// SIGHUP.
class ReloadSignals final : public Signals {
  public:
    explicit ReloadSignals(const Executor& executor);
};

// Writing to a closed socket or pipe becomes an error value instead of ending the process. Call once, in
// main().
void ignore_broken_pipes();

// Lets this process open as many files and connections as the system allows it to.
void raise_open_files();

}  // namespace framegrid::host
