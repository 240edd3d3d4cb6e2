#include <framegrid/store_postgres/listener.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <set>
#include <string_view>

#include <framegrid/runtime/async.hpp>

namespace framegrid::store_postgres {

namespace {

constexpr std::size_t kHeardMax = 10'000;
constexpr int kProbeMs = 10'000;
constexpr int kBackOffFirstMs = 100;
constexpr int kBackOffMsMax = 5'000;

}  // namespace

// Between the thread and the executor of whoever waits.
struct Listener::Heard {
    std::mutex mutex;
    std::set<std::string> ids;
    std::optional<Executor> executor;  // of whoever waits
    bool posted = false;
    Notifier changed;  // on the executor only

    static void add(const std::shared_ptr<Heard>& self, std::string id) {
        const std::scoped_lock lock(self->mutex);
        if (self->ids.size() >= kHeardMax) {
            self->ids = {""};
        }
        self->ids.insert(std::move(id));
        if (self->executor && !self->posted) {
            self->posted = true;
            boost::asio::post(*self->executor, [self] {
                {
                    const std::scoped_lock again(self->mutex);
                    self->posted = false;
                }
                self->changed.notify_all();
            });
        }
    }
    std::vector<std::string> take() {
        const std::scoped_lock lock(mutex);
        std::vector<std::string> out(ids.begin(), ids.end());
        ids.clear();
        return out;
    }
    void wake_on(const Executor& where) {
        const std::scoped_lock lock(mutex);
        executor = where;
    }
};

Listener::Listener(std::unique_ptr<Connection> connection, std::string url, std::string self)
    : connection_(std::move(connection)),
      url_(std::move(url)),
      self_(std::move(self)),
      heard_(std::make_shared<Heard>()),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { serve(); }) {}

Listener::~Listener() {
    (void)::eventfd_write(stop_.get(), 1);
    thread_.join();
}

Task<std::vector<std::string>> Listener::next(Clock& clock, Deadline deadline) {
    const auto heard = heard_;
    heard->wake_on(co_await this_executor());
    for (;;) {
        auto ids = heard->take();
        if (!ids.empty() || deadline.passed(clock)) {
            co_return ids;
        }
        co_await heard->changed.wait_until(clock, deadline.at);
    }
}

// Returns whether the listener goes on.
bool Listener::pause(int milliseconds) {
    pollfd stop{stop_.get(), POLLIN, 0};
    return ::poll(&stop, 1, milliseconds) <= 0;
}

void Listener::serve() {
    int back_off = kBackOffFirstMs;
    while (pause(0)) {
        if (!connection_) {
            auto opened = Connection::open(url_);
            if (!opened || !(*opened)->script(kListen)) {
                if (!pause(back_off)) {
                    return;
                }
                back_off = std::min(back_off * 2, kBackOffMsMax);
                continue;
            }
            connection_ = *std::move(opened);
            back_off = kBackOffFirstMs;
            Heard::add(heard_, "");  // nobody knows what was told meanwhile
        }
        hear(*connection_);
        if (connection_->broken()) {
            connection_.reset();
        }
    }
}

// Hears what has come, then waits for more; after a while asks the database whether it is still there.
void Listener::hear(Connection& connection) {
    while (const auto told = connection.notification()) {
        std::string_view rest = *told;
        const auto take = [&rest] {
            const auto word = rest.substr(0, rest.find(' '));
            rest.remove_prefix(std::min(word.size() + 1, rest.size()));
            return std::string(word);
        };
        if (take() == self_) {
            continue;
        }
        while (!rest.empty()) {
            Heard::add(heard_, take());
        }
    }
    if (connection.broken()) {
        return;
    }
    std::array<pollfd, 2> both{pollfd{connection.socket(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    if (::poll(both.data(), both.size(), kProbeMs) == 0) {
        (void)connection.script("SELECT 1");
    }
}

}  // namespace framegrid::store_postgres
