// A durable job as the store keeps it: what was asked, how far it is, what came of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/trace.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::job {

enum class State : std::uint8_t { kQueued, kRunning, kSucceeded, kFailed, kCancelled };

// "queued", "running", "succeeded", "failed", "cancelled": in JSON, in the store, in metrics.
std::string_view to_string(State state);
std::optional<State> parse_state(std::string_view text);
// Nothing changes any more.
constexpr bool is_final(State state) {
    return state == State::kSucceeded || state == State::kFailed || state == State::kCancelled;
}

// "job_01jdk...": `prefix`, then 26 letters and digits, ten of the time and sixteen (80 bits) of chance.
// Nobody can guess one, and they sort by the time they were made at.
std::string make_id(std::string_view prefix, std::int64_t unix_ms, Random& random);
bool is_id(std::string_view prefix, std::string_view text);

// Times are milliseconds since 1970-01-01 UTC, because they outlive the process; 0: not yet, or none.
struct Record {
    std::string id;       // "job_" and 26 letters and digits that sort by time
    std::string owner;    // the API key's id; empty: no authentication
    std::string request;  // the accepted document (JSON, see docs/jobs.md)
    std::string kind;     // pipeline, "echo", "transcode" or "workflow": for filters and metrics
    State state = State::kQueued;
    int priority = 0;  // -1, 0, 1
    std::int64_t created_unix_ms = 0;
    std::int64_t started_unix_ms = 0;
    std::int64_t finished_unix_ms = 0;
    std::int64_t deadline_unix_ms = 0;
    int attempt = 0;           // claims so far; the fencing token of whoever runs it
    int crashes = 0;           // claims that ended without a word
    std::string lease_holder;  // the gateway that runs it
    std::int64_t lease_until_unix_ms = 0;
    bool cancel_wanted = false;
    std::string result;        // JSON; of failed jobs the error
    std::uint64_t events = 0;  // the last event's number
    std::string idempotency_key;
    std::string request_digest;  // SHA-256 of what the client sent, hex: one key means one request
    std::string parent;          // the workflow's job
    std::string trace;           // as trace_text() writes it
};

// "TRACEID", or as the header `traceparent` when it is known which span asked for the job.
std::string trace_text(const TraceContext& trace);
TraceContext parse_trace_text(std::string_view text);

// One thing that happened to a job. Numbered from 1 without gaps; what a client resumes from.
struct Event {
    std::uint64_t number = 0;
    std::int64_t at_unix_ms = 0;
    std::string kind;  // "queued", "started", "node", "progress", "waiting", or the final state
    std::string data;  // JSON object
    friend bool operator==(const Event&, const Event&) = default;
};

// A message that a webhook gets at least once, always with the same id.
struct Delivery {
    std::string id;  // "msg_..."
    std::string job_id;
    std::string url;
    std::string body;
    int attempts = 0;
    bool done = false;  // acknowledged, or given up
    bool given_up = false;
    std::int64_t next_unix_ms = 0;
    std::string last_outcome;  // "204", "connection refused": for the delivery log
};

}  // namespace framegrid::job
