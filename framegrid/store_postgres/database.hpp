// A PostgreSQL database behind three threads: one writes, many changes to a commit, one reads, one listens.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/store_postgres/connection.hpp>
#include <framegrid/store_postgres/listener.hpp>

namespace framegrid::store_postgres {

struct DatabaseSettings {
    std::string url;                 // as Connection::open() takes it; may hold a password
    std::size_t queue_max = 20'000;  // pieces of work that wait; more are refused with kCapacity
    std::size_t batch_max = 1'000;   // changes in one commit
};

struct DatabaseStats {
    std::uint64_t commits = 0;
    std::uint64_t changes = 0;
    std::uint64_t failures = 0;
    std::uint64_t reconnects = 0;
    std::size_t waiting = 0;
};
void dump(MetricsWriter& out, const DatabaseStats& stats);

// How far the database's clock is ahead of this gateway's. Leases are kept in the database's time, so that
// gateways whose clocks differ agree when one has ended. From any thread.
class ClockOffset {
  public:
    explicit ClockOffset(const Clock& clock) : clock_(clock) {}
    std::int64_t to_database(std::int64_t unix_ms) const { return unix_ms + ms_; }
    std::int64_t to_gateway(std::int64_t database_ms) const { return database_ms - ms_; }
    // What the database's clock has just said. Small differences are the time that the answer took.
    void measure(std::int64_t database_ms);

  private:
    const Clock& clock_;
    std::atomic<std::int64_t> ms_ = 0;
};

// A thread with a connection of its own, made again when it was lost, and a bounded queue of work for it.
class Lane {
  public:
    struct Work {
        // On the lane's thread, never throws. False: it failed, and what it changed is to be undone. It may
        // run again, when the first time was undone.
        std::move_only_function<bool(Connection&)> run;
        // On the lane's thread, after the commit or instead of it.
        std::move_only_function<void(const Error* failed)> done;
    };

    // A writer puts what waits into one transaction. `self` names this gateway in what it tells others.
    Lane(
        std::unique_ptr<Connection> connection, bool writes, DatabaseSettings settings, ClockOffset& offset,
        std::string self
    );
    // Does what is queued, then joins; without a database what is queued fails.
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // Takes over `work`, or returns false when the queue is full. From any thread.
    bool post(Work& work);
    DatabaseStats stats() const;

  private:
    struct Transaction {
        std::string id;  // by which its fate can be asked for
        std::vector<std::string> told;
    };
    void serve();
    std::deque<Work> next_batch();
    std::optional<Error> connect();
    void read_all(std::deque<Work>& batch);
    void write_all(std::deque<Work>& batch);
    std::optional<Error> write_once(std::deque<Work>& batch, bool& may_repeat);
    Result<Transaction> begin();
    Result<void> change(Work& work, Transaction& transaction);
    Result<void> tell_others(const Transaction& transaction);
    std::optional<Error> fate_of(const std::string& transaction);
    void finish(std::deque<Work>& batch, const Error* failed);
    // False: the lane is to stop.
    bool pause(Duration duration);

    std::unique_ptr<Connection> connection_;
    bool writes_;
    DatabaseSettings settings_;
    ClockOffset& offset_;
    std::string self_;
    Duration back_off_{};
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> queue_;
    bool stopping_ = false;
    DatabaseStats stats_;
    std::thread thread_;  // last: it uses the others
};

class Database {
  public:
    // Blocking: connects, and makes the tables that are missing. `clock` outlives it, and its unix_ms() is
    // called from other threads. kIo tells what to do.
    static Result<std::unique_ptr<Database>> open(const DatabaseSettings& settings, Clock& clock);

    // Runs `change`, a Result<T>(Connection&), on the writer's thread in a transaction with others that wait,
    // and resumes when that is on the database's disk. If it fails, nothing of it is kept, and the others
    // are. It may run several times. Not cancellable, as offload().
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> write(F change) {
        return on(writer_, std::move(change));
    }
    // The same for what only reads: sees everything that was written before.
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> read(F look) {
        return on(reader_, std::move(look));
    }
    ClockOffset& offset() { return offset_; }
    // Jobs that other gateways have changed.
    Listener& listener() { return listener_; }
    DatabaseStats stats() const;

  private:
    struct Connections {
        std::unique_ptr<Connection> writer;
        std::unique_ptr<Connection> reader;
        std::unique_ptr<Connection> listener;
    };
    Database(
        Connections connections, const DatabaseSettings& settings, Clock& clock, const std::string& self
    );

    template <class F>
    static Task<std::invoke_result_t<F&, Connection&>> on(Lane& lane, F fn);

    ClockOffset offset_;
    Lane writer_;
    Lane reader_;
    Listener listener_;
};

template <class F>
Task<std::invoke_result_t<F&, Connection&>> Database::on(Lane& lane, F fn) {
    using R = std::invoke_result_t<F&, Connection&>;
    const Executor executor = co_await this_executor();
    std::optional<R> result;
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [&](auto handler) {
            Lane::Work work;
            work.run = [&result, &fn](Connection& connection) {
                result.emplace(fn(connection));
                return result->has_value();
            };
            work.done = [&result, executor, handler = std::move(handler)](const Error* failed) mutable {
                if (failed != nullptr) {
                    result.emplace(std::unexpected(*failed));
                }
                boost::asio::post(executor, std::move(handler));
            };
            if (!lane.post(work)) {
                const Error full =
                    make_error(Errc::kCapacity, "the job store has more to write than it can; try again");
                work.done(&full);
            }
        },
        boost::asio::use_awaitable
    );
    co_return std::move(*result);
}

}  // namespace framegrid::store_postgres
