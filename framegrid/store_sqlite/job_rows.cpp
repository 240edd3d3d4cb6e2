#include <framegrid/store_sqlite/job_rows.hpp>

namespace framegrid::store_sqlite {

job::Record record_at(SQLite::Statement& row) {
    job::Record out;
    int at = 0;
    const auto text = [&row, &at] { return row.getColumn(at++).getString(); };
    const auto number = [&row, &at] { return row.getColumn(at++).getInt64(); };
    out.id = text();
    out.owner = text();
    out.request = text();
    out.kind = text();
    out.state = static_cast<job::State>(number());
    out.priority = static_cast<int>(number());
    out.created_unix_ms = number();
    out.started_unix_ms = number();
    out.finished_unix_ms = number();
    out.deadline_unix_ms = number();
    out.attempt = static_cast<int>(number());
    out.crashes = static_cast<int>(number());
    out.lease_holder = text();
    out.lease_until_unix_ms = number();
    out.cancel_wanted = number() != 0;
    out.result = text();
    out.events = static_cast<std::uint64_t>(number());
    out.idempotency_key = text();
    out.request_digest = text();
    out.parent = text();
    out.trace = text();
    return out;
}

job::Delivery delivery_at(SQLite::Statement& row) {
    job::Delivery out;
    out.id = row.getColumn(0).getString();
    out.job_id = row.getColumn(1).getString();
    out.url = row.getColumn(2).getString();
    out.body = row.getColumn(3).getString();
    out.attempts = row.getColumn(4).getInt();
    out.done = row.getColumn(5).getInt() != 0;
    out.given_up = row.getColumn(6).getInt() != 0;
    out.next_unix_ms = row.getColumn(7).getInt64();
    out.last_outcome = row.getColumn(8).getString();
    return out;
}

Result<job::Record> find_record(Connection& connection, const std::string& id) {
    auto& query = connection.prepare("SELECT " FG_JOB_COLUMNS " FROM jobs WHERE id = ?");
    query.bindNoCopy(1, id);
    if (!query.executeStep()) {
        return fail(Errc::kNotFound, "there is no such job; finished ones are forgotten after a while", "id");
    }
    return record_at(query);
}

void insert_record(Connection& connection, const job::Record& record) {
    auto& insert = connection.prepare("INSERT INTO jobs (" FG_JOB_COLUMNS
                                      ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    int at = 1;
    const auto text = [&insert, &at](const std::string& value) { insert.bindNoCopy(at++, value); };
    const auto number = [&insert, &at](std::int64_t value) { insert.bind(at++, value); };
    text(record.id);
    text(record.owner);
    text(record.request);
    text(record.kind);
    number(static_cast<std::int64_t>(record.state));
    number(record.priority);
    number(record.created_unix_ms);
    number(record.started_unix_ms);
    number(record.finished_unix_ms);
    number(record.deadline_unix_ms);
    number(record.attempt);
    number(record.crashes);
    text(record.lease_holder);
    number(record.lease_until_unix_ms);
    number(record.cancel_wanted ? 1 : 0);
    text(record.result);
    number(static_cast<std::int64_t>(record.events));
    text(record.idempotency_key);
    text(record.request_digest);
    text(record.parent);
    text(record.trace);
    insert.exec();
}

void insert_event(Connection& connection, const std::string& job_id, const job::Event& event) {
    auto& insert =
        connection.prepare("INSERT INTO events (job, number, at, kind, data) VALUES (?, ?, ?, ?, ?)");
    insert.bindNoCopy(1, job_id);
    insert.bind(2, static_cast<std::int64_t>(event.number));
    insert.bind(3, event.at_unix_ms);
    insert.bindNoCopy(4, event.kind);
    insert.bindNoCopy(5, event.data);
    insert.exec();
}

void insert_delivery(Connection& connection, const job::Delivery& delivery) {
    auto& insert = connection.prepare(
        "INSERT INTO deliveries (id, job, url, body, attempts, done, given_up, next, last_outcome)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    insert.bindNoCopy(1, delivery.id);
    insert.bindNoCopy(2, delivery.job_id);
    insert.bindNoCopy(3, delivery.url);
    insert.bindNoCopy(4, delivery.body);
    insert.bind(5, delivery.attempts);
    insert.bind(6, delivery.done ? 1 : 0);
    insert.bind(7, delivery.given_up ? 1 : 0);
    insert.bind(8, delivery.next_unix_ms);
    insert.bindNoCopy(9, delivery.last_outcome);
    insert.exec();
}

}  // namespace framegrid::store_sqlite
