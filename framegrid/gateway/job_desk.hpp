// Durable jobs: accepts them, queues them fairly, runs each until it is over, and tells those who ask.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/job_store.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/gateway/job_feed.hpp>
#include <framegrid/job/record.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::gateway {

// Called with an event's kind and JSON data, and perhaps a preview. Events of kind "progress" that come
// faster than they can be kept are replaced by newer ones.
using JobTeller = std::function<void(std::string kind, std::string data, Blob preview)>;

// Port: what running a job means.
class JobRunner {
  public:
    virtual ~JobRunner() = default;
    // To its end; the value is the job's result, a JSON object. kCapacity and kUnavailable: nobody could do
    // it now. `tell` is not called afterwards. May run again after a crash: with the same record, except for
    // the attempt.
    virtual Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) = 0;
};

// Port: carries a message to a webhook.
class MessageSender {
  public:
    virtual ~MessageSender() = default;
    // The status that was answered; an error when there was no answer.
    virtual Task<Result<int>> send(job::Delivery message, Deadline deadline) = 0;
};

struct DeskSettings {
    std::string public_url;           // of the files that messages to webhooks name; empty: paths only
    std::string holder;               // this gateway's name in the store; the same after a restart
    std::size_t running_max = 256;    // at once
    std::size_t queued_max = 20'000;  // more are refused with kCapacity
    std::size_t running_of_owner_max = 256;
    std::size_t queued_of_owner_max = 10'000;
    Duration deadline_default = std::chrono::hours(1);
    Duration lease = std::chrono::seconds(30);  // renewed every third of it
    bool shared_store = false;                  // other gateways use it: look for jobs that they left
    Duration look_period = std::chrono::seconds(2);
    Duration progress_period = std::chrono::milliseconds(100);  // between kept progress events of a job
    int crashes_max = 5;                             // of a job during which the gateway went away each time
    Duration retry_first = std::chrono::seconds(1);  // when nobody could do a job; doubles up to retry_max
    Duration retry_max = std::chrono::seconds(30);
    Duration retention = std::chrono::hours(24 * 7);  // of jobs that are over
    Duration message_time_max = std::chrono::seconds(15);
    Duration message_retry_first = std::chrono::seconds(5);  // trebles with each try
    int message_attempts_max = 8;                            // the last one about 1.5 hours after the first
    std::size_t messages_max = 32;                           // at once
};

// What one owner may have of the desk; 0: as DeskSettings says for everybody.
struct OwnerLimits {
    std::size_t running_max = 0;
    std::size_t queued_max = 0;
    double weight = 1;  // turns beside an owner with 1; > 0
};

struct DeskPorts {
    Executor executor;
    Clock& clock;
    Random& random;
    Logger log;
    api::JobStore& store;
    JobRunner& runner;
    MessageSender& sender;
    // Asked whenever it matters, so that a change works at once; empty: all owners are alike.
    std::function<OwnerLimits(const std::string& owner)> limits_of = nullptr;
    Tracer tracer{};
};

struct NewJob {
    std::string owner;
    std::size_t queued_max = 0;  // of the key that asks: so many jobs of its owner may wait; 0: as the owner
    std::string kind;
    std::string request;  // JSON, as the runner reads it
    int priority = 0;
    std::int64_t deadline_ms = 0;  // 0: the default
    std::string idempotency_key;
    std::string request_digest;
    std::string parent;
    std::string trace;  // as job::trace_text() writes it
};

// Where a queued job stands.
struct QueuePlace {
    std::size_t ahead = 0;
    std::optional<Duration> wait;  // about; nullopt: nothing has been measured yet
};

struct DeskStats {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;  // the queue, the owner's part of it or the deadline
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t handed_back = 0;  // nobody could do it now
    std::uint64_t claims_lost = 0;  // somebody else has taken it over
    std::uint64_t store_errors = 0;
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_failed = 0;
    std::size_t queued = 0;
    std::size_t running = 0;
    std::size_t listened = 0;  // jobs with a channel
};
void dump(MetricsWriter& out, const DeskStats& stats);

// Runs on one executor; every method is called there. The references of its ports outlive it.
class JobDesk {
  public:
    virtual ~JobDesk() = default;
    // Takes up what an earlier process left, then runs jobs until cancelled. What runs then is continued by
    // the next process.
    virtual Task<Result<bool>> serve() = 0;

    // Durable when it returns. kCapacity: the queue is full, or the job would not be done by its deadline;
    // kInvalidArgument: the idempotency key belongs to another request; kIo.
    virtual Task<Result<api::Submitted>> submit(NewJob job) = 0;
    // Everywhere and at once. Returns the record as it is then: a running job ends a moment later.
    virtual Task<Result<job::Record>> cancel(std::string id) = 0;
    virtual std::optional<QueuePlace> place_of(const std::string& id) const = 0;

    // Keeps a job's events in memory for as long as it is held: get one before the first call of
    // events_after().
    virtual std::shared_ptr<JobChannel> listen(const std::string& id) = 0;
    // The events after `number`; waits until there are some or `until`. Empty: none came.
    virtual Task<Result<std::vector<ToldEvent>>> events_after(
        std::string id, std::shared_ptr<JobChannel> channel, std::uint64_t number, TimePoint until
    ) = 0;
    // For an orderly stop: begins no more jobs and refuses new ones (kUnavailable), lets those that run go on
    // until `until`, and hands the rest back to the queue, where the next process finds them without counting
    // a crash. For good.
    virtual Task<void> drain(TimePoint until) = 0;
    virtual bool draining() const = 0;
    virtual DeskStats stats() const = 0;
};

std::unique_ptr<JobDesk> make_job_desk(DeskPorts ports, DeskSettings settings);

}  // namespace framegrid::gateway
