// The network's users: streams whose segments are sent several at a time and must come back complete and in
// order, and batches of AI requests. A client tries again when its gateway cannot serve it; it never gives up
// on honest input.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <sim/payload.hpp>
#include <sim/world.hpp>

namespace framegrid::sim {

struct ClientStats {
    std::uint64_t done = 0;                       // with the right result
    std::uint64_t rejected = 0;                   // poison, called so
    std::uint64_t cancelled = 0;                  // by the client
    std::uint64_t retries = 0;                    // by clients
    std::uint64_t early = 0;                      // renditions that came before their jobs' ends
    std::uint64_t progress = 0;                   // steps of AI jobs that were told of
    std::uint64_t attempts = 0;                   // by gateways, for the jobs that are done
    std::map<std::string, std::uint64_t> errors;  // that clients saw, by code
    Duration slowest{};
};

class Clients {
  public:
    explicit Clients(World& world);
    // Starts as much as the network is meant to bear; each end starts the next.
    void start();
    std::uint64_t ended() const { return ended_; }
    bool finished() const { return ended_ == jobs_.size() && flows_open_ == 0; }
    std::size_t running() const { return running_; }
    const ClientStats& stats() const { return stats_; }
    // Adds a finding for everything that is not as it must be at the end of a run.
    void check_finished();

  private:
    enum class State : std::uint8_t { kWaiting, kRunning, kDone, kRejected, kCancelled };
    struct Flow {
        std::uint32_t id = 0;
        std::uint32_t gateway = 0;
        bool ai = false;
        std::uint32_t first = 0;  // job
        std::uint32_t count = 0;
        std::uint32_t started = 0;
        std::uint32_t ended = 0;
        std::uint32_t released = 0;  // handed to the player, in order
        std::uint32_t window = 1;    // jobs at once
        bool over = false;
    };
    struct Job {
        std::uint32_t flow = 0;
        std::uint32_t seq = 0;
        bool poison = false;
        bool cancelled = false;  // the client will give up
        State state = State::kWaiting;
        std::uint32_t answers = 0;  // that ended it: must be 1
        std::uint32_t errors = 0;   // that the client saw
        std::string last_error;
        TimePoint began{};
    };

    void draw_flows();
    void start_next_flow(std::uint32_t gateway, bool ai);
    void feed(std::uint32_t flow);
    Task<void> run_job(std::uint32_t index);
    Task<void> end_flow(std::uint32_t flow);
    using Early = std::map<std::size_t, Blob>;  // what one attempt has told of
    Task<Result<gateway::JobResult>> submit(std::uint32_t index, Early& early);
    api::ArtifactSink early_sink(std::uint32_t index, Early& early);
    api::ProgressSink progress_sink(std::uint32_t index);
    void judge_early(std::uint32_t index, const gateway::JobResult& result, const Early& early);
    // True when the job has ended.
    bool judge(std::uint32_t index, const Result<gateway::JobResult>& result, std::uint32_t gateway_starts);
    bool judge_error(std::uint32_t index, const Error& error, std::uint32_t gateway_starts);
    void finish(std::uint32_t index, State state);
    void release(Flow& flow);
    std::string describe(const Job& job) const;
    JobKey key_of(const Job& job) const;

    World& world_;
    std::vector<Flow> flows_;
    std::vector<Job> jobs_;
    std::map<std::pair<std::uint32_t, bool>, std::deque<std::uint32_t>>
        waiting_;  // flows, by gateway and kind
    std::uint64_t ended_ = 0;
    std::size_t running_ = 0;
    std::size_t flows_open_ = 0;
    job::Capabilities ai_needs_;
    ClientStats stats_;
};

}  // namespace framegrid::sim
