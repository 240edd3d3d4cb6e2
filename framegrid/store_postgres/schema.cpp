#include <framegrid/store_postgres/schema.hpp>

#include <array>

namespace framegrid::store_postgres {

namespace {

// What each version of the schema adds to the one before. Ids are compared byte by byte (COLLATE "C"), as
// everywhere else: they sort by time.
constexpr std::array kSchemaSteps{
    R"sql(
CREATE TABLE jobs (
  id TEXT COLLATE "C" PRIMARY KEY, owner TEXT NOT NULL, request TEXT NOT NULL, kind TEXT NOT NULL,
  state BIGINT NOT NULL, priority BIGINT NOT NULL, created BIGINT NOT NULL, started BIGINT NOT NULL,
  finished BIGINT NOT NULL, deadline BIGINT NOT NULL, attempt BIGINT NOT NULL, crashes BIGINT NOT NULL,
  holder TEXT NOT NULL, lease BIGINT NOT NULL, cancel_wanted BIGINT NOT NULL, result TEXT NOT NULL,
  events BIGINT NOT NULL, idempotency_key TEXT NOT NULL, request_digest TEXT NOT NULL,
  parent TEXT COLLATE "C" NOT NULL, trace_id TEXT NOT NULL
);
CREATE INDEX jobs_open ON jobs (id) WHERE state < 2;
CREATE INDEX jobs_of_owner ON jobs (owner, id);
CREATE INDEX jobs_of_parent ON jobs (parent, id) WHERE parent <> '';
CREATE INDEX jobs_finished ON jobs (finished) WHERE state >= 2;
CREATE UNIQUE INDEX jobs_idempotent ON jobs (owner, idempotency_key) WHERE idempotency_key <> '';
CREATE TABLE events (
  job TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL,
  data TEXT NOT NULL, PRIMARY KEY (job, number)
);
CREATE TABLE deliveries (
  id TEXT COLLATE "C" PRIMARY KEY, job TEXT COLLATE "C" NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
  attempts BIGINT NOT NULL, done BIGINT NOT NULL, given_up BIGINT NOT NULL, next BIGINT NOT NULL,
  last_outcome TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (next) WHERE done = 0;
CREATE INDEX deliveries_of_job ON deliveries (job);
CREATE TABLE artifacts (
  id TEXT COLLATE "C" PRIMARY KEY, owner TEXT NOT NULL, digest TEXT NOT NULL, bytes BIGINT NOT NULL,
  content_type TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL, created BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX artifacts_of_owner ON artifacts (owner, id);
CREATE INDEX artifacts_of_digest ON artifacts (digest);
CREATE INDEX artifacts_expiring ON artifacts (expires);
CREATE TABLE api_keys (
  id TEXT COLLATE "C" PRIMARY KEY, secret TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,
  scopes TEXT NOT NULL, limits TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  revoked BIGINT NOT NULL, change BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_keys_changed ON api_keys (change);
CREATE TABLE results (
  owner TEXT NOT NULL, key TEXT NOT NULL, job TEXT NOT NULL, data TEXT NOT NULL, created BIGINT NOT NULL,
  expires BIGINT NOT NULL, PRIMARY KEY (owner, key)
);
CREATE INDEX results_expiring ON results (expires);
)sql",
    R"sql(
CREATE TABLE shared_secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
)sql",
    R"sql(
CREATE TABLE spent (owner TEXT PRIMARY KEY, total TEXT NOT NULL, day BIGINT NOT NULL, today TEXT NOT NULL);
)sql",
    R"sql(
CREATE TABLE spend_series (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner TEXT NOT NULL, series TEXT NOT NULL,
  total TEXT NOT NULL, back TEXT NOT NULL, UNIQUE (owner, series)
);
CREATE INDEX spend_series_order ON spend_series (owner, number);
)sql",
};

Result<void> take_steps(Connection& connection) {
    // Several gateways may start at the same time.
    FG_CHECK(connection.script("BEGIN; SELECT pg_advisory_xact_lock(hashtext('framegrid schema'))"));
    // Making what is there already would need the right to make it.
    FG_TRY(schema, connection.script("SELECT 1 FROM pg_namespace WHERE nspname = 'framegrid'"));
    if (schema.empty()) {
        FG_CHECK(connection.script("CREATE SCHEMA framegrid"));
    }
    FG_CHECK(connection.script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"));
    FG_TRY(found, connection.script("SELECT coalesce(max(version), 0) FROM schema_version"));
    const auto version = static_cast<std::size_t>(found.number(0, 0));
    if (version > kSchemaSteps.size()) {
        return fail(Errc::kIo, "the job store's database was written by a newer version of framegrid");
    }
    for (auto step = version; step < kSchemaSteps.size(); ++step) {
        FG_CHECK(connection.script(kSchemaSteps.at(step)));
    }
    if (version < kSchemaSteps.size()) {
        FG_CHECK(connection.script(
            "DELETE FROM schema_version; INSERT INTO schema_version VALUES (" +
            std::to_string(kSchemaSteps.size()) + ")"
        ));
    }
    FG_CHECK(connection.script("COMMIT"));
    return {};
}

}  // namespace

Result<void> migrate(Connection& connection) {
    auto done = take_steps(connection);
    if (!done && !connection.broken()) {
        (void)connection.script("ROLLBACK");
    }
    return done;
}

}  // namespace framegrid::store_postgres
