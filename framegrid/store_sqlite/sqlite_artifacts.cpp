#include <framegrid/store_sqlite/sqlite_artifacts.hpp>

namespace framegrid::store_sqlite {

namespace {

#define FG_ARTIFACT_COLUMNS "id, owner, digest, bytes, content_type, name, job, created, expires"

job::ArtifactRecord artifact_at(SQLite::Statement& row) {
    job::ArtifactRecord out;
    out.id = row.getColumn(0).getString();
    out.owner = row.getColumn(1).getString();
    out.digest = row.getColumn(2).getString();
    out.bytes = static_cast<std::uint64_t>(row.getColumn(3).getInt64());
    out.content_type = row.getColumn(4).getString();
    out.name = row.getColumn(5).getString();
    out.job_id = row.getColumn(6).getString();
    out.created_unix_ms = row.getColumn(7).getInt64();
    out.expires_unix_ms = row.getColumn(8).getInt64();
    return out;
}

std::vector<job::ArtifactRecord> all_of_rows(SQLite::Statement& query) {
    std::vector<job::ArtifactRecord> out;
    while (query.executeStep()) {
        out.push_back(artifact_at(query));
    }
    return out;
}

Result<job::ArtifactRecord> find_in(Connection& connection, const std::string& id) {
    auto& query = connection.prepare("SELECT " FG_ARTIFACT_COLUMNS " FROM artifacts WHERE id = ?");
    query.bindNoCopy(1, id);
    if (!query.executeStep()) {
        return fail(Errc::kNotFound, "there is no such file; files are deleted after a while", "id");
    }
    return artifact_at(query);
}

bool is_used_in(Connection& connection, const std::string& digest) {
    auto& query = connection.prepare("SELECT 1 FROM artifacts WHERE digest = ? LIMIT 1");
    query.bindNoCopy(1, digest);
    return query.executeStep();
}

}  // namespace

Task<Result<void>> SqliteArtifacts::add(job::ArtifactRecord record) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        auto& insert = connection.prepare("INSERT INTO artifacts (" FG_ARTIFACT_COLUMNS
                                          ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
        insert.bindNoCopy(1, record.id);
        insert.bindNoCopy(2, record.owner);
        insert.bindNoCopy(3, record.digest);
        insert.bind(4, static_cast<std::int64_t>(record.bytes));
        insert.bindNoCopy(5, record.content_type);
        insert.bindNoCopy(6, record.name);
        insert.bindNoCopy(7, record.job_id);
        insert.bind(8, record.created_unix_ms);
        insert.bind(9, record.expires_unix_ms);
        insert.exec();
        return {};
    });
}

Task<Result<job::ArtifactRecord>> SqliteArtifacts::find(std::string id) {
    co_return co_await database_.read([&](Connection& connection) { return find_in(connection, id); });
}

Task<Result<std::vector<job::ArtifactRecord>>> SqliteArtifacts::list(
    std::string owner, std::string before, std::size_t limit
) {
    using Records = Result<std::vector<job::ArtifactRecord>>;
    co_return co_await database_.read([&](Connection& connection) -> Records {
        auto& query = connection.prepare(
            "SELECT " FG_ARTIFACT_COLUMNS
            " FROM artifacts WHERE owner = ?1 AND (?2 = '' OR id < ?2) ORDER BY id DESC LIMIT ?3"
        );
        query.bindNoCopy(1, owner);
        query.bindNoCopy(2, before);
        query.bind(3, static_cast<std::int64_t>(limit));
        return all_of_rows(query);
    });
}

Task<Result<api::ArtifactUsage>> SqliteArtifacts::usage(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) -> Result<api::ArtifactUsage> {
        auto& query =
            connection.prepare("SELECT count(*), coalesce(sum(bytes), 0) FROM artifacts WHERE owner = ?");
        query.bindNoCopy(1, owner);
        (void)query.executeStep();
        return api::ArtifactUsage{
            static_cast<std::uint64_t>(query.getColumn(0).getInt64()),
            static_cast<std::uint64_t>(query.getColumn(1).getInt64())
        };
    });
}

Task<Result<std::vector<job::ArtifactRecord>>> SqliteArtifacts::expired(
    std::int64_t now_unix_ms, std::size_t limit
) {
    using Records = Result<std::vector<job::ArtifactRecord>>;
    co_return co_await database_.read([&](Connection& connection) -> Records {
        auto& query = connection.prepare("SELECT " FG_ARTIFACT_COLUMNS
                                         " FROM artifacts WHERE expires <= ? ORDER BY expires LIMIT ?");
        query.bind(1, now_unix_ms);
        query.bind(2, static_cast<std::int64_t>(limit));
        return all_of_rows(query);
    });
}

Task<Result<bool>> SqliteArtifacts::remove(std::string id) {
    co_return co_await database_.write([&](Connection& connection) -> Result<bool> {
        FG_TRY(record, find_in(connection, id));
        auto& erase = connection.prepare("DELETE FROM artifacts WHERE id = ?");
        erase.bindNoCopy(1, id);
        erase.exec();
        return !is_used_in(connection, record.digest);
    });
}

Task<Result<std::vector<std::string>>> SqliteArtifacts::unnamed(std::vector<std::string> digests) {
    using Digests = Result<std::vector<std::string>>;
    co_return co_await database_.read([&](Connection& connection) -> Digests {
        std::erase_if(digests, [&](const std::string& digest) { return is_used_in(connection, digest); });
        return std::move(digests);
    });
}

}  // namespace framegrid::store_sqlite
