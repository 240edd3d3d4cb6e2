#include <framegrid/store_sqlite/sqlite_jobs.hpp>

#include <framegrid/store_sqlite/job_rows.hpp>

namespace framegrid::store_sqlite {

namespace {

using job::State;

void put_change(Connection& connection, const job::Record& record, const api::JobChange& change) {
    for (const auto& event : change.events) {
        insert_event(connection, record.id, event);
    }
    if (change.delivery) {
        insert_delivery(connection, *change.delivery);
    }
    const auto events = change.events.empty() ? record.events : change.events.back().number;
    if (!change.state) {
        auto& update = connection.prepare("UPDATE jobs SET events = ? WHERE id = ?");
        update.bind(1, static_cast<std::int64_t>(events));
        update.bindNoCopy(2, record.id);
        update.exec();
        return;
    }
    const bool over = job::is_final(*change.state);
    auto& update = connection.prepare(
        "UPDATE jobs SET events = ?, state = ?, result = ?, finished = ?, holder = '', lease = 0 WHERE id = ?"
    );
    update.bind(1, static_cast<std::int64_t>(events));
    update.bind(2, static_cast<int>(*change.state));
    update.bindNoCopy(3, change.result);
    update.bind(4, over ? change.at_unix_ms : 0);
    update.bindNoCopy(5, record.id);
    update.exec();
}

Result<api::Submitted> submit_in(Connection& connection, job::Record& record, const job::Event& queued) {
    if (!record.idempotency_key.empty()) {
        auto& query =
            connection.prepare("SELECT " FG_JOB_COLUMNS " FROM jobs WHERE owner = ? AND idempotency_key = ?");
        query.bindNoCopy(1, record.owner);
        query.bindNoCopy(2, record.idempotency_key);
        if (query.executeStep()) {
            auto known = record_at(query);
            if (known.request_digest != record.request_digest) {
                return fail(
                    Errc::kInvalidArgument,
                    "this idempotency key was used with another request, for job " + known.id,
                    "idempotency-key"
                );
            }
            return api::Submitted{std::move(known), false};
        }
    }
    record.events = queued.number;
    insert_record(connection, record);
    insert_event(connection, record.id, queued);
    return api::Submitted{std::move(record), true};
}

Result<std::optional<job::Record>> claim_in(
    Connection& connection, const std::string& id, const std::string& holder, job::Event& started,
    std::int64_t until
) {
    auto found = find_record(connection, id);
    if (!found) {
        return std::optional<job::Record>{};
    }
    auto& record = *found;
    const auto now = started.at_unix_ms;
    const bool abandoned = api::is_left(record, now);
    if (record.state != State::kQueued && !abandoned) {
        return std::optional<job::Record>{};
    }
    record.state = State::kRunning;
    record.attempt += 1;
    record.crashes += abandoned ? 1 : 0;
    record.lease_holder = holder;
    record.lease_until_unix_ms = until;
    record.started_unix_ms = record.started_unix_ms == 0 ? now : record.started_unix_ms;
    started.number = ++record.events;
    insert_event(connection, record.id, started);
    auto& update = connection.prepare(
        "UPDATE jobs SET state = 1, attempt = ?, holder = ?, lease = ?, started = ?, events = ?, crashes = ?"
        " WHERE id = ?"
    );
    update.bind(1, record.attempt);
    update.bindNoCopy(2, record.lease_holder);
    update.bind(3, record.lease_until_unix_ms);
    update.bind(4, record.started_unix_ms);
    update.bind(5, static_cast<std::int64_t>(record.events));
    update.bind(6, record.crashes);
    update.bindNoCopy(7, record.id);
    update.exec();
    return std::optional<job::Record>(std::move(record));
}

Result<std::vector<job::Record>> list_in(Connection& connection, const api::JobFilter& filter) {
    // One statement for each set of conditions would be more code than time saved: lists are for people. An
    // owner's has its index.
#define FG_LIST_JOBS(whose)                            \
    "SELECT " FG_JOB_COLUMNS " FROM jobs WHERE " whose \
    " AND (?2 < 0 OR state = ?2)"                      \
    " AND (?3 = '' OR kind = ?3) AND parent = ?4 AND (?5 = '' OR id < ?5) ORDER BY id DESC LIMIT ?6"
    auto& query = connection.prepare(filter.owner ? FG_LIST_JOBS("owner = ?1") : FG_LIST_JOBS("?1 = ''"));
#undef FG_LIST_JOBS
    const std::string owner = filter.owner.value_or("");
    query.bindNoCopy(1, owner);
    query.bind(2, filter.state ? static_cast<int>(*filter.state) : -1);
    query.bindNoCopy(3, filter.kind);
    query.bindNoCopy(4, filter.parent);
    query.bindNoCopy(5, filter.before);
    query.bind(6, static_cast<std::int64_t>(filter.limit));
    std::vector<job::Record> out;
    while (query.executeStep()) {
        out.push_back(record_at(query));
    }
    return out;
}

Result<std::vector<job::Delivery>> take_due_in(
    Connection& connection, std::int64_t now, std::int64_t until, std::size_t limit
) {
    std::vector<job::Delivery> out;
    auto& query = connection.prepare(
        "SELECT id, job, url, body, attempts, done, given_up, next, last_outcome FROM deliveries"
        " WHERE done = 0 AND next <= ? ORDER BY next LIMIT ?"
    );
    query.bind(1, now);
    query.bind(2, static_cast<std::int64_t>(limit));
    while (query.executeStep()) {
        out.push_back(delivery_at(query));
    }
    for (const auto& delivery : out) {
        auto& update = connection.prepare("UPDATE deliveries SET next = ? WHERE id = ?");
        update.bind(1, until);
        update.bindNoCopy(2, delivery.id);
        update.exec();
    }
    return out;
}

Result<std::size_t> forget_in(Connection& connection, std::int64_t before, std::size_t limit) {
    std::vector<std::string> ids;
    auto& query = connection.prepare("SELECT id FROM jobs WHERE state >= 2 AND finished < ? LIMIT ?");
    query.bind(1, before);
    query.bind(2, static_cast<std::int64_t>(limit));
    while (query.executeStep()) {
        ids.push_back(query.getColumn(0).getString());
    }
    for (const auto& id : ids) {
        for (const char* sql :
             {"DELETE FROM events WHERE job = ?", "DELETE FROM deliveries WHERE job = ? AND done = 1",
              "DELETE FROM jobs WHERE id = ?"}) {
            auto& erase = connection.prepare(sql);
            erase.bindNoCopy(1, id);
            erase.exec();
        }
    }
    return ids.size();
}

}  // namespace

Task<Result<api::Submitted>> SqliteJobs::submit(job::Record record, job::Event queued) {
    co_return co_await database_.write([&](Connection& connection) {
        return submit_in(connection, record, queued);
    });
}

Task<Result<job::Record>> SqliteJobs::get(std::string id) {
    co_return co_await database_.read([&](Connection& connection) { return find_record(connection, id); });
}

Task<Result<std::vector<job::Record>>> SqliteJobs::list(api::JobFilter filter) {
    co_return co_await database_.read([&](Connection& connection) { return list_in(connection, filter); });
}

Task<Result<std::vector<job::Event>>> SqliteJobs::events(
    std::string id, std::uint64_t after, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Event>> {
        auto& query = connection.prepare(
            "SELECT number, at, kind, data FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?"
        );
        query.bindNoCopy(1, id);
        query.bind(2, static_cast<std::int64_t>(after));
        query.bind(3, static_cast<std::int64_t>(limit));
        std::vector<job::Event> out;
        while (query.executeStep()) {
            out.push_back(
                {static_cast<std::uint64_t>(query.getColumn(0).getInt64()), query.getColumn(1).getInt64(),
                 query.getColumn(2).getString(), query.getColumn(3).getString()}
            );
        }
        return out;
    });
}

