// The gateway role: knows orchestrators, gives each job to a suitable one, and goes on to the next when one
// fails.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/account/limits.hpp>
#include <framegrid/api/key_store.hpp>
#include <framegrid/api/orchestrator.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/base/wei.hpp>
#include <framegrid/gateway/payments.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/market/pool.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::gateway {

// Port: where the list of orchestrators comes from (a fixed list, a webhook).
class OrchestratorSource {
  public:
    virtual ~OrchestratorSource() = default;
    // Service URIs. On an error the last good list stays in use.
    virtual Task<Result<std::vector<std::string>>> list(Deadline deadline) = 0;
};

struct DiscoverySettings {
    Duration list_period = std::chrono::seconds(60);
    Duration list_time_max = std::chrono::seconds(3);
    Duration info_period =
        std::chrono::seconds(10);  // per orchestrator, jittered; longer in very large pools
    Duration info_retry = std::chrono::milliseconds(500);  // after a failed poll, doubling up to info_period
    Duration info_time_max = std::chrono::seconds(3);
    std::size_t polls_max = 64;  // at once
};

struct Settings {
    market::PoolSettings pool;
    DiscoverySettings discovery;
    std::size_t jobs_max = 1'000;      // at once; more are refused with kCapacity
    std::size_t streams_max = 10'000;  // streams whose sessions are remembered
    Duration stream_idle_max = std::chrono::seconds(60);
    int attempts_max = 6;   // orchestrators asked for one job
    int confirmations = 2;  // nodes that must call a job's input bad before the client is told so
    Duration wait_max = std::chrono::seconds(10);           // for an orchestrator to become available
    Duration transcode_time_min = std::chrono::seconds(8);  // per attempt: max(this, 4 x duration)
    Duration ai_time_max = std::chrono::minutes(10);        // per attempt
    PaymentSettings payments{};
};

struct Ports {
    Executor executor;
    Clock& clock;
    Random& random;
    Logger log;
    api::OrchestratorDirectory& orchestrators;
    OrchestratorSource& source;
    std::optional<PaymentPorts> payments{};  // absent: off-chain, nothing is paid
    Tracer tracer{};
};

struct JobRequest {
    std::string manifest_id;  // the stream's name; work of one stream shares sessions
    std::int64_t seq = 0;
    job::Capabilities needs;
    std::optional<Price> price_max;
    bool price_told = false;  // price_max is the client's own, not made of what others ask: no secret
    job::Constraints constraints{};
    Pixels units{};       // what AI work is paid by
    std::string owner{};  // who asks for it: its limits of money apply; empty: nobody's
    // Of the key that asks, in the place of its owner's; absent: not known any more.
    std::optional<account::Limits> key_limits{};
    api::Work work;
    // Told of renditions as they are done, each at most once; a failed attempt's are kept by the later ones.
    // Not called after run() has returned.
    api::ArtifactSink early = nullptr;
    // Told how far an AI job is; starts again when another orchestrator does. Not called afterwards, either.
    api::ProgressSink progress = nullptr;
    // Told why nobody takes it, when run() gives up for that.
    std::function<void(const market::Explanation&)> refused = nullptr;
    // Told who is asked, and how many have been, before each attempt.
    std::function<void(const std::string& orchestrator, int attempt)> attempt = nullptr;
    // Asked before money leaves for an attempt, with what it may cost: what this keeps is known after a
    // crash. An error stops the attempt. Not called where nothing is paid.
    std::function<Task<Result<void>>(Wei fee)> paying = nullptr;
};

struct JobResult {
    api::WorkOutput output;
    std::string orchestrator;  // who did it
    int attempts = 1;
    Price price{};              // per unit, as that one asks for it
    std::int64_t units = 0;     // that it was counted as
    std::optional<Wei> cost{};  // what was paid for it, rounded up; absent: off-chain
};

// In whole wei: what was paid, or `units` at the price where nothing is. nullopt: more than can be counted.
std::optional<std::int64_t> cost_of(const JobResult& result, Pixels units);

// What the network says about a kind of job now.
struct Offer {
    Price price;               // per unit, at most: see market::Pool::price_for
    std::string model_digest;  // as the last result of the model said; empty: not known yet
};

struct Stats {
    std::uint64_t jobs_done = 0;
    std::uint64_t jobs_failed = 0;
    std::uint64_t jobs_refused = 0;  // over jobs_max
    std::uint64_t retries = 0;
    std::uint64_t renditions_early = 0;  // taken before their jobs' ends
    std::uint64_t results_rejected = 0;  // an orchestrator's answer that did not hold what was asked for
    std::size_t in_flight = 0;
    std::size_t streams = 0;
    market::PoolStats pool;
    std::optional<PaymentStats> payments{};
    Timings jobs;      // by pipeline
    Timings attempts;  // by orchestrator
};
void dump(MetricsWriter& out, const Stats& stats);

// Runs on one executor; every method is called there.
class Gateway {
  public:
    virtual ~Gateway() = default;
    // Keeps the pool fresh until cancelled. run() works only while this runs.
    virtual Task<Result<bool>> serve() = 0;
    // One job, on as many orchestrators as it takes. kUnprocessable and other rejects: the job is at fault.
    // kUnavailable: nobody offers this; kCapacity: everybody is full; kDeadline.
    virtual Task<Result<JobResult>> run(JobRequest request, Deadline deadline) = 0;
    // nullopt: nobody offers this, or only above the request's or the gateway's price. Of the request its
    // needs, price and AI model count.
    virtual std::optional<Offer> offer(const JobRequest& request) = 0;
    // Why nobody would take such a job now, or who would.
    virtual market::Explanation explain(const JobRequest& request) const = 0;
    // The operator has changed the list of orchestrators or the price limit: works for what comes next.
    virtual void reconfigure(std::optional<Price> price_max) = 0;
    // What each owner may spend, asked before each job; for what is paid. What they do is kept in `store`,
    // which outlives this; null: it is counted since this process began.
    virtual void limit_spending(
        std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store
    ) = 0;
    // The stream is over: its sessions are ended at the orchestrators.
    virtual Task<void> end_stream(std::string manifest_id) = 0;
    virtual std::vector<market::PoolEntryView> pool() const = 0;
    // What GET /v1/models lists.
    virtual std::vector<market::OfferedModel> models() const = 0;
    // False: everybody has been asked, and nobody has ever offered this model for this kind of AI job.
    virtual bool ever_offered(job::Capability capability, const std::string& model_id) const {
        (void)capability;
        (void)model_id;
        return true;
    }
    virtual Stats stats() const = 0;
    // What is left at each orchestrator, exactly.
    virtual std::vector<pay::BalanceEntry> books() const { return {}; }
};

std::unique_ptr<Gateway> make_gateway(Ports ports, Settings settings);

}  // namespace framegrid::gateway
