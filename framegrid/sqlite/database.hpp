// A SQLite file behind three threads: one writes, many changes to a commit, one reads, one tidies up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/sqlite/connection.hpp>

namespace framegrid::sqlite {

struct DatabaseSettings {
    std::filesystem::path file;
    std::size_t queue_max = 20'000;  // pieces of work that wait; more are refused with kCapacity
    std::size_t batch_max = 1'000;   // changes in one commit
};

struct DatabaseStats {
    std::uint64_t commits = 0;
    std::uint64_t changes = 0;
    std::uint64_t failures = 0;
    std::size_t waiting = 0;
};
// framegrid_NAME_commits_total and so on.
void dump(MetricsWriter& out, const DatabaseStats& stats, const std::string& name);

// A thread with a connection of its own and a bounded queue of work for it.
class Lane {
  public:
    struct Work {
        // On the lane's thread, never throws. False: it failed, and what it changed is to be undone.
        std::move_only_function<bool(Connection&)> run;
        // On the lane's thread, after the commit or instead of it.
        std::move_only_function<void(const Error* failed)> done;
    };

    // A writer puts what waits into one transaction and calls `committed` afterwards, with the length of the
    // log in pages.
    Lane(
        std::unique_ptr<Connection> connection, bool writes, const DatabaseSettings& settings,
        std::function<void(int log_pages)> committed = nullptr
    );
    // Does what is queued, then joins.
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // Takes over `work`, or returns false when the queue is full. From any thread.
    bool post(Work& work);
    DatabaseStats stats() const;
    const Schema& schema() const { return connection_->schema(); }

  private:
    void serve();
    void write_all(std::deque<Work>& batch);
    void finish(std::deque<Work>& batch, std::size_t count, const Error* failed);

    std::unique_ptr<Connection> connection_;
    bool writes_;
    std::size_t queue_max_;
    std::size_t batch_max_;
    std::function<void(int)> committed_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> queue_;
    bool stopping_ = false;
    DatabaseStats stats_;
    std::thread thread_;  // last: it uses the others
};

class Database {
  public:
    // Blocking: opens or makes the file. kIo tells what to do.
    static Result<std::unique_ptr<Database>> open(DatabaseSettings settings, const Schema& schema);

    // Runs `change`, a Result<T>(Connection&), on the writer's thread in a transaction with others that wait,
    // and resumes when that is on the disk. If it fails, nothing of it is kept, and the others are. Not
    // cancellable, as offload().
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> write(F change) {
        return on(writer_, std::move(change));
    }
    // The same for what only reads: sees everything that was written before.
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> read(F look) {
        return on(reader_, std::move(look));
    }
    DatabaseStats stats() const { return writer_.stats(); }

  private:
    struct Connections {
        std::unique_ptr<Connection> writer;
        std::unique_ptr<Connection> reader;
        std::unique_ptr<Connection> tidier;
    };
    Database(Connections connections, const DatabaseSettings& settings);
    void tidy(int log_pages);

    template <class F>
    static Task<std::invoke_result_t<F&, Connection&>> on(Lane& lane, F fn);

    std::atomic<bool> tidying_ = false;
    Lane tidier_;  // the writer uses it
    Lane writer_;
    Lane reader_;
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
                try {
                    result.emplace(fn(connection));
                } catch (const SQLite::Exception& exception) {
                    result.emplace(std::unexpected(error_of(exception, connection.schema())));
                }
                return result->has_value();
            };
            work.done = [&result, executor, handler = std::move(handler)](const Error* failed) mutable {
                if (failed != nullptr) {
                    result.emplace(std::unexpected(*failed));
                }
                boost::asio::post(executor, std::move(handler));
            };
            if (!lane.post(work)) {
                const Error full = make_error(
                    Errc::kCapacity,
                    std::string(lane.schema().what) + " has more to do than it can; try again"
                );
                work.done(&full);
            }
        },
        boost::asio::use_awaitable
    );
    co_return std::move(*result);
}

}  // namespace framegrid::sqlite
