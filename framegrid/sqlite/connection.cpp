#include <framegrid/sqlite/connection.hpp>

#include <string>

#include <sqlite3.h>

namespace framegrid::sqlite {

namespace {

constexpr int kBusyTimeMs = 5'000;
void migrate(SQLite::Database& database, const Schema& schema) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    const int version = database.execAndGet("PRAGMA user_version").getInt();
    if (version > static_cast<int>(schema.steps.size())) {
        throw SQLite::Exception("the file was written by a newer version of framegrid", SQLITE_MISMATCH);
    }
    for (auto step = static_cast<std::size_t>(version); step < schema.steps.size(); ++step) {
        database.exec(schema.steps[step]);
        database.exec("PRAGMA user_version = " + std::to_string(step + 1));
    }
    transaction.commit();
}

// Several processes may make the file at the same moment, and this change of mode does not wait for the
// others.
void use_log(SQLite::Database& database) {
    constexpr int kPauseMs = 10;
    for (int waited = 0; waited < kBusyTimeMs; waited += kPauseMs) {
        if (database.tryExec("PRAGMA journal_mode = WAL") != SQLITE_BUSY) {
            return;
        }
        (void)sqlite3_sleep(kPauseMs);
    }
    database.exec("PRAGMA journal_mode = WAL");
}

int note_log_pages(void* into, sqlite3* /*database*/, const char* /*name*/, int pages) {
    *static_cast<int*>(into) = pages;
    return SQLITE_OK;
}

}  // namespace

Connection::Connection(const std::filesystem::path& file, Mode mode, const Schema& schema)
    : schema_(schema),
      database_(
          file.string(),
          mode == Mode::kWrite ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE : SQLite::OPEN_READONLY,
          kBusyTimeMs
      ) {
    if (mode == Mode::kWrite) {
        use_log(database_);
        // Each commit reaches the disk: what was accepted survives a loss of power.
        database_.exec("PRAGMA synchronous = FULL");
        // Checkpoints sync the file, which would hold up whoever waits for a commit: the database has a
        // thread for them.
        sqlite3_wal_hook(database_.getHandle(), note_log_pages, log_pages_.get());
        migrate(database_, schema);
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

Snapshot::~Snapshot() {
    connection_.settle();
    try {
        connection_.execute("COMMIT");
    } catch (const SQLite::Exception&) {  // nothing was written: nothing is lost
        (void)connection_.in_transaction();
    }
}

Error error_of(const SQLite::Exception& exception, const Schema& schema) {
    const std::string what(schema.what);
    switch (exception.getErrorCode()) {
        case SQLITE_FULL:
            return make_error(Errc::kIo, "the disk with " + what + " is full: free some space");
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
            return make_error(
                Errc::kIo, what + " cannot be opened for writing: " + exception.what() +
                               "; check the folder's owner and rights"
            );
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return make_error(
                Errc::kIo, what + " is damaged: " + exception.what() +
                               "; restore a copy, or move the file away to start empty"
            );
        case SQLITE_BUSY:
            return make_error(Errc::kIo, what + " is kept busy by another process");
        default:
            return make_error(Errc::kIo, what + ": " + exception.what());
    }
}

}  // namespace framegrid::sqlite
