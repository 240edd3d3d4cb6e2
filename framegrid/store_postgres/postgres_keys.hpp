// API keys, in the job store's database.
#pragma once

#include <framegrid/api/key_store.hpp>
#include <framegrid/store_postgres/database.hpp>

namespace framegrid::store_postgres {

// `database` outlives it.
class PostgresKeys final : public api::KeyStore {
  public:
    explicit PostgresKeys(Database& database) : database_(database) {}

    Task<Result<void>> add(account::KeyRecord record) override;
    Task<Result<account::KeyRecord>> find(std::string id) override;
    Task<Result<std::vector<account::KeyRecord>>> list(std::string owner) override;
    Task<Result<account::KeyRecord>> revoke(std::string id, std::int64_t at_unix_ms) override;
    Task<Result<void>> rotate(std::string id, account::KeyRecord fresh, std::int64_t at_unix_ms) override;
    Task<Result<std::vector<account::KeyRecord>>> top_up(
        std::string owner, account::Wei more, std::int64_t now_unix_ms
    ) override;
    Task<Result<std::vector<account::KeyRecord>>> changed_after(std::uint64_t change, std::size_t limit)
        override;
    Task<Result<account::Spent>> spent(std::string owner) override;
    Task<Result<account::Spent>> count_spent(
        std::string owner, std::string series, std::int64_t day, account::Counted counted
    ) override;

  private:
    Database& database_;
};

}  // namespace framegrid::store_postgres
