// Keeps the pool's knowledge fresh: reads the list, polls each orchestrator, so that no job has to ask the
// network.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

class Discovery {
  public:
    // Calls `changed.notify_all()` whenever an orchestrator has become known or usable.
    Discovery(const Ports& ports, DiscoverySettings settings, market::Pool& pool, Notifier& changed);
    // Until cancelled.
    Task<Result<bool>> serve();
    // True once the list has been read and everybody on it has answered or failed once.
    bool settled() const { return settled_; }

    // The list has changed: reads it now instead of at the end of its period.
    void read_list();
    // A job finds nobody: asks everybody again soon, in pools small enough to bear it. Rate-limited.
    void look_again();

  private:
    struct Known {
        TimePoint due{};   // of the next poll; meaningless while polling
        Duration pause{};  // before the next poll; short after a change or a failure, then doubling
        bool polling = false;
        bool answered = false;  // or failed, once
        bool reachable = true;  // the last poll got an answer
    };
    Task<Result<bool>> loop(TaskGroup& polls);
    bool start_polls(TaskGroup& polls, TimePoint now);
    Task<void> poll(std::string uri);
    Task<void> refresh_list();
    void apply(const std::vector<std::string>& uris);
    void schedule(const std::string& uri, Known& known, TimePoint at);
    void check_settled();
    Duration period() const;
    Duration jittered(Duration duration) const;

    const Ports& ports_;
    DiscoverySettings settings_;
    market::Pool& pool_;
    Notifier& changed_;
    TimePoint list_at_{};  // when the list is read next
    Notifier wake_;        // of loop(), which else sleeps until wakes_at_
    TimePoint wakes_at_{};
    bool wants_poller_ = false;  // something is due, and all pollers are busy
    std::map<std::string, Known> known_;
    std::set<std::pair<TimePoint, std::string>> queue_;  // of those that are not being polled
    std::size_t unanswered_ = 0;
    std::size_t polling_ = 0;
    bool listed_ = false;
    TimePoint looked_again_{};
    bool settled_ = false;
};

}  // namespace framegrid::gateway
