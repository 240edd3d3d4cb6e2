#include <framegrid/store_postgres/database.hpp>

#include <algorithm>
#include <cstdlib>

#include <framegrid/host/loop.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/store_postgres/schema.hpp>

namespace framegrid::store_postgres {

namespace {

constexpr Duration kBackOffFirst = std::chrono::milliseconds(100);
constexpr Duration kBackOffMax = std::chrono::seconds(5);
constexpr Duration kFatePause = std::chrono::milliseconds(200);
constexpr Duration kFateTimeMax = std::chrono::seconds(15);
constexpr std::int64_t kOffsetStepMs = 1'000;
constexpr int kTriesOfAChange = 3;
constexpr std::size_t kSelfBytes = 8;

}  // namespace

void dump(MetricsWriter& out, const DatabaseStats& stats) {
    out.counter("framegrid_store_commits_total", stats.commits);
    out.counter("framegrid_store_changes_total", stats.changes);
    out.counter("framegrid_store_failures_total", stats.failures);
    out.counter("framegrid_store_reconnects_total", stats.reconnects);
    out.gauge("framegrid_store_changes_waiting", static_cast<double>(stats.waiting));
}

void ClockOffset::measure(std::int64_t database_ms) {
    const std::int64_t now = database_ms - clock_.unix_ms();
    if (std::abs(now - ms_) > kOffsetStepMs) {
        ms_ = now;
    }
}

Lane::Lane(
    std::unique_ptr<Connection> connection, bool writes, DatabaseSettings settings, ClockOffset& offset,
    std::string self
)
    : connection_(std::move(connection)),
      writes_(writes),
      settings_(std::move(settings)),
      offset_(offset),
      self_(std::move(self)),
      thread_([this] { serve(); }) {}

Lane::~Lane() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

bool Lane::post(Work& work) {
    {
        const std::scoped_lock lock(mutex_);
        if (queue_.size() >= settings_.queue_max) {
            return false;
        }
        queue_.push_back(std::move(work));
    }
    changed_.notify_one();
    return true;
}

DatabaseStats Lane::stats() const {
    const std::scoped_lock lock(mutex_);
    DatabaseStats out = stats_;
    out.waiting = queue_.size();
    return out;
}

std::deque<Lane::Work> Lane::next_batch() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    std::deque<Work> batch;
    while (!queue_.empty() && batch.size() < settings_.batch_max) {
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    return batch;
}

bool Lane::pause(Duration duration) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, duration, [this] { return stopping_; });
}

void Lane::serve() {
    for (;;) {
        auto batch = next_batch();
        if (batch.empty()) {
            return;
        }
        if (writes_) {
            write_all(batch);
        } else {
            read_all(batch);
        }
    }
}

void Lane::finish(std::deque<Work>& batch, const Error* failed) {
    {
        const std::scoped_lock lock(mutex_);
        stats_.commits += 1;
        stats_.changes += batch.size();
        stats_.failures += failed != nullptr ? batch.size() : 0;
    }
    for (auto& work : batch) {
        work.done(failed);
    }
    batch.clear();
}

// Waits a little longer each time: whoever waits for this lane meanwhile waits, too, instead of asking again.
std::optional<Error> Lane::connect() {
    if (connection_ && !connection_->broken()) {
        return std::nullopt;
    }
    connection_.reset();
    if (back_off_ > Duration{}) {
        (void)pause(back_off_);
    }
    auto opened = Connection::open(settings_.url);
    if (!opened) {
        back_off_ = std::clamp(back_off_ * 2, kBackOffFirst, kBackOffMax);
        return std::move(opened.error());
    }
    back_off_ = {};
    connection_ = *std::move(opened);
    const std::scoped_lock lock(mutex_);
    ++stats_.reconnects;
    return std::nullopt;
}

void Lane::read_all(std::deque<Work>& batch) {
    while (!batch.empty()) {
        std::deque<Work> one;
        one.push_back(std::move(batch.front()));
        batch.pop_front();
        // A connection that broke while nobody used it says so only now.
        std::optional<Error> error;
        for (int tries = 0; tries < 2; ++tries) {
            error = connect();
            if (error || one.front().run(*connection_) || !connection_->broken()) {
                break;
            }
        }
        finish(one, error ? &*error : nullptr);
    }
}

void Lane::write_all(std::deque<Work>& batch) {
    std::optional<Error> error;
    bool may_repeat = true;
    for (int tries = 0; tries < 2 && may_repeat; ++tries) {
        error = connect();
        if (error) {
            break;
        }
        may_repeat = false;
        error = write_once(batch, may_repeat);
    }
    finish(batch, error ? &*error : nullptr);
}

