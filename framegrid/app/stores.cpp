#include <framegrid/app/stores.hpp>

#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/sqlite/database.hpp>
#include <framegrid/store_postgres/postgres_artifacts.hpp>
#include <framegrid/store_postgres/postgres_jobs.hpp>
#include <framegrid/store_postgres/postgres_keys.hpp>
#include <framegrid/store_postgres/postgres_results.hpp>
#include <framegrid/store_postgres/shared_secret.hpp>
#include <framegrid/store_sqlite/sqlite_artifacts.hpp>
#include <framegrid/store_sqlite/sqlite_jobs.hpp>
#include <framegrid/store_sqlite/sqlite_keys.hpp>
#include <framegrid/store_sqlite/sqlite_results.hpp>

namespace framegrid::app {

namespace {

constexpr const char* kSqlite = "sqlite";

template <class Database, class Jobs, class Artifacts, class Results, class Keys>
class StoresIn final : public Stores {
  public:
    StoresIn(std::unique_ptr<Database> database, Clock& clock)
        : database_(std::move(database)),
          jobs_(*database_, clock),
          artifacts_(*database_),
          results_(*database_),
          keys_(*database_) {}
    api::JobStore& jobs() override { return jobs_; }
    api::ArtifactIndex& artifacts() override { return artifacts_; }
    api::ResultIndex& results() override { return results_; }
    api::KeyStore& keys() override { return keys_; }
    void dump(MetricsWriter& out) const override { dump_stats(out, database_->stats()); }

  private:
    static void dump_stats(MetricsWriter& out, const sqlite::DatabaseStats& stats) {
        sqlite::dump(out, stats, "store");
    }
    static void dump_stats(MetricsWriter& out, const store_postgres::DatabaseStats& stats) {
        store_postgres::dump(out, stats);
    }
    std::unique_ptr<Database> database_;
    Jobs jobs_;
    Artifacts artifacts_;
    Results results_;
    Keys keys_;
};

using SqliteStores = StoresIn<
    sqlite::Database, store_sqlite::SqliteJobs, store_sqlite::SqliteArtifacts, store_sqlite::SqliteResults,
    store_sqlite::SqliteKeys>;
using PostgresStores = StoresIn<
    store_postgres::Database, store_postgres::PostgresJobs, store_postgres::PostgresArtifacts,
    store_postgres::PostgresResults, store_postgres::PostgresKeys>;

}  // namespace

void add_store_option(CLI::App& command, std::string& store) {
    command
        .add_option(
            "--store", store,
            "where jobs are kept: sqlite (in the data directory), or postgres://USER@HOST/DATABASE for "
            "several "
            "gateways with one queue; the password in ~/.pgpass or $FRAMEGRID_STORE"
        )
        ->envname("FRAMEGRID_STORE")
        ->check([](const std::string& value) {
            const bool good = value == kSqlite || is_shared(value);
            return good ? std::string()
                        : std::string("--store is 'sqlite' or 'postgres://USER@HOST/DATABASE'");
        });
}

bool is_shared(const std::string& store) {
    return store.starts_with("postgres://") || store.starts_with("postgresql://");
}

Result<Bytes> shared_secret(const std::string& store, const std::string& name, const Bytes& fresh) {
    return store_postgres::shared_secret(store, name, fresh);
}

Result<std::unique_ptr<Stores>> Stores::open(
    const std::string& store, const host::Path& directory, Clock& clock
) {
    if (is_shared(store)) {
        FG_TRY(database, store_postgres::Database::open({.url = store}, clock));
        return std::make_unique<PostgresStores>(std::move(database), clock);
    }
    FG_TRY(database, store_sqlite::open_file(job_database(directory)));
    return std::make_unique<SqliteStores>(std::move(database), clock);
}

}  // namespace framegrid::app
