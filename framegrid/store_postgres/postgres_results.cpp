#include <framegrid/store_postgres/postgres_results.hpp>

namespace framegrid::store_postgres {

Task<Result<void>> PostgresResults::keep(api::KeptResult result) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        FG_CHECK(connection.query(
            "INSERT INTO results (owner, key, job, data, created, expires) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (owner, key) DO UPDATE SET job = $3, data = $4, created = $5, expires = $6",
            {result.owner, result.key, result.job_id, result.data, result.created_unix_ms,
             result.expires_unix_ms}
        ));
        return {};
    });
}

Task<Result<std::optional<api::KeptResult>>> PostgresResults::find(
    std::string owner, std::string key, std::int64_t now_unix_ms
) {
    using Found = Result<std::optional<api::KeptResult>>;
    co_return co_await database_.read([&](Connection& connection) -> Found {
        FG_TRY(
            rows, connection.query(
                      "SELECT job, data, created, expires FROM results"
                      " WHERE owner = $1 AND key = $2 AND expires > $3",
                      {owner, key, now_unix_ms}
                  )
        );
        if (rows.empty()) {
            return std::optional<api::KeptResult>();
        }
        api::KeptResult out{owner, key, rows.text(0, 0), rows.text(0, 1)};
        out.created_unix_ms = rows.number(0, 2);
        out.expires_unix_ms = rows.number(0, 3);
        return std::optional(std::move(out));
    });
}

Task<Result<std::size_t>> PostgresResults::forget(std::int64_t before_unix_ms, std::size_t limit) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::size_t> {
        FG_TRY(
            done, connection.query(
                      "DELETE FROM results WHERE (owner, key) IN (SELECT owner, key FROM results"
                      " WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)",
                      {before_unix_ms, static_cast<std::int64_t>(limit)}
                  )
        );
        return done.changed();
    });
}

}  // namespace framegrid::store_postgres
