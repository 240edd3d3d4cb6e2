#include <framegrid/store_sqlite/job_store_file.hpp>

#include <array>
#include <utility>

namespace framegrid::store_sqlite {

namespace {

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
    R"sql(
CREATE TABLE spent (
  owner TEXT PRIMARY KEY, total TEXT NOT NULL, day INTEGER NOT NULL, today TEXT NOT NULL
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE spend_series (
  number INTEGER PRIMARY KEY, owner TEXT NOT NULL, series TEXT NOT NULL, total TEXT NOT NULL,
  back TEXT NOT NULL, UNIQUE (owner, series)
);
CREATE INDEX spend_series_order ON spend_series (owner, number);
)sql",
};

constexpr sqlite::Schema kSchema{"the job store", kSchemaSteps};

}  // namespace

Result<std::unique_ptr<Database>> open_file(std::filesystem::path file) {
    return Database::open({.file = std::move(file)}, kSchema);
}

}  // namespace framegrid::store_sqlite
