#include <framegrid/store_sqlite/sqlite_results.hpp>

namespace framegrid::store_sqlite {

Task<Result<void>> SqliteResults::keep(api::KeptResult result) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        auto& put = connection.prepare(
            "INSERT OR REPLACE INTO results (owner, key, job, data, created, expires) VALUES (?, ?, ?, ?, ?, "
            "?)"
        );
        put.bindNoCopy(1, result.owner);
        put.bindNoCopy(2, result.key);
        put.bindNoCopy(3, result.job_id);
        put.bindNoCopy(4, result.data);
        put.bind(5, result.created_unix_ms);
        put.bind(6, result.expires_unix_ms);
        put.exec();
        return {};
    });
}

Task<Result<std::optional<api::KeptResult>>> SqliteResults::find(
    std::string owner, std::string key, std::int64_t now_unix_ms
) {
    using Found = Result<std::optional<api::KeptResult>>;
    co_return co_await database_.read([&](Connection& connection) -> Found {
        auto& query = connection.prepare(
            "SELECT job, data, created, expires FROM results WHERE owner = ? AND key = ? AND expires > ?"
        );
        query.bindNoCopy(1, owner);
        query.bindNoCopy(2, key);
        query.bind(3, now_unix_ms);
        if (!query.executeStep()) {
            return std::optional<api::KeptResult>();
        }
        api::KeptResult out{owner, key, query.getColumn(0).getString(), query.getColumn(1).getString()};
        out.created_unix_ms = query.getColumn(2).getInt64();
        out.expires_unix_ms = query.getColumn(3).getInt64();
        return std::optional(std::move(out));
    });
}

Task<Result<std::size_t>> SqliteResults::forget(std::int64_t before_unix_ms, std::size_t limit) {
    co_return co_await database_.write([&](Connection& connection) -> Result<std::size_t> {
        auto& erase = connection.prepare(
            "DELETE FROM results WHERE (owner, key) IN "
            "(SELECT owner, key FROM results WHERE expires <= ? ORDER BY expires LIMIT ?)"
        );
        erase.bind(1, before_unix_ms);
        erase.bind(2, static_cast<std::int64_t>(limit));
        return static_cast<std::size_t>(erase.exec());
    });
}

}  // namespace framegrid::store_sqlite
