// Whose turn it is at a device that several jobs share: which waiting call runs next, and which calls run
// with it. Decides only. Not thread-safe.
//
// Jobs get equal shares of the device's time, weighted by priority, so that a short job finishes soon beside
// a long one (start-time fair queueing; Goyal, Vin and Cheng, 1996). A job that would miss its deadline if it
// waited any longer goes first, as long as it can still make it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::engine {

struct TurnLimits {
    std::int64_t rows_max = 8;  // of the calls in one turn together
    // What a turn waits for jobs of its batch that are between two calls: an eighth of the batch's last turn,
    // within these bounds.
    Duration hold_min = std::chrono::milliseconds(1);
    Duration hold_max = std::chrono::milliseconds(10);
};

class TurnPlanner {
  public:
    using JobId = std::uint64_t;

    struct Call {
        std::string batch{};    // calls with equal names may share a turn; empty: alone
        std::int64_t rows = 1;  // of the network's batch axis
        int left = 1;           // calls that the job still has to make, this one included
    };
    struct Turn {
        std::vector<JobId> jobs;  // the most urgent first; empty: nobody waits
        TimePoint not_before{};   // until then others may join; ask again when somebody does
    };

    explicit TurnPlanner(TurnLimits limits = {}) : limits_(limits) {}

    JobId join(const api::Urgency& urgency);
    // Also forgets a call that waits. The job is in no turn that runs.
    void leave(JobId job);
    // The job waits with this call. At most one at a time (asserted).
    void ask(JobId job, Call call);
    void withdraw(JobId job);

    Turn choose(TimePoint now) const;
    // A turn that choose() gave starts: its jobs do not wait any more.
    void begin(const Turn& turn);
    // It is over and has taken so long.
    void end(const Turn& turn, Duration took, TimePoint now);

    std::size_t jobs() const { return jobs_.size(); }
    std::size_t waiting() const;

  private:
    struct Job {
        api::Urgency urgency;
        double service = 0;  // seconds of the device by weight, since a start that is common to all
        bool waits = false;
        Call call;  // the last one
        TimePoint ended{};
        Duration took{};  // by its last turn
    };
    using Entry = std::map<JobId, Job>::value_type;

    bool goes_before(const Entry& a, const Entry& b, TimePoint now) const;
    static bool is_late(const Job& job, TimePoint now);
    TimePoint hold_until(const Job& leader, TimePoint now) const;

    TurnLimits limits_;
    std::map<JobId, Job> jobs_;
    JobId last_ = 0;
    double served_ = 0;  // the service of the job that led the last turn
};

}  // namespace framegrid::engine
