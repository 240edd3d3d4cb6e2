// What happens to jobs, for those who listen right now.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/job/record.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::gateway {

// A numbered event, with what is too large and too short-lived for the store.
struct ToldEvent {
    job::Event event;
    Blob preview{};  // a small JPEG; usually empty
};

// One job's latest events and whoever waits for the next one.
class JobChannel {
  public:
    // Numbers rise by one.
    void publish(ToldEvent told, bool last);
    // What came after `number`, as far as it is remembered. False: something between is only in the store.
    bool after(std::uint64_t number, std::vector<ToldEvent>& out) const;
    // Others have changed the job: those who listen read the store again.
    void forget() {
        recent_.clear();
        changed_.notify_all();
    }
    bool over() const { return over_; }
    Notifier& changed() { return changed_; }

  private:
    static constexpr std::size_t kRemembered = 64;
    std::deque<ToldEvent> recent_;
    bool over_ = false;
    Notifier changed_;
};

// The channels of jobs that run here or are listened to. Single-threaded; outlives the channels it gave.
class JobFeed {
  public:
    // The same channel for all who ask while somebody holds it.
    std::shared_ptr<JobChannel> channel_of(const std::string& job_id);
    // Null when nobody holds it.
    std::shared_ptr<JobChannel> find(const std::string& job_id) const;
    std::vector<std::string> ids() const;
    std::size_t size() const { return channels_.size(); }

  private:
    std::unordered_map<std::string, std::weak_ptr<JobChannel>> channels_;
};

}  // namespace framegrid::gateway
