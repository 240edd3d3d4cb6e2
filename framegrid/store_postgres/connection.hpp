// One connection to a PostgreSQL server, through libpq.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <libpq-fe.h>

#include <framegrid/base/result.hpp>

namespace framegrid::store_postgres {

// What a statement answered; a table of texts. Owns it.
class Rows {
  public:
    explicit Rows(PGresult* result) : result_(result) {}
    int size() const { return PQntuples(result_.get()); }
    bool empty() const { return size() == 0; }
    std::string text(int row, int column) const {
        const auto bytes = static_cast<std::size_t>(PQgetlength(result_.get(), row, column));
        return {PQgetvalue(result_.get(), row, column), bytes};
    }
    // 0 for what is no whole number.
    std::int64_t number(int row, int column) const;
    // Rows that were inserted, updated or deleted.
    std::size_t changed() const;
    // What was done: "COMMIT".
    std::string_view command() const { return PQcmdStatus(result_.get()); }

  private:
    struct Clear {
        void operator()(PGresult* result) const { PQclear(result); }
    };
    std::unique_ptr<PGresult, Clear> result_;
};

// One row, column after column. The rows outlive it.
class RowReader {
  public:
    RowReader(const Rows& rows, int row) : rows_(rows), row_(row) {}
    std::string text() { return rows_.text(row_, column_++); }
    std::int64_t number() { return rows_.number(row_, column_++); }

  private:
    const Rows& rows_;
    int row_;
    int column_ = 0;
};

// Every row of an answer.
template <class F>
auto each_row(const Rows& rows, F read) {
    std::vector<decltype(read(std::declval<RowReader>()))> out;
    out.reserve(static_cast<std::size_t>(rows.size()));
    for (int i = 0; i < rows.size(); ++i) {
        out.push_back(read(RowReader(rows, i)));
    }
    return out;
}

// A value of a statement. The server refuses text that is not UTF-8 or has a zero byte.
using Value = std::variant<std::string_view, std::int64_t>;

// Used by one thread at a time. Calls block, each for a few seconds at most. Errors: kIo with what an
// operator can do, kInvalidArgument for text that the database cannot hold.
class Connection {
  public:
    // `url`: postgres://user@host/database, or libpq's "host=... dbname=...".
    static Result<std::unique_ptr<Connection>> open(const std::string& url);

    // One prepared statement with $1, $2 ... `sql` must be a literal: its address is the key.
    Result<Rows> query(const char* sql, std::initializer_list<Value> values = {});
    // Several statements without values; the answer of the last.
    Result<Rows> script(const std::string& sql);
    // Whether the connection was lost, or given up: nothing more comes over it.
    bool broken() const { return broken_; }
    // Whether the last statement only failed because of what others did at the same time.
    bool conflicted() const { return conflicted_; }

    // Tells other gateways, once the transaction is committed, that this job has changed.
    void tell(const std::string& job_id) { told_.push_back(job_id); }
    // What was told since the last call.
    std::vector<std::string> take_told() { return std::exchange(told_, {}); }

    // For a listener: the socket to wait at, and what others have told by then.
    int socket() const { return PQsocket(handle_.get()); }
    std::optional<std::string> notification();

  private:
    struct Finish {
        void operator()(PGconn* handle) const { PQfinish(handle); }
    };
    explicit Connection(PGconn* handle) : handle_(handle) {}
    Result<void> connect();
    Result<Rows> answer();
    bool flush();
    bool wait(short events, std::int64_t until_ms) const;
    std::unexpected<Error> lost(const std::string& what);
    std::unexpected<Error> refused(const PGresult* result);

    std::unique_ptr<PGconn, Finish> handle_;
    std::unordered_map<const char*, std::string> prepared_;  // names of statements
    std::vector<std::string> told_;
    bool broken_ = false;
    bool conflicted_ = false;
};

}  // namespace framegrid::store_postgres
