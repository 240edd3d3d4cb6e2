// Port: where jobs survive. One interface for the embedded store of a single gateway and the shared one of a
// fleet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/job/record.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct Submitted {
    job::Record record;
    bool is_new = true;  // false: the idempotency key was used before, and this is the job of that time
};

// Who runs which try of a job. A store takes a change only from the holder of the current try.
struct Claim {
    std::string job_id;
    std::string holder;
    int attempt = 0;
};

// Whether it is the claim under which the job runs now: nobody else's change is taken.
inline bool is_current(const Claim& claim, const job::Record& record) {
    return record.state == job::State::kRunning && record.attempt == claim.attempt &&
           record.lease_holder == claim.holder;
}
// Whether whoever ran the job has gone away without a word.
inline bool is_left(const job::Record& record, std::int64_t now_unix_ms) {
    return record.state == job::State::kRunning && record.lease_until_unix_ms <= now_unix_ms;
}

struct JobChange {
    Claim claim;
    std::vector<job::Event> events;         // appended in order, numbered on from the record's last one
    std::optional<job::State> state;        // kQueued: handed back to the queue; else a final one
    std::string result;                     // with a final state
    std::optional<job::Delivery> delivery;  // with a final state: put into the outbox in the same step
    std::int64_t at_unix_ms = 0;
};

struct JobFilter {
    std::optional<std::string> owner{};  // absent: everybody's
    std::optional<job::State> state{};
    std::string kind{};    // empty: any
    std::string parent{};  // empty: jobs that belong to no workflow
    std::string before{};  // a job id: older ones only (the page after)
    std::size_t limit = 20;
};

// What a renewed lease says of the job meanwhile.
enum class LeaseState : std::uint8_t { kHeld, kCancelWanted, kLost };

// Every change is durable when its task is done. Called on one executor; implementations work elsewhere.
// Errors: kIo (disk full, database gone; nothing was changed unless said so), kNotFound, kDeadline.
class JobStore {
  public:
    virtual ~JobStore() = default;

    // Adds a queued job with its first event, or finds the one with the same owner and idempotency key.
    // kInvalidArgument (field "idempotency-key"): that key came with another request.
    virtual Task<Result<Submitted>> submit(job::Record record, job::Event queued) = 0;
    virtual Task<Result<job::Record>> get(std::string id) = 0;
    // Newest first.
    virtual Task<Result<std::vector<job::Record>>> list(JobFilter filter) = 0;
    virtual Task<Result<std::vector<job::Event>>> events(
        std::string id, std::uint64_t after, std::size_t limit
    ) = 0;

    // Jobs that nobody runs: queued ones, and running ones whose lease has ended; oldest first, those after
    // `after` (a job id). For start-up and for what other gateways left.
    virtual Task<Result<std::vector<job::Record>>> waiting(
        std::string after, std::int64_t now_unix_ms, std::size_t limit
    ) = 0;
    // Takes a waiting job: it is running then, its attempt one higher (its crashes, too, when it was running
    // already), and `started` is its next event (the
    // store gives the number). nullopt: somebody else has it, or it is over.
    virtual Task<Result<std::optional<job::Record>>> claim(
        std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
    ) = 0;
    // Ends the leases that an earlier process of this name left: its jobs are waiting then. Returns how many.
    virtual Task<Result<std::size_t>> reclaim(std::string holder) = 0;
    virtual Task<Result<LeaseState>> renew(Claim claim, std::int64_t until_unix_ms) = 0;
    // False: the claim is no longer the current one; nothing was changed.
    virtual Task<Result<bool>> apply(JobChange change) = 0;
    // A queued job is cancelled at once, and `change` says how (its claim is not looked at); of a running one
    // it is noted that it should be. Returns the record afterwards.
    virtual Task<Result<job::Record>> cancel(std::string id, JobChange change) = 0;

    // Jobs that another gateway has changed since the last call (an empty id: any may have been); none at the
    // deadline. A store of one gateway never has any.
    virtual Task<Result<std::vector<std::string>>> foreign_changes(Deadline deadline) = 0;

    // Messages whose time has come; taken until `until_unix_ms`, then due again.
    virtual Task<Result<std::vector<job::Delivery>>> take_due(
        std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
    ) = 0;
    virtual Task<Result<void>> update_delivery(job::Delivery delivery) = 0;
    virtual Task<Result<std::vector<job::Delivery>>> deliveries(std::string job_id) = 0;

    // Deletes final jobs, with events and messages, that finished before that time; at most `limit`.
    // Returns how many.
    virtual Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) = 0;
};

}  // namespace framegrid::api