Task<Result<std::vector<job::Record>>> SqliteJobs::waiting(
    std::string after, std::int64_t now_unix_ms, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Record>> {
        auto& query = connection.prepare("SELECT " FG_JOB_COLUMNS
                                         " FROM jobs INDEXED BY jobs_open WHERE state < 2"
                                         " AND (state = 0 OR lease <= ?) AND id > ? ORDER BY id LIMIT ?");
        query.bind(1, now_unix_ms);
        query.bindNoCopy(2, after);
        query.bind(3, static_cast<std::int64_t>(limit));
        std::vector<job::Record> out;
        while (query.executeStep()) {
            out.push_back(record_at(query));
        }
        return out;
    });
}

Task<Result<std::optional<job::Record>>> SqliteJobs::claim(
    std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
) {
    co_return co_await database_.write([&](Connection& connection) {
        return claim_in(connection, id, holder, started, until_unix_ms);
    });
}

Task<Result<std::size_t>> SqliteJobs::reclaim(std::string holder) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::size_t> {
        auto& update = connection.prepare(
            "UPDATE jobs SET lease = 0 WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_open"
            " WHERE state < 2 AND state = 1 AND holder = ?)"
        );
        update.bindNoCopy(1, holder);
        return static_cast<std::size_t>(update.exec());
    });
}

