#include <framegrid/store_postgres/postgres_jobs.hpp>

namespace framegrid::store_postgres {

namespace {

using job::State;

// The columns of a whole record, in the order that record_of() reads.
#define FG_JOB_COLUMNS                                                                                    \
    "id, owner, request, kind, state, priority, created, started, finished, deadline, attempt, crashes, " \
    "holder, lease, cancel_wanted, result, events, idempotency_key, request_digest, parent, trace_id"
#define FG_DELIVERY_COLUMNS "id, job, url, body, attempts, done, given_up, next, last_outcome"

std::int64_t number(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

job::Record record_of(RowReader row, const ClockOffset& offset) {
    job::Record out;
    out.id = row.text();
    out.owner = row.text();
    out.request = row.text();
    out.kind = row.text();
    out.state = static_cast<State>(row.number());
    out.priority = static_cast<int>(row.number());
    out.created_unix_ms = row.number();
    out.started_unix_ms = row.number();
    out.finished_unix_ms = row.number();
    out.deadline_unix_ms = row.number();
    out.attempt = static_cast<int>(row.number());
    out.crashes = static_cast<int>(row.number());
    out.lease_holder = row.text();
    const auto lease = row.number();
    out.lease_until_unix_ms = lease == 0 ? 0 : offset.to_gateway(lease);
    out.cancel_wanted = row.number() != 0;
    out.result = row.text();
    out.events = static_cast<std::uint64_t>(row.number());
    out.idempotency_key = row.text();
    out.request_digest = row.text();
    out.parent = row.text();
    out.trace = row.text();
    return out;
}

std::vector<job::Record> records_of(const Rows& rows, const ClockOffset& offset) {
    return each_row(rows, [&offset](RowReader row) { return record_of(row, offset); });
}

std::vector<job::Delivery> deliveries_of(const Rows& rows) {
    return each_row(rows, [](RowReader row) {
        job::Delivery out;
        out.id = row.text();
        out.job_id = row.text();
        out.url = row.text();
        out.body = row.text();
        out.attempts = static_cast<int>(row.number());
        out.done = row.number() != 0;
        out.given_up = row.number() != 0;
        out.next_unix_ms = row.number();
        out.last_outcome = row.text();
        return out;
    });
}

Result<job::Record> one_record(const Result<Rows>& rows, const ClockOffset& offset) {
    if (!rows) {
        return fail(rows.error());
    }
    if (rows->empty()) {
        return fail(Errc::kNotFound, "there is no such job; finished ones are forgotten after a while", "id");
    }
    return record_of(RowReader(*rows, 0), offset);
}

Result<job::Record> find_record(Connection& connection, const std::string& id, const ClockOffset& offset) {
    return one_record(connection.query("SELECT " FG_JOB_COLUMNS " FROM jobs WHERE id = $1", {id}), offset);
}

// Whoever holds a job numbers its events: one that is there already is the same one, from a commit whose
// answer was lost.
Result<void> put_events(Connection& connection, const std::string& id, const api::JobChange& change) {
    for (const auto& event : change.events) {
        FG_CHECK(connection.query(
            "INSERT INTO events (job, number, at, kind, data) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (job, number) DO NOTHING",
            {id, number(event.number), event.at_unix_ms, event.kind, event.data}
        ));
    }
    if (change.delivery) {
        const auto& message = *change.delivery;
        FG_CHECK(connection.query(
            "INSERT INTO deliveries (" FG_DELIVERY_COLUMNS
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " ON CONFLICT (id) DO NOTHING",
            {message.id, message.job_id, message.url, message.body, std::int64_t{message.attempts},
             std::int64_t{message.done}, std::int64_t{message.given_up}, message.next_unix_ms,
             message.last_outcome}
        ));
    }
    connection.tell(id);
    return {};
}

// What a change does to the record itself; absent: the claim is no longer the current one.
Result<bool> put_state(Connection& connection, const api::Claim& claim, const api::JobChange& change) {
    const auto events = change.events.empty() ? 0 : number(change.events.back().number);
#define FG_CURRENT " WHERE id = $1 AND state = 1 AND holder = $2 AND attempt = $3"
    if (!change.state) {
        FG_TRY(
            done, connection.query(
                      "UPDATE jobs SET events = greatest(events, $4)" FG_CURRENT,
                      {claim.job_id, claim.holder, std::int64_t{claim.attempt}, events}
                  )
        );
        return done.changed() == 1;
    }
    FG_TRY(
        done, connection.query(
                  "UPDATE jobs SET events = greatest(events, $4), state = $5, result = $6, finished = $7, "
                  "holder = '',"
                  " lease = 0" FG_CURRENT,
                  {claim.job_id, claim.holder, std::int64_t{claim.attempt}, events,
                   static_cast<std::int64_t>(*change.state), change.result,
                   job::is_final(*change.state) ? change.at_unix_ms : 0}
              )
    );
#undef FG_CURRENT
    return done.changed() == 1;
}

Result<api::Submitted> submit_in(
    Connection& connection, job::Record record, const job::Event& queued, const ClockOffset& offset
) {
    record.events = queued.number;
    FG_TRY(
        put,
        connection.query(
            "WITH put AS (INSERT INTO jobs (" FG_JOB_COLUMNS
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
            " $20, $21) ON CONFLICT (owner, idempotency_key) WHERE idempotency_key <> '' DO NOTHING"
            " RETURNING id)"
            " INSERT INTO events (job, number, at, kind, data) SELECT id, $17, $22, $23, $24 FROM put",
            {record.id,
             record.owner,
             record.request,
             record.kind,
             static_cast<std::int64_t>(record.state),
             std::int64_t{record.priority},
             record.created_unix_ms,
             record.started_unix_ms,
             record.finished_unix_ms,
             record.deadline_unix_ms,
             std::int64_t{record.attempt},
             std::int64_t{record.crashes},
             record.lease_holder,
             record.lease_until_unix_ms,
             std::int64_t{record.cancel_wanted},
             record.result,
             number(record.events),
             record.idempotency_key,
             record.request_digest,
             record.parent,
             record.trace,
             queued.at_unix_ms,
             queued.kind,
             queued.data}
        )
    );
    if (put.changed() == 1) {
        return api::Submitted{std::move(record), true};
    }
    FG_TRY(
        known, one_record(
                   connection.query(
                       "SELECT " FG_JOB_COLUMNS " FROM jobs WHERE owner = $1 AND idempotency_key = $2",
                       {record.owner, record.idempotency_key}
                   ),
                   offset
               )
    );
    if (known.request_digest != record.request_digest) {
        return fail(
            Errc::kInvalidArgument, "this idempotency key was used with another request, for job " + known.id,
            "idempotency-key"
        );
    }
    return api::Submitted{std::move(known), false};
}

struct Wanted {
    std::string id;
    std::string holder;
    job::Event started;
    std::int64_t until_unix_ms = 0;
};

// A row that somebody else is changing right now is not waited for: whoever that is has the job.
Result<std::optional<job::Record>> claim_in(
    Connection& connection, const Wanted& wanted, const ClockOffset& offset
) {
    const auto& started = wanted.started;
    FG_TRY(
        rows,
        connection.query(
            "WITH mine AS (SELECT id AS mine_id FROM jobs WHERE id = $1 AND (state = 0 OR (state = 1 AND"
            " lease <= $2)) FOR UPDATE SKIP LOCKED),"
            " taken AS (UPDATE jobs SET state = 1, attempt = attempt + 1, crashes = crashes + state,"
            " holder = $3, lease = $4, started = CASE WHEN started = 0 THEN $5 ELSE started END,"
            " events = events + 1 FROM mine WHERE id = mine_id RETURNING " FG_JOB_COLUMNS
            "), told AS (INSERT INTO events (job, number, at, kind, data) SELECT id, events, $5, $6, $7"
            " FROM taken) SELECT " FG_JOB_COLUMNS " FROM taken",
            {wanted.id, offset.to_database(started.at_unix_ms), wanted.holder,
             offset.to_database(wanted.until_unix_ms), started.at_unix_ms, started.kind, started.data}
        )
    );
    if (rows.empty()) {
        return std::optional<job::Record>{};
    }
    connection.tell(wanted.id);
    return std::optional(record_of(RowReader(rows, 0), offset));
}

Result<job::Record> cancel_in(
    Connection& connection, const std::string& id, const api::JobChange& change, const ClockOffset& offset
) {
    FG_TRY(
        record,
        one_record(
            connection.query("SELECT " FG_JOB_COLUMNS " FROM jobs WHERE id = $1 FOR UPDATE", {id}), offset
        )
    );
    if (record.state == State::kQueued) {
        FG_CHECK(connection.query(
            "UPDATE jobs SET events = $2, state = $3, result = $4, finished = $5, holder = '', lease = 0"
            " WHERE id = $1",
            {id, change.events.empty() ? number(record.events) : number(change.events.back().number),
             static_cast<std::int64_t>(State::kCancelled), change.result, change.at_unix_ms}
        ));
        FG_CHECK(put_events(connection, id, change));
    } else if (record.state == State::kRunning) {
        FG_CHECK(connection.query("UPDATE jobs SET cancel_wanted = 1 WHERE id = $1", {id}));
        connection.tell(id);
    }
    return find_record(connection, id, offset);
}

}  // namespace

Task<Result<api::Submitted>> PostgresJobs::submit(job::Record record, job::Event queued) {
    co_return co_await database_.write([&](Connection& connection) {
        return submit_in(connection, record, queued, database_.offset());
    });
}

Task<Result<job::Record>> PostgresJobs::get(std::string id) {
    co_return co_await database_.read([&](Connection& connection) {
        return find_record(connection, id, database_.offset());
    });
}

Task<Result<std::vector<job::Record>>> PostgresJobs::list(api::JobFilter filter) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Record>> {
#define FG_LIST_JOBS(whose)                                                                           \
    "SELECT " FG_JOB_COLUMNS " FROM jobs WHERE " whose                                                \
    " AND ($2 < 0 OR state = $2) AND ($3 = '' OR kind = $3) AND parent = $4 AND ($5 = '' OR id < $5)" \
    " ORDER BY id DESC LIMIT $6"
        const std::string owner = filter.owner.value_or("");
        const auto* const sql = filter.owner ? FG_LIST_JOBS("owner = $1") : FG_LIST_JOBS("$1 = ''");
#undef FG_LIST_JOBS
        FG_TRY(
            rows, connection.query(
                      sql, {owner, filter.state ? static_cast<std::int64_t>(*filter.state) : -1, filter.kind,
                            filter.parent, filter.before, number(filter.limit)}
                  )
        );
        return records_of(rows, database_.offset());
    });
}

