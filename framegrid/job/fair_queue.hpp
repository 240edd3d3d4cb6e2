// Which of the waiting jobs comes next: fair between owners, by priority within one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace framegrid::job {

// Start-time fair queueing (Goyal, Vin, Cheng 1996): an owner who submits thousands of jobs delays the
// others by one job each, not by thousands. Each owner's jobs of one priority are a flow, first come, first
// served; a flow of high priority gets four times the turns of one of normal priority, that four times those
// of low. All operations take logarithmic time. Not thread-safe.
class FairQueue {
  public:
    struct Entry {
        std::string id;
        std::string owner;
        int priority = 0;   // -1, 0, 1
        double weight = 1;  // of the owner, > 0
    };

    // False: an entry of that id is in it already.
    bool push(Entry entry);
    // How many jobs of an owner may run at once.
    using RunningMax = std::function<std::size_t(const std::string& owner)>;
    // The next job of an owner who runs fewer than that; it counts as running until release().
    std::optional<Entry> pop(const RunningMax& running_max);
    std::optional<Entry> pop(std::size_t running_max) {
        return pop([running_max](const std::string&) { return running_max; });
    }
    // A job that pop() gave is over, or back.
    void release(const std::string& owner);
    bool remove(const std::string& id);

    bool contains(const std::string& id) const { return places_.contains(id); }
    std::size_t size() const { return places_.size(); }
    std::size_t size_of(const std::string& owner) const;
    std::size_t running_of(const std::string& owner) const;
    // About how many jobs come before it, as things are now; nullopt: it is not in the queue.
    std::optional<std::size_t> ahead_of(const std::string& id) const;
    // The same for a job that would be pushed now.
    std::size_t ahead_of_new(const std::string& owner, int priority, double weight) const;

  private:
    using FlowKey = std::pair<std::string, int>;  // owner, priority
    struct Flow {
        std::map<std::uint64_t, std::string> jobs{};  // by order of arrival
        std::uint64_t arrivals = 0;
        double weight = 1;
        double start = 0;  // virtual time of its next job's turn
    };
    struct Place {
        FlowKey flow;
        std::uint64_t order = 0;
    };
    struct Owner {
        std::size_t running = 0;
        std::size_t queued = 0;
    };
    using Turn = std::pair<double, FlowKey>;  // ordered by virtual time

    std::size_t count_before(const FlowKey& key, std::size_t place, double start, double weight) const;
    void drop_idle_owner(const std::string& owner);

    std::map<FlowKey, Flow> flows_;
    std::set<Turn> turns_;  // flows with jobs
    std::unordered_map<std::string, Place> places_;
    std::unordered_map<std::string, Owner> owners_;
    double now_ = 0;  // virtual time: the start of the job that was taken last
};

}  // namespace framegrid::job
