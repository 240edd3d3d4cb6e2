// Results of work by what it was, in the job store's file.
#pragma once

#include <framegrid/api/result_index.hpp>
#include <framegrid/store_sqlite/job_store_file.hpp>

namespace framegrid::store_sqlite {

// `database` outlives it.
class SqliteResults final : public api::ResultIndex {
  public:
    explicit SqliteResults(Database& database) : database_(database) {}

    Task<Result<void>> keep(api::KeptResult result) override;
    Task<Result<std::optional<api::KeptResult>>> find(
        std::string owner, std::string key, std::int64_t now_unix_ms
    ) override;
    Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) override;

  private:
    Database& database_;
};

}  // namespace framegrid::store_sqlite