Task<Result<std::vector<job::Event>>> PostgresJobs::events(
    std::string id, std::uint64_t after, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Event>> {
        FG_TRY(
            rows, connection.query(
                      "SELECT number, at, kind, data FROM events WHERE job = $1 AND number > $2"
                      " ORDER BY number LIMIT $3",
                      {id, number(after), number(limit)}
                  )
        );
        return each_row(rows, [](RowReader row) {
            job::Event out;
            out.number = static_cast<std::uint64_t>(row.number());
            out.at_unix_ms = row.number();
            out.kind = row.text();
            out.data = row.text();
            return out;
        });
    });
}

Task<Result<std::vector<job::Record>>> PostgresJobs::waiting(
    std::string after, std::int64_t now_unix_ms, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Record>> {
        FG_TRY(
            rows, connection.query(
                      "SELECT " FG_JOB_COLUMNS " FROM jobs WHERE state < 2 AND (state = 0 OR lease <= $1)"
                      " AND id > $2 ORDER BY id LIMIT $3",
                      {database_.offset().to_database(now_unix_ms), after, number(limit)}
                  )
        );
        return records_of(rows, database_.offset());
    });
}

Task<Result<std::optional<job::Record>>> PostgresJobs::claim(
    std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
) {
    const Wanted wanted{std::move(id), std::move(holder), std::move(started), until_unix_ms};
    co_return co_await database_.write([&](Connection& connection) {
        return claim_in(connection, wanted, database_.offset());
    });
}

