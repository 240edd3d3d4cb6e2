// A job store in memory, for tests and the simulator: what a crashed gateway had written is still there for
// the next one.
#pragma once

#include <map>

#include <framegrid/api/job_store.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::api {

// Single-threaded. Every call takes `delay` of the clock's time, as a disk would.
class MemoryJobStore final : public JobStore {
  public:
    explicit MemoryJobStore(Clock& clock, Duration delay = {}) : clock_(clock), delay_(delay) {}

    Task<Result<Submitted>> submit(job::Record record, job::Event queued) override;
    Task<Result<job::Record>> get(std::string id) override;
    Task<Result<std::vector<job::Record>>> list(JobFilter filter) override;
    Task<Result<std::vector<job::Event>>> events(std::string id, std::uint64_t after, std::size_t limit)
        override;
    Task<Result<std::vector<job::Record>>> waiting(
        std::string after, std::int64_t now_unix_ms, std::size_t limit
    ) override;
    Task<Result<std::optional<job::Record>>> claim(
        std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
    ) override;
    Task<Result<std::size_t>> reclaim(std::string holder) override;
    Task<Result<LeaseState>> renew(Claim claim, std::int64_t until_unix_ms) override;
    Task<Result<bool>> apply(JobChange change) override;
    Task<Result<job::Record>> cancel(std::string id, JobChange change) override;
    Task<Result<std::vector<std::string>>> foreign_changes(Deadline deadline) override;
    Task<Result<std::vector<job::Delivery>>> take_due(
        std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
    ) override;
    Task<Result<void>> update_delivery(job::Delivery delivery) override;
    Task<Result<std::vector<job::Delivery>>> deliveries(std::string job_id) override;
    Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) override;

    // Every call fails with this until it is taken back.
    void break_with(std::optional<Error> error) { broken_ = std::move(error); }

  private:
    struct Job {
        job::Record record;
        std::vector<job::Event> events;
    };
    Task<Result<void>> reach();
    void put(Job& job, const JobChange& change);

    Clock& clock_;
    Duration delay_;
    std::optional<Error> broken_;
    std::map<std::string, Job> jobs_;
    std::map<std::string, job::Delivery> deliveries_;
};

}  // namespace framegrid::api
