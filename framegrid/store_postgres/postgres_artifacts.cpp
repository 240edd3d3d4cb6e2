#include <framegrid/store_postgres/postgres_artifacts.hpp>

namespace framegrid::store_postgres {

namespace {

using Records = Result<std::vector<job::ArtifactRecord>>;

#define FG_ARTIFACT_COLUMNS "id, owner, digest, bytes, content_type, name, job, created, expires"

std::int64_t number(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

job::ArtifactRecord artifact_of(RowReader row) {
    job::ArtifactRecord out;
    out.id = row.text();
    out.owner = row.text();
    out.digest = row.text();
    out.bytes = static_cast<std::uint64_t>(row.number());
    out.content_type = row.text();
    out.name = row.text();
    out.job_id = row.text();
    out.created_unix_ms = row.number();
    out.expires_unix_ms = row.number();
    return out;
}

std::unexpected<Error> no_such_file() {
    return fail(Errc::kNotFound, "there is no such file; files are deleted after a while", "id");
}

Result<bool> is_used_in(Connection& connection, const std::string& digest) {
    FG_TRY(rows, connection.query("SELECT 1 FROM artifacts WHERE digest = $1 LIMIT 1", {digest}));
    return !rows.empty();
}

}  // namespace

Task<Result<void>> PostgresArtifacts::add(job::ArtifactRecord record) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        FG_CHECK(connection.query(
            "INSERT INTO artifacts (" FG_ARTIFACT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            {record.id, record.owner, record.digest, number(record.bytes), record.content_type, record.name,
             record.job_id, record.created_unix_ms, record.expires_unix_ms}
        ));
        return {};
    });
}

Task<Result<job::ArtifactRecord>> PostgresArtifacts::find(std::string id) {
    co_return co_await database_.read([&](Connection& connection) -> Result<job::ArtifactRecord> {
        FG_TRY(rows, connection.query("SELECT " FG_ARTIFACT_COLUMNS " FROM artifacts WHERE id = $1", {id}));
        if (rows.empty()) {
            return no_such_file();
        }
        return artifact_of(RowReader(rows, 0));
    });
}

Task<Result<std::vector<job::ArtifactRecord>>> PostgresArtifacts::list(
    std::string owner, std::string before, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Records {
        FG_TRY(
            rows, connection.query(
                      "SELECT " FG_ARTIFACT_COLUMNS
                      " FROM artifacts WHERE owner = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3",
                      {owner, before, number(limit)}
                  )
        );
        return each_row(rows, artifact_of);
    });
}

Task<Result<api::ArtifactUsage>> PostgresArtifacts::usage(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) -> Result<api::ArtifactUsage> {
        FG_TRY(
            rows,
            connection.query(
                "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM artifacts WHERE owner = $1", {owner}
            )
        );
        return api::ArtifactUsage{
            static_cast<std::uint64_t>(rows.number(0, 0)), static_cast<std::uint64_t>(rows.number(0, 1))
        };
    });
}

Task<Result<std::vector<job::ArtifactRecord>>> PostgresArtifacts::expired(
    std::int64_t now_unix_ms, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Records {
        FG_TRY(
            rows,
            connection.query(
                "SELECT " FG_ARTIFACT_COLUMNS " FROM artifacts WHERE expires <= $1 ORDER BY expires LIMIT $2",
                {now_unix_ms, number(limit)}
            )
        );
        return each_row(rows, artifact_of);
    });
}

Task<Result<bool>> PostgresArtifacts::remove(std::string id) {
    co_return co_await database_.write([&](Connection& connection) -> Result<bool> {
        FG_TRY(rows, connection.query("DELETE FROM artifacts WHERE id = $1 RETURNING digest", {id}));
        if (rows.empty()) {
            return no_such_file();
        }
        FG_TRY(used, is_used_in(connection, rows.text(0, 0)));
        return !used;
    });
}

Task<Result<std::vector<std::string>>> PostgresArtifacts::unnamed(std::vector<std::string> digests) {
    using Digests = Result<std::vector<std::string>>;
    co_return co_await database_.read([&](Connection& connection) -> Digests {
        std::vector<std::string> out;
        for (auto& digest : digests) {
            FG_TRY(used, is_used_in(connection, digest));
            if (!used) {
                out.push_back(std::move(digest));
            }
        }
        return out;
    });
}

}  // namespace framegrid::store_postgres
