// Job records, events and messages as rows.
#pragma once

#include <optional>
#include <string>

#include <framegrid/api/job_store.hpp>
#include <framegrid/store_sqlite/job_store_file.hpp>

namespace framegrid::store_sqlite {

// The columns of a whole record, in the order that record_at() reads.
#define FG_JOB_COLUMNS                                                                                    \
    "id, owner, request, kind, state, priority, created, started, finished, deadline, attempt, crashes, " \
    "holder, "                                                                                            \
    "lease, cancel_wanted, result, events, idempotency_key, request_digest, parent, trace_id"

job::Record record_at(SQLite::Statement& row);
job::Delivery delivery_at(SQLite::Statement& row);

// kNotFound, also for ids that are none.
Result<job::Record> find_record(Connection& connection, const std::string& id);
void insert_record(Connection& connection, const job::Record& record);
void insert_event(Connection& connection, const std::string& job_id, const job::Event& event);
void insert_delivery(Connection& connection, const job::Delivery& delivery);

}  // namespace framegrid::store_sqlite
