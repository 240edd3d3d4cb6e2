// The gateway's view of the orchestrators it knows, and the choice of one for a job. Socket-free: fed with
// discovery answers, job outcomes, time and randomness.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/job/constraints.hpp>
#include <framegrid/market/verdict.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::market {

struct PoolSettings {
    std::size_t orchestrators_max = 20'000;
    std::optional<Price> price_max;  // orchestrators that ask for more are never picked
    Duration suspend_first =
        std::chrono::seconds(1);  // after the first failure; doubles with each further one
    Duration suspend_max = std::chrono::seconds(60);
    Duration busy_pause =
        std::chrono::milliseconds(150);          // after an honest "I am full": no reputation is lost
    std::size_t sample_size = 24;                // candidates compared per pick
    std::size_t needs_kinds_max = 64;            // distinct job needs that stay indexed
    std::size_t models_seen_max = 10'000;        // that are remembered, for each kind of AI job
    Duration memory = std::chrono::seconds(10);  // how long somebody who could serve is hoped to come back
};

// Index of an orchestrator; stays valid until it is removed.
using Slot = std::uint32_t;

// What a job asks of its orchestrator.
struct Demand {
    job::Capabilities needs;
    std::optional<Price> price_max;  // the client's own cap, on top of the pool's
    std::vector<Slot> exclude;       // already tried for this job
    std::vector<Slot> prefer;        // hold a session of the same stream: keep its codecs and caches warm
    std::string model_id;            // AI jobs: a node that has it warm is preferred
    std::optional<job::Capability> capability;
    job::Constraints constraints{};
    bool price_told = false;  // price_max is the client's own: who loses the job by its price may know it
    bool counted = false;     // who lost this job has been noted already
};

struct PoolStats {
    std::uint64_t picks = 0;
    std::uint64_t picks_empty = 0;  // nobody suitable
    std::uint64_t suspensions = 0;
    std::size_t orchestrators = 0;
    std::size_t usable = 0;  // answered discovery and not suspended
};
void dump(MetricsWriter& out, const PoolStats& stats);

// A line of `framegrid status` and of the gateway's /status page.
struct PoolEntryView {
    std::string uri;
    bool known = false;  // has answered discovery
    bool suspended = false;
    std::uint32_t in_flight = 0;
    std::uint32_t capacity = 0;
    double latency_score = 0;    // transcoding: measured seconds per second of media; 0 = not measured
    std::uint32_t failures = 0;  // in a row
};

// A model that orchestrators offer for one kind of AI job.
struct OfferedModel {
    std::string id;
    job::Capability capability{};
    std::size_t nodes = 0;       // that offer it
    std::size_t warm_nodes = 0;  // that have it loaded
};

// Not thread-safe. Cost of pick(): a constant-size sample of an index kept current on every update.
class Pool {
  public:
    explicit Pool(PoolSettings settings);
    ~Pool();

    // The current list of service URIs: new ones are added, vanished ones removed. Over the limit the rest is
    // dropped.
    void set_list(const std::vector<std::string>& uris);
    void set_price_max(std::optional<Price> price) { settings_.price_max = price; }
    std::vector<std::string> uris() const;
    std::optional<Slot> find(std::string_view uri) const;
    const std::string& uri(Slot slot) const;
    std::size_t size() const;

    // True when the node has become usable, or offers something else than before.
    bool on_info(Slot slot, api::OrchestratorInfo info, TimePoint now);
    // Not picked until a poll (or a job under way) gets an answer again; its reputation does not suffer.
    void on_info_failed(Slot slot);
    void on_started(Slot slot);
    // latency_score: seconds taken per second of media, or per job for AI; kept apart for each capability.
    void on_done(Slot slot, std::optional<job::Capability> capability, double latency_score);
    void on_busy(Slot slot, TimePoint now);
    // capability: of the job that failed, nullopt for transcoding. Suspends; afterwards the node gets jobs of
    // this kind only while it has no others, and seldom, until it has done one.
    void on_failed(Slot slot, std::optional<job::Capability> capability, TimePoint now, Random& random);
    // The caller gave up (cancelled, or the job was at fault): nothing is learned.
    void on_abandoned(Slot slot);

