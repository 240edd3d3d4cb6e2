// The operating system's side of the runtime ports: an event loop of one thread, real time, real randomness,
// threads.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::host {

// An event loop for one thread. Everything made on executor() runs on the thread that calls run() or
// run_main(). Must outlive every object that uses its executor, thread pools that post to it included.
class Loop {
  public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    Executor executor() const;
    // Runs until stop(). May be called again afterwards.
    void run();
    // Makes run() return soon. From any thread; a stop() before run() is not remembered.
    void stop();
    // Runs `main` to its end on the calling thread and returns what it returned; an exception that leaves it
    // becomes an Error. Other tasks run meanwhile and stand still afterwards: `main` joins its groups before
    // it returns.
    Result<int> run_main(Task<Result<int>> main);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Real time. Calls are made on `executor`, on which the timers must also be made and destroyed; now() and
// unix_ms() may be called from any thread.
class SteadyClock final : public Clock {
  public:
    explicit SteadyClock(Executor executor) : executor_(std::move(executor)) {}
    TimePoint now() const override;
    std::int64_t unix_ms() const override;
    Timer call_at(TimePoint at, std::move_only_function<void()> fn) override;

  private:
    class Pending;
    Executor executor_;
};

// The kernel's CSPRNG, read in blocks so that small requests cost no system call. From any thread. Aborts the
// process when the kernel gives no randomness: nothing may continue with guessable identifiers.
class SystemRandom final : public Random {
  public:
    void fill(std::span<std::uint8_t> out) override;

  private:
    std::mutex mutex_;
    std::array<std::uint8_t, 512> buffer_{};
    std::size_t left_ = 0;
};

// A fixed number of threads and a bounded queue. With `queue_max` pieces of work pending, post() runs the
// work on the calling thread as a last resort: slow, but nothing is lost and memory stays bounded. The
// destructor runs what is pending and joins; whatever the work posts to (a Loop) must still exist then.
class ThreadPool final : public WorkPool {
  public:
    static constexpr std::size_t kQueueMax = 65'536;

    explicit ThreadPool(std::size_t threads, std::size_t queue_max = kQueueMax);
    ~ThreadPool() override;
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    void post(std::move_only_function<void()> work) override;

    struct Stats {
        std::size_t threads = 0;
        std::size_t pending = 0;          // queued now
        std::uint64_t done = 0;           // pieces of work finished
        std::uint64_t ran_in_caller = 0;  // because the queue was full
    };
    Stats stats() const;

  private:
    void serve();

    std::size_t queue_max_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::move_only_function<void()>> queue_;
    bool stopping_ = false;
    Stats stats_;
    std::vector<std::thread> threads_;
};

// The number of CPU cores that this process may use (affinity respected), at least 1.
std::size_t cpu_count();

}  // namespace framegrid::host
