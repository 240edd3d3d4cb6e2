// One claimed job from its start to its end: what it tells is kept in the store, then published.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <framegrid/gateway/job_desk.hpp>

namespace framegrid::gateway {

// After the store could not keep something.
inline constexpr Duration kStoreRetry = std::chrono::seconds(1);

// How a run ended.
enum class RunEnd : std::uint8_t {
    kOver,        // the record is final
    kHandedBack,  // queued again: nobody could do it now
    kLost,        // somebody else has the job
};

// Lives in one coroutine's frame; cancel() may come from outside.
class JobRun {
  public:
    // `record` as claimed; its last event is "started". Ports and settings outlive it.
    JobRun(
        const DeskPorts& ports, const DeskSettings& settings, job::Record record,
        std::shared_ptr<JobChannel> channel
    );
    // Never fails: what goes wrong is the job's result, or is tried until it works.
    Task<RunEnd> run();
    void cancel() { canceller_.cancel(); }
    // Somebody else has the job: stop without a word.
    void lose() {
        lost_ = true;
        canceller_.cancel();
    }
    // The process stops: back to the queue, for another one.
    void hand_back() {
        handed_back_ = !canceller_.cancelled();
        canceller_.cancel();
    }
    const job::Record& record() const { return record_; }
    // How long the job is ours for certain.
    void hold_until(TimePoint at) { held_until_ = at; }
    TimePoint held_until() const { return held_until_; }

  private:
    void tell(std::string kind, std::string data, Blob preview);
    Task<Result<std::string>> work();
    Task<Result<std::string>> keep_told();
    Task<void> keep_now();
    Task<RunEnd> end(Result<std::string> result);
    Task<RunEnd> conclude(job::State state, std::string kind, std::string data, std::string result);
    Task<bool> apply(api::JobChange change, Blob preview);
    api::JobChange change() const;

    const DeskPorts& ports_;
    const DeskSettings& settings_;
    job::Record record_;
    std::shared_ptr<JobChannel> channel_;
    Canceller canceller_;
    std::deque<ToldEvent> told_;  // not yet kept; numbers come with that
    Notifier something_told_;
    TimePoint held_until_{};
    std::string verification_;  // the last event of that kind: it is part of the result, too
    bool done_ = false;
    bool lost_ = false;
    bool handed_back_ = false;
};

}  // namespace framegrid::gateway
