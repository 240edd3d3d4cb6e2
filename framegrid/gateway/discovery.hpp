// Keeps the pool's knowledge fresh: reads the list, polls each orchestrator, so that no job has to ask the network.
#pragma once

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

  private:
    struct Due {
        TimePoint at{};
        Duration retry{};
        bool polling = false;
        bool answered = false;
    };
    Task<Result<bool>> loop(TaskGroup& polls);
    Task<void> poll(std::string uri);
    Task<void> refresh_list();
    Duration period() const;

    const Ports& ports_;
    DiscoverySettings settings_;
    market::Pool& pool_;
    Notifier& changed_;
    Notifier wake_;
    std::map<std::string, Due> due_;
    bool listed_ = false;
    bool settled_ = false;
};

}  // namespace framegrid::gateway
