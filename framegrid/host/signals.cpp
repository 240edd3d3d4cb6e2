#include <framegrid/host/signals.hpp>

#include <sys/resource.h>

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace framegrid::host {

namespace asio = boost::asio;

struct Signals::Impl {
    explicit Impl(const Executor& executor) : set(executor) {}
    asio::signal_set set;
};

Signals::Signals(const Executor& executor, std::initializer_list<int> numbers)
    : impl_(std::make_unique<Impl>(executor)) {
    for (const int number : numbers) {
        impl_->set.add(number);
    }
}
Signals::~Signals() = default;

StopSignals::StopSignals(const Executor& executor) : Signals(executor, {SIGINT, SIGTERM}) {}
ReloadSignals::ReloadSignals(const Executor& executor) : Signals(executor, {SIGHUP}) {}

Task<int> Signals::next() {
    const int number = co_await impl_->set.async_wait(asio::use_awaitable);
    co_return number;
}

void ignore_broken_pipes() {
    std::signal(SIGPIPE, SIG_IGN);
}

void raise_open_files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)::setrlimit(RLIMIT_NOFILE, &limit);  // it works with fewer, too
    }
}

}  // namespace framegrid::host
