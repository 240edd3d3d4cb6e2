#include <framegrid/sqlite/database.hpp>

#include <algorithm>

namespace framegrid::sqlite {

namespace {

constexpr int kLogPagesMax = 2'000;  // 8 MB

// Runs `fn` and says what the library threw.
template <class F>
std::optional<Error> attempt(const Schema& schema, F fn) {
    try {
        fn();
        return std::nullopt;
    } catch (const SQLite::Exception& exception) {
        return error_of(exception, schema);
    }
}

}  // namespace

void dump(MetricsWriter& out, const DatabaseStats& stats, const std::string& name) {
    const std::string prefix = "framegrid_" + name;
    out.counter(prefix + "_commits_total", stats.commits);
    out.counter(prefix + "_changes_total", stats.changes);
    out.counter(prefix + "_failures_total", stats.failures);
    out.gauge(prefix + "_changes_waiting", static_cast<double>(stats.waiting));
}

Lane::Lane(
    std::unique_ptr<Connection> connection, bool writes, const DatabaseSettings& settings,
    std::function<void(int log_pages)> committed
)
    : connection_(std::move(connection)),
      writes_(writes),
      queue_max_(settings.queue_max),
      batch_max_(settings.batch_max),
      committed_(std::move(committed)),
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
        if (queue_.size() >= queue_max_) {
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

void Lane::serve() {
    for (;;) {
        std::deque<Work> batch;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) {
                return;
            }
            const std::size_t count = std::min(queue_.size(), batch_max_);
            for (std::size_t i = 0; i < count; ++i) {
                batch.push_back(std::move(queue_.front()));
                queue_.pop_front();
            }
        }
        if (writes_) {
            write_all(batch);
            continue;
        }
        while (!batch.empty()) {
            (void)batch.front().run(*connection_);
            connection_->settle();
            finish(batch, 1, nullptr);
        }
    }
}

void Lane::finish(std::deque<Work>& batch, std::size_t count, const Error* failed) {
    for (std::size_t i = 0; i < count; ++i) {
        batch.front().done(failed);
        batch.pop_front();
    }
    const std::scoped_lock lock(mutex_);
    stats_.commits += 1;
    stats_.changes += count;
    stats_.failures += failed != nullptr ? count : 0;
}

void Lane::write_all(std::deque<Work>& batch) {
    // An error inside a transaction ends either one change (its savepoint goes back) or, when the disk is
    // full, the whole transaction: then whoever was in it is told, and the others begin again.
    while (!batch.empty()) {
        if (const auto error = attempt(schema(), [this] { connection_->execute("BEGIN IMMEDIATE"); })) {
            connection_->settle();
            finish(batch, batch.size(), &*error);
            return;
        }
        std::size_t count = 0;
        std::optional<Error> broken;
        while (count < batch.size() && !broken) {
            broken = attempt(schema(), [&] {
                connection_->execute("SAVEPOINT change");
                const bool kept = batch[count].run(*connection_);
                connection_->settle();
                ++count;
                if (!connection_->in_transaction()) {
                    return;
                }
                if (!kept) {
                    connection_->execute("ROLLBACK TO change");
                }
                connection_->execute("RELEASE change");
            });
            if (!connection_->in_transaction() && !broken) {
                broken = make_error(
                    Errc::kIo, std::string(schema().what) + " could not be written: is its disk full?"
                );
            }
        }
        if (!broken) {
            broken = attempt(schema(), [this] { connection_->execute("COMMIT"); });
        }
        connection_->settle();
        if (broken && connection_->in_transaction()) {
            (void)attempt(schema(), [this] { connection_->execute("ROLLBACK"); });
            connection_->settle();
        }
        finish(batch, std::max<std::size_t>(count, 1), broken ? &*broken : nullptr);
        committed_(connection_->log_pages());
    }
}

Database::Database(Connections connections, const DatabaseSettings& settings)
    : tidier_(std::move(connections.tidier), false, settings),
      writer_(std::move(connections.writer), true, settings, [this](int log_pages) { tidy(log_pages); }),
      reader_(std::move(connections.reader), false, settings) {}

void Database::tidy(int log_pages) {
    if (log_pages < kLogPagesMax || tidying_.exchange(true)) {
        return;
    }
    Lane::Work work{
        [](Connection& connection) {
            connection.checkpoint();
            return true;
        },
        [this](const Error*) { tidying_ = false; }
    };
    if (!tidier_.post(work)) {
        tidying_ = false;
    }
}

Result<std::unique_ptr<Database>> Database::open(DatabaseSettings settings, const Schema& schema) {
    std::unique_ptr<Database> database;
    const auto error = attempt(schema, [&] {
        Connections connections;
        connections.writer = std::make_unique<Connection>(settings.file, Connection::Mode::kWrite, schema);
        connections.reader = std::make_unique<Connection>(settings.file, Connection::Mode::kRead, schema);
        connections.tidier = std::make_unique<Connection>(settings.file, Connection::Mode::kWrite, schema);
        database.reset(new Database(std::move(connections), settings));
    });
    if (error) {
        return fail(make_error(error->code, error->message + " (" + settings.file.string() + ")"));
    }
    return database;
}

}  // namespace framegrid::sqlite