Task<Result<std::size_t>> PostgresJobs::reclaim(std::string holder) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::size_t> {
        FG_TRY(
            done, connection.query(
                      "UPDATE jobs SET lease = 0 WHERE state < 2 AND state = 1 AND holder = $1", {holder}
                  )
        );
        return done.changed();
    });
}

Task<Result<api::LeaseState>> PostgresJobs::renew(api::Claim claim, std::int64_t until_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) -> Result<api::LeaseState> {
        FG_TRY(
            rows, connection.query(
                      "UPDATE jobs SET lease = $4 WHERE id = $1 AND state = 1 AND holder = $2 AND"
                      " attempt = $3 RETURNING cancel_wanted",
                      {claim.job_id, claim.holder, std::int64_t{claim.attempt},
                       database_.offset().to_database(until_unix_ms)}
                  )
        );
        if (rows.empty()) {
            return api::LeaseState::kLost;
        }
        return rows.number(0, 0) != 0 ? api::LeaseState::kCancelWanted : api::LeaseState::kHeld;
    });
}

Task<Result<bool>> PostgresJobs::apply(api::JobChange change) {
    co_return co_await database_.write([&](Connection& connection) -> Result<bool> {
        FG_TRY(current, put_state(connection, change.claim, change));
        if (!current) {
            return false;
        }
        FG_CHECK(put_events(connection, change.claim.job_id, change));
        return true;
    });
}

