// The records of stored files, in the job store's database.
#pragma once

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/store_postgres/database.hpp>

namespace framegrid::store_postgres {

// `database` outlives it.
class PostgresArtifacts final : public api::ArtifactIndex {
  public:
    explicit PostgresArtifacts(Database& database) : database_(database) {}

    Task<Result<void>> add(job::ArtifactRecord record) override;
    Task<Result<job::ArtifactRecord>> find(std::string id) override;
    Task<Result<std::vector<job::ArtifactRecord>>> list(
        std::string owner, std::string before, std::size_t limit
    ) override;
    Task<Result<api::ArtifactUsage>> usage(std::string owner) override;
    Task<Result<std::vector<job::ArtifactRecord>>> expired(std::int64_t now_unix_ms, std::size_t limit)
        override;
    Task<Result<bool>> remove(std::string id) override;
    Task<Result<std::vector<std::string>>> unnamed(std::vector<std::string> digests) override;

  private:
    Database& database_;
};

}  // namespace framegrid::store_postgres