    // The best of a random sample of suitable orchestrators; nullopt when there is none. Suspended,
    // busy-paused, incompatible, excluded and too expensive ones are never returned; full ones only when
    // nothing else is left.
    std::optional<Slot> pick(const Demand& demand, TimePoint now, Random& random);
    // Nobody took the job: all who could have, lost it. For at most a thousand of them.
    void on_refused(const Demand& demand, TimePoint now);
    // The jobs that this one did not get since the last call, as far as it was considered for them: in a
    // large pool a choice is among a sample.
    api::LostJobs take_lost(Slot slot);
    // It could not be told: takes them back.
    void return_lost(Slot slot, const api::LostJobs& lost);
    // True when somebody compatible, affordable and not excluded exists, even if suspended or busy now, or
    // did until a moment ago (nodes restart and come back with the same workers): waiting may help.
    bool could_serve(const Demand& demand, TimePoint now);
    // True when such a one has ever been known, however long ago, unless it has left the list.
    bool ever_could_serve(const Demand& demand);
    // What a unit of such a job may cost now: the dearest of those that could serve it, not counting who asks
    // for over twice as much as the cheapest. nullopt: nobody.
    std::optional<Price> price_for(const Demand& demand, TimePoint now);
    // Of this one; 0 wei when it has not said any.
    Price price_of(Slot slot, const Demand& demand) const;
    // What keeps the job from everybody in the pool; lists at most `listed_max`, those that could serve it
    // first. Looks at up to a thousand: for jobs that nobody took.
    Explanation explain(const Demand& demand, TimePoint now, std::size_t listed_max) const;
    // The earliest time at which a suspended or paused candidate becomes usable again.
    std::optional<TimePoint> next_release(const Demand& demand, TimePoint now);

    const api::OrchestratorInfo* info(Slot slot) const;
    std::vector<PoolEntryView> view(TimePoint now) const;
    // Of all nodes that have answered and are not gone, by id and capability. Walks all of them.
    std::vector<OfferedModel> models() const;
    // False: nobody has ever offered this model for this kind of AI job. In doubt true: when more were
    // offered than are remembered.
    bool ever_offered(job::Capability capability, const std::string& model_id) const;
    PoolStats stats(TimePoint now) const;

  private:
    struct Entry;
    struct NeedsKind;
    struct Scored;
    struct Considered;
    NeedsKind& kind_for(const job::Capabilities& needs);
    void reindex(Slot slot, TimePoint now);
    void remember_models(const Entry& entry);
    // Of one that is compatible.
    Obstacle obstacle_of(Slot slot, const Demand& demand, TimePoint now) const;
    void note_lost(Slot slot, Obstacle obstacle, const Demand& demand);
    std::int64_t foreign_jobs(Slot slot) const;
    void forget_kind();
    double score(const Entry& entry, const Demand& demand, bool preferred, Random& random) const;
    Verdict judge(Slot slot, const Demand& demand, TimePoint now) const;
    Price limit_of(const Demand& demand) const;
    static Price price_of(const Entry& entry, const Demand& demand);
    bool affordable(const Entry& entry, const Demand& demand) const;
    // Whether the client lets it have the job, at its price.
    bool acceptable(const Entry& entry, const Demand& demand) const;
    bool could_serve_since(const Demand& demand, TimePoint since);
    void release(Slot slot);
    void suspend(Entry& entry, TimePoint now, Random& random);

    PoolSettings settings_;
    std::vector<std::unique_ptr<Entry>> entries_;  // by slot; null when free
    std::vector<Slot> free_;
    std::unordered_map<std::string, Slot> by_uri_;
    std::vector<std::unique_ptr<NeedsKind>> kinds_;               // most recently used first
    std::map<std::uint32_t, std::set<std::string>> models_seen_;  // by capability
    PoolStats stats_;
};

}  // namespace framegrid::market