Task<Result<job::Record>> PostgresJobs::cancel(std::string id, api::JobChange change) {
    co_return co_await database_.write([&](Connection& connection) {
        return cancel_in(connection, id, change, database_.offset());
    });
}

Task<Result<std::vector<std::string>>> PostgresJobs::foreign_changes(Deadline deadline) {
    co_return co_await database_.listener().next(clock_, deadline);
}

Task<Result<std::vector<job::Delivery>>> PostgresJobs::take_due(
    std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::vector<job::Delivery>> {
        FG_TRY(
            rows, connection.query(
                      "UPDATE deliveries SET next = $2 WHERE id IN (SELECT id FROM deliveries WHERE done = 0"
                      " AND next <= $1 ORDER BY next LIMIT $3 FOR UPDATE SKIP LOCKED)"
                      " RETURNING " FG_DELIVERY_COLUMNS,
                      {now_unix_ms, until_unix_ms, number(limit)}
                  )
        );
        return deliveries_of(rows);
    });
}

Task<Result<void>> PostgresJobs::update_delivery(job::Delivery delivery) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        FG_CHECK(connection.query(
            "UPDATE deliveries SET attempts = $2, done = $3, given_up = $4, next = $5, last_outcome = $6"
            " WHERE id = $1",
            {delivery.id, std::int64_t{delivery.attempts}, std::int64_t{delivery.done},
             std::int64_t{delivery.given_up}, delivery.next_unix_ms, delivery.last_outcome}
        ));
        return {};
    });
}

Task<Result<std::vector<job::Delivery>>> PostgresJobs::deliveries(std::string job_id) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Delivery>> {
        FG_TRY(
            rows, connection.query(
                      "SELECT " FG_DELIVERY_COLUMNS " FROM deliveries WHERE job = $1 ORDER BY id", {job_id}
                  )
        );
        return deliveries_of(rows);
    });
}

Task<Result<std::size_t>> PostgresJobs::forget(std::int64_t before_unix_ms, std::size_t limit) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::size_t> {
        FG_TRY(
            rows, connection.query(
                      "WITH gone AS (DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state >= 2 AND"
                      " finished < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id),"
                      " gone_events AS (DELETE FROM events WHERE job IN (SELECT id FROM gone)),"
                      " gone_deliveries AS (DELETE FROM deliveries WHERE done = 1 AND job IN"
                      " (SELECT id FROM gone)) SELECT count(*) FROM gone",
                      {before_unix_ms, number(limit)}
                  )
        );
        return static_cast<std::size_t>(rows.number(0, 0));
    });
}

}  // namespace framegrid::store_postgres
