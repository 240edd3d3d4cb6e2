// One connection to a SQLite file. Exceptions of the library end here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <SQLiteCpp/SQLiteCpp.h>

#include <framegrid/base/result.hpp>

namespace framegrid::sqlite {

// What a file holds. A constant of its library.
struct Schema {
    std::string_view what;  // what errors call the file: "the job store"
    // What each version adds to the one before, as SQL.
    std::span<const char* const> steps;
};

// Used by one thread at a time.
class Connection {
  public:
    // Throws SQLite::Exception. A writer makes the file and its tables when there are none.
    enum class Mode : std::uint8_t { kRead, kWrite };
    Connection(const std::filesystem::path& file, Mode mode, const Schema& schema);

    // A prepared statement without bound values, for use until the next call with the same text. `sql` must
    // be a literal: its address is the key.
    SQLite::Statement& prepare(const char* sql);
    void execute(const char* sql) { (void)prepare(sql).exec(); }
    // Ends the statements that were used since the last call: an open one would hold back a commit, or show
    // later readers an old state.
    void settle();
    // Pages of the write-ahead log that the last commit of this connection saw.
    int log_pages() const { return *log_pages_; }
    // Moves the log's pages into the file, as far as nobody reads old ones. Writers go on meanwhile.
    void checkpoint();
    // Whether a transaction is open: a full disk ends one by itself.
    bool in_transaction() const;
    const Schema& schema() const { return schema_; }

  private:
    const Schema& schema_;
    SQLite::Database database_;
    std::unique_ptr<int> log_pages_ = std::make_unique<int>(0);  // written by a callback of the library
    std::unordered_map<const char*, std::unique_ptr<SQLite::Statement>> statements_;
    std::vector<SQLite::Statement*> used_;
};

// What is read while it lives is of one moment.
class Snapshot {
  public:
    explicit Snapshot(Connection& connection) : connection_(connection) { connection_.execute("BEGIN"); }
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

  private:
    Connection& connection_;
};

// What went wrong in the library, with what an operator can do about it.
Error error_of(const SQLite::Exception& exception, const Schema& schema);

}  // namespace framegrid::sqlite