// nullopt: committed. `may_repeat`: nothing was, because the connection was lost.
std::optional<Error> Lane::write_once(std::deque<Work>& batch, bool& may_repeat) {
    const auto give_up = [this, &may_repeat](Error error) {
        (void)connection_->take_told();
        may_repeat = connection_->broken();
        if (!may_repeat) {
            (void)connection_->script("ROLLBACK");
        }
        return error;
    };
    auto transaction = begin();
    if (!transaction) {
        return give_up(std::move(transaction.error()));
    }
    for (auto& work : batch) {
        if (auto changed = change(work, *transaction); !changed) {
            return give_up(std::move(changed.error()));
        }
    }
    if (auto told = tell_others(*transaction); !told) {
        return give_up(std::move(told.error()));
    }
    const auto committed = connection_->script("COMMIT");
    if (committed && committed->command() == "COMMIT") {
        return std::nullopt;
    }
    if (connection_->broken()) {
        return fate_of(transaction->id);
    }
    return committed ? make_error(Errc::kIo, "the job store's database took nothing") : committed.error();
}

Result<Lane::Transaction> Lane::begin() {
    FG_TRY(
        begun, connection_->script("BEGIN; SAVEPOINT change; SELECT pg_current_xact_id()::text,"
                                   " (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    );
    offset_.measure(begun.number(0, 1));
    return Transaction{begun.text(0, 0), {}};
}

// An error: the transaction cannot go on. A change that fails alone says so to its caller.
Result<void> Lane::change(Work& work, Transaction& transaction) {
    for (int tries = 1;; ++tries) {
        const bool kept = work.run(*connection_);
        auto told = connection_->take_told();
        if (connection_->broken()) {
            return fail(Errc::kIo, "the job store's database was lost");
        }
        if (kept) {
            FG_CHECK(connection_->script("RELEASE SAVEPOINT change; SAVEPOINT change"));
            transaction.told.insert(transaction.told.end(), told.begin(), told.end());
            return {};
        }
        const bool again = connection_->conflicted() && tries < kTriesOfAChange;
        FG_CHECK(connection_->script("ROLLBACK TO SAVEPOINT change"));
        if (!again) {
            return {};
        }
    }
}

Result<void> Lane::tell_others(const Transaction& transaction) {
    auto ids = transaction.told;
    std::ranges::sort(ids);
    const auto repeated = std::ranges::unique(ids);
    ids.erase(repeated.begin(), repeated.end());
    std::string text;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        text += (text.empty() ? self_ : "") + " " + ids[i];
        if (i + 1 == ids.size() || text.size() + ids[i + 1].size() >= kToldBytesMax) {
            FG_CHECK(connection_->query(kTell, {text}));
            text.clear();
        }
    }
    return {};
}

// The connection was lost during a commit: asks over a new one what became of it, so that nobody is told that
// a change was not made which was.
std::optional<Error> Lane::fate_of(const std::string& transaction) {
    const auto until = host::steady_now() + kFateTimeMax;
    while (host::steady_now() < until) {
        if (!connect()) {
            const auto fate = connection_->query("SELECT pg_xact_status($1::xid8)", {transaction});
            const std::string text = fate ? fate->text(0, 0) : "";
            if (text == "committed") {
                return std::nullopt;
            }
            if (text == "aborted") {
                return make_error(Errc::kIo, "the job store's database was lost, and nothing was changed");
            }
        }
        if (!pause(kFatePause)) {
            break;
        }
    }
    return make_error(
        Errc::kIo, "the job store's database was lost; whether the change was made is not known"
    );
}

Database::Database(
    Connections connections, const DatabaseSettings& settings, Clock& clock, const std::string& self
)
    : offset_(clock),
      writer_(std::move(connections.writer), true, settings, offset_, self),
      reader_(std::move(connections.reader), false, settings, offset_, self),
      listener_(std::move(connections.listener), settings.url, self) {}

DatabaseStats Database::stats() const {
    auto out = writer_.stats();
    out.reconnects += reader_.stats().reconnects;
    return out;
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseSettings& settings, Clock& clock) {
    Connections connections;
    FG_TRY(writer, Connection::open(settings.url));
    FG_CHECK(migrate(*writer));
    FG_TRY(time, writer->query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"));
    FG_TRY(reader, Connection::open(settings.url));
    FG_TRY(listener, Connection::open(settings.url));
    FG_CHECK(listener->script(kListen));
    connections = {std::move(writer), std::move(reader), std::move(listener)};
    host::SystemRandom random;
    std::unique_ptr<Database> out(
        new Database(std::move(connections), settings, clock, random.hex(kSelfBytes))
    );
    out->offset_.measure(time.number(0, 0));
    return out;
}

}  // namespace framegrid::store_postgres
