// The job store of a single gateway: a SQLite file.
#pragma once

#include <framegrid/api/job_store.hpp>
#include <framegrid/store_sqlite/job_store_file.hpp>

namespace framegrid::store_sqlite {

// `database` and `clock` outlive it. Several processes may share a file; each sees what the others changed
// when it looks.
class SqliteJobs final : public api::JobStore {
  public:
    SqliteJobs(Database& database, Clock& clock) : database_(database), clock_(clock) {}

    Task<Result<api::Submitted>> submit(job::Record record, job::Event queued) override;
    Task<Result<job::Record>> get(std::string id) override;
    Task<Result<std::vector<job::Record>>> list(api::JobFilter filter) override;
    Task<Result<std::vector<job::Event>>> events(std::string id, std::uint64_t after, std::size_t limit)
        override;
    Task<Result<std::vector<job::Record>>> waiting(
        std::string after, std::int64_t now_unix_ms, std::size_t limit
    ) override;
    Task<Result<std::optional<job::Record>>> claim(
        std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
    ) override;
    Task<Result<std::size_t>> reclaim(std::string holder) override;
    Task<Result<api::LeaseState>> renew(api::Claim claim, std::int64_t until_unix_ms) override;
    Task<Result<bool>> apply(api::JobChange change) override;
    Task<Result<job::Record>> cancel(std::string id, api::JobChange change) override;
    Task<Result<std::vector<std::string>>> foreign_changes(Deadline deadline) override;
    Task<Result<std::vector<job::Delivery>>> take_due(
        std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
    ) override;
    Task<Result<void>> update_delivery(job::Delivery delivery) override;
    Task<Result<std::vector<job::Delivery>>> deliveries(std::string job_id) override;
    Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) override;

  private:
    Database& database_;
    Clock& clock_;
};

}  // namespace framegrid::store_sqlite
