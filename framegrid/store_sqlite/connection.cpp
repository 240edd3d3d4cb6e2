#include <framegrid/store_sqlite/connection.hpp>

#include <array>

#include <sqlite3.h>

namespace framegrid::store_sqlite {

namespace {

constexpr int kBusyTimeMs = 5'000;
// What each version of the schema adds to the one before. Job and artifact ids sort by time, so rows are
// appended at the end of their tables.
constexpr std::array kSchemaSteps{
    R"sql(
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, request TEXT NOT NULL, kind TEXT NOT NULL,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL, created INTEGER NOT NULL, started INTEGER NOT NULL, finished INTEGER NOT NULL,
  deadline INTEGER NOT NULL, attempt INTEGER NOT NULL, crashes INTEGER NOT NULL,
  holder TEXT NOT NULL, lease INTEGER NOT NULL,
  cancel_wanted INTEGER NOT NULL, result TEXT NOT NULL, events INTEGER NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_digest TEXT NOT NULL, parent TEXT NOT NULL, trace_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (id) WHERE state < 2;
CREATE INDEX jobs_of_owner ON jobs (owner, id);
CREATE INDEX jobs_of_parent ON jobs (parent, id) WHERE parent <> '';
CREATE INDEX jobs_finished ON jobs (finished) WHERE state >= 2;
CREATE UNIQUE INDEX jobs_idempotent ON jobs (owner, idempotency_key) WHERE idempotency_key <> '';
CREATE TABLE events (
  job TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE deliveries (
  id TEXT PRIMARY KEY, job TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL,
  done INTEGER NOT NULL, given_up INTEGER NOT NULL, next INTEGER NOT NULL, last_outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (next) WHERE done = 0;
CREATE INDEX deliveries_of_job ON deliveries (job);
CREATE TABLE artifacts (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  name TEXT NOT NULL, job TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX artifacts_of_owner ON artifacts (owner, id);
CREATE INDEX artifacts_of_digest ON artifacts (digest);
CREATE INDEX artifacts_expiring ON artifacts (expires);
)sql",
    R"sql(
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY, secret TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, scopes TEXT NOT NULL,
  limits TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL,
  change INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX api_keys_changed ON api_keys (change);
)sql",
    R"sql(
CREATE TABLE results (
  owner TEXT NOT NULL, key TEXT NOT NULL, job TEXT NOT NULL, data TEXT NOT NULL, created INTEGER NOT NULL,
  expires INTEGER NOT NULL, PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX results_expiring ON results (expires);
)sql",
};

void migrate(SQLite::Database& database) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    const int version = database.execAndGet("PRAGMA user_version").getInt();
    if (version > static_cast<int>(kSchemaSteps.size())) {
        throw SQLite::Exception("the file was written by a newer version of framegrid", SQLITE_MISMATCH);
    }
    for (auto step = static_cast<std::size_t>(version); step < kSchemaSteps.size(); ++step) {
        database.exec(kSchemaSteps.at(step));
        database.exec("PRAGMA user_version = " + std::to_string(step + 1));
    }
    transaction.commit();
}

int note_log_pages(void* into, sqlite3* /*database*/, const char* /*name*/, int pages) {
    *static_cast<int*>(into) = pages;
    return SQLITE_OK;
}

}  // namespace

Connection::Connection(const std::filesystem::path& file, Mode mode)
    : database_(
          file.string(),
          mode == Mode::kWrite ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE : SQLite::OPEN_READONLY,
          kBusyTimeMs
      ) {
    if (mode == Mode::kWrite) {
        database_.exec("PRAGMA journal_mode = WAL");
        // Each commit reaches the disk: an accepted job survives a loss of power.
        database_.exec("PRAGMA synchronous = FULL");
        // Checkpoints sync the file, which would hold up whoever waits for a commit: the database has a
        // thread for them.
        sqlite3_wal_hook(database_.getHandle(), note_log_pages, log_pages_.get());
        migrate(database_);
    }
    database_.exec("PRAGMA cache_size = -16000");  // 16 MB
}

SQLite::Statement& Connection::prepare(const char* sql) {
    auto& statement = statements_[sql];
    if (!statement) {
        statement = std::make_unique<SQLite::Statement>(database_, sql);
    } else {
        (void)statement->tryReset();  // repeats the last execution's error, which was handled then
        statement->clearBindings();
    }
    used_.push_back(statement.get());
    return *statement;
}

void Connection::settle() {
    for (auto* statement : used_) {
        (void)statement->tryReset();
    }
    used_.clear();
}

void Connection::checkpoint() {
    (void
    )sqlite3_wal_checkpoint_v2(database_.getHandle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

bool Connection::in_transaction() const {
    return sqlite3_get_autocommit(database_.getHandle()) == 0;
}

Error error_of(const SQLite::Exception& exception) {
    switch (exception.getErrorCode()) {
        case SQLITE_FULL:
            return make_error(Errc::kIo, "the disk with the job store is full: free some space");
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
            return make_error(
                Errc::kIo, std::string("the job store cannot be opened for writing: ") + exception.what() +
                               "; check the folder's owner and rights"
            );
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return make_error(
                Errc::kIo, std::string("the job store is damaged: ") + exception.what() +
                               "; restore a copy, or move the file away to start empty"
            );
        case SQLITE_BUSY:
            return make_error(
                Errc::kIo, "the job store is in use by another process: each gateway needs a file of its own"
            );
        default:
            return make_error(Errc::kIo, std::string("the job store: ") + exception.what());
    }
}

}  // namespace framegrid::store_sqlite
