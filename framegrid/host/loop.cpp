#include <framegrid/host/loop.hpp>

#include <sched.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <framegrid/host/steady_now.hpp>

namespace framegrid::host {

namespace asio = boost::asio;

struct Loop::Impl {
    asio::io_context context{1};  // hint: one thread runs it, others may post
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

Executor Loop::executor() const {
    return impl_->context.get_executor();
}

void Loop::run() {
    impl_->context.restart();
    const auto guard = asio::make_work_guard(impl_->context);
    impl_->context.run();
}

void Loop::stop() {
    impl_->context.stop();
}

Result<int> Loop::run_main(Task<Result<int>> main) {
    impl_->context.restart();
    Result<int> outcome = fail(Errc::kCancelled, "the event loop was stopped");
    asio::co_spawn(
        impl_->context, std::move(main),
        [&outcome, this](std::exception_ptr exception, Result<int> result) {
            if (exception) {
                outcome = fail(error_from(exception));
            } else {
                outcome = std::move(result);
            }
            impl_->context.stop();
        }
    );
    const auto guard = asio::make_work_guard(impl_->context);
    impl_->context.run();
    return outcome;
}

namespace {

using SystemSteady = std::chrono::steady_clock;

struct Call {
    Call(const Executor& executor, SystemSteady::time_point at, std::move_only_function<void()> f)
        : timer(executor, at), fn(std::move(f)) {}
    asio::steady_timer timer;
    std::move_only_function<void()> fn;  // empty once called or cancelled
};

}  // namespace

class SteadyClock::Pending final : public Timer::Pending {
  public:
    explicit Pending(std::shared_ptr<Call> call) : call_(std::move(call)) {}
    ~Pending() override {
        if (call_->fn) {
            call_->fn = nullptr;
            call_->timer.cancel();
        }
    }

  private:
    std::shared_ptr<Call> call_;
};

TimePoint steady_now() {
    return TimePoint(std::chrono::duration_cast<Duration>(SystemSteady::now().time_since_epoch()));
}

TimePoint SteadyClock::now() const {
    return steady_now();
}

std::int64_t SteadyClock::unix_ms() const {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

Timer SteadyClock::call_at(TimePoint at, std::move_only_function<void()> fn) {
    const SystemSteady::time_point when(
        std::chrono::duration_cast<SystemSteady::duration>(at.time_since_epoch())
    );
    auto call = std::make_shared<Call>(executor_, when, std::move(fn));
    call->timer.async_wait([call](const boost::system::error_code& code) {
        if (!code && call->fn) {
            auto due = std::exchange(call->fn, nullptr);  // it may destroy the Timer that owns this call
            due();
        }
    });
    return Timer(std::make_unique<Pending>(std::move(call)));
}

namespace {

void read_kernel_random(std::span<std::uint8_t> out) {
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        FG_ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            out = out.subspan(static_cast<std::size_t>(got));
        }
    }
}

}  // namespace

void SystemRandom::fill(std::span<std::uint8_t> out) {
    if (out.size() > 64) {
        read_kernel_random(out);
        return;
    }
    const std::scoped_lock lock(mutex_);
    if (left_ < out.size()) {
        read_kernel_random(buffer_);
        left_ = buffer_.size();
    }
    const auto used = std::span(buffer_).subspan(left_ - out.size(), out.size());
    std::memcpy(out.data(), used.data(), used.size());
    std::memset(used.data(), 0, used.size());
    left_ -= out.size();
}

ThreadPool::ThreadPool(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
    FG_ASSERT(threads > 0);
    stats_.threads = threads;
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { serve(); });
    }
}

ThreadPool::~ThreadPool() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) {
        thread.join();
    }
}

void ThreadPool::post(std::move_only_function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        if (queue_.size() < queue_max_) {
            queue_.push_back(std::move(work));
            wake_.notify_one();
            return;
        }
        ++stats_.ran_in_caller;
    }
    work();
}

void ThreadPool::serve() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) {
            return;
        }
        auto work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        work();
        work = nullptr;
        lock.lock();
        ++stats_.done;
    }
}

ThreadPool::Stats ThreadPool::stats() const {
    const std::scoped_lock lock(mutex_);
    Stats stats = stats_;
    stats.pending = queue_.size();
    return stats;
}

std::size_t cpu_count() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
    }
    return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace framegrid::host
