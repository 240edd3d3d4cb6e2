#include <framegrid/host/signals.hpp>

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace framegrid::host {

namespace asio = boost::asio;

struct StopSignals::Impl {
    explicit Impl(const Executor& executor) : set(executor, SIGINT, SIGTERM) {}
    asio::signal_set set;
};

StopSignals::StopSignals(const Executor& executor) : impl_(std::make_unique<Impl>(executor)) {}
StopSignals::~StopSignals() = default;

Task<int> StopSignals::next() {
    const int number = co_await impl_->set.async_wait(asio::use_awaitable);
    co_return number;
}

void ignore_broken_pipes() {
    std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace framegrid::host