Task<Result<api::LeaseState>> SqliteJobs::renew(api::Claim claim, std::int64_t until_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) -> Result<api::LeaseState> {
        const auto record = find_record(connection, claim.job_id);
        if (!record || !api::is_current(claim, *record)) {
            return api::LeaseState::kLost;
        }
        auto& update = connection.prepare("UPDATE jobs SET lease = ? WHERE id = ?");
        update.bind(1, until_unix_ms);
        update.bindNoCopy(2, claim.job_id);
        update.exec();
        return record->cancel_wanted ? api::LeaseState::kCancelWanted : api::LeaseState::kHeld;
    });
}

Task<Result<bool>> SqliteJobs::apply(api::JobChange change) {
    co_return co_await database_.write([&](Connection& connection) -> Result<bool> {
        const auto record = find_record(connection, change.claim.job_id);
        if (!record || !api::is_current(change.claim, *record)) {
            return false;
        }
        put_change(connection, *record, change);
        return true;
    });
}

Task<Result<job::Record>> SqliteJobs::cancel(std::string id, api::JobChange change) {
    co_return co_await database_.write([&](Connection& connection) -> Result<job::Record> {
        FG_TRY(record, find_record(connection, id));
        if (record.state == State::kQueued) {
            put_change(connection, record, change);
        } else if (record.state == State::kRunning) {
            auto& update = connection.prepare("UPDATE jobs SET cancel_wanted = 1 WHERE id = ?");
            update.bindNoCopy(1, id);
            update.exec();
        }
        return find_record(connection, id);
    });
}

Task<Result<std::vector<std::string>>> SqliteJobs::foreign_changes(Deadline deadline) {
    co_await sleep_until(clock_, deadline.at);
    co_return std::vector<std::string>{};
}

Task<Result<std::vector<job::Delivery>>> SqliteJobs::take_due(
    std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
) {
    co_return co_await database_.write([&](Connection& connection) {
        return take_due_in(connection, now_unix_ms, until_unix_ms, limit);
    });
}

Task<Result<void>> SqliteJobs::update_delivery(job::Delivery delivery) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        auto& update = connection.prepare(
            "UPDATE deliveries SET attempts = ?, done = ?, given_up = ?, next = ?, last_outcome = ? WHERE id "
            "= ?"
        );
        update.bind(1, delivery.attempts);
        update.bind(2, delivery.done ? 1 : 0);
        update.bind(3, delivery.given_up ? 1 : 0);
        update.bind(4, delivery.next_unix_ms);
        update.bindNoCopy(5, delivery.last_outcome);
        update.bindNoCopy(6, delivery.id);
        update.exec();
        return {};
    });
}

Task<Result<std::vector<job::Delivery>>> SqliteJobs::deliveries(std::string job_id) {
    co_return co_await database_.read([&](Connection& connection) -> Result<std::vector<job::Delivery>> {
        auto& query = connection.prepare(
            "SELECT id, job, url, body, attempts, done, given_up, next, last_outcome FROM deliveries"
            " WHERE job = ? ORDER BY id"
        );
        query.bindNoCopy(1, job_id);
        std::vector<job::Delivery> out;
        while (query.executeStep()) {
            out.push_back(delivery_at(query));
        }
        return out;
    });
}

Task<Result<std::size_t>> SqliteJobs::forget(std::int64_t before_unix_ms, std::size_t limit) {
    co_return co_await database_.write([&](Connection& connection) {
        return forget_in(connection, before_unix_ms, limit);
    });
}

}  // namespace framegrid::store_sqlite
