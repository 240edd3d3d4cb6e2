// Messages to webhooks: at least once each, with the same id every time (Standard Webhooks 1.0).
#pragma once

#include <optional>

#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

// What a job's webhook is told of its end; nullopt: it has none. The body is
// {"type":"job.succeeded","timestamp",...,"data":{the job}}.
std::optional<job::Delivery> message_of(
    const job::Record& record, const DeskSettings& settings, Random& random
);

// What becomes of a message after a try: done, given up, or when the next try is.
void settle(
    job::Delivery& message, const Result<int>& outcome, const DeskSettings& settings, std::int64_t now
);

// Sends what is due. Lives as long as the desk.
class JobMessages {
  public:
    JobMessages(const DeskPorts& ports, const DeskSettings& settings) : ports_(ports), settings_(settings) {}
    // Until cancelled.
    Task<Result<bool>> serve();
    // There is a new message.
    void notify() { due_.notify_all(); }
    std::uint64_t sent() const { return sent_; }
    std::uint64_t failed() const { return failed_; }

  private:
    Task<Result<bool>> look(TaskGroup& sending);
    Task<void> send(job::Delivery message);

    const DeskPorts& ports_;
    const DeskSettings& settings_;
    Notifier due_;
    std::uint64_t sent_ = 0;
    std::uint64_t failed_ = 0;
};

}  // namespace framegrid::gateway
