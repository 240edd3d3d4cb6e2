#include <framegrid/store_postgres/postgres_keys.hpp>

#include <algorithm>

namespace framegrid::store_postgres {

namespace {

using Records = Result<std::vector<account::KeyRecord>>;

#define FG_KEY_COLUMNS "id, secret, name, owner, scopes, limits, created, expires, revoked, change"
#define FG_NEXT_CHANGE "(SELECT coalesce(max(change), 0) + 1 FROM api_keys)"

// Numbers of changes are committed in their order: whoever sees one has seen those below.
Result<void> lock_changes(Connection& connection) {
    FG_CHECK(connection.query("SELECT pg_advisory_xact_lock(hashtext('framegrid api_keys'))"));
    return {};
}

Result<account::KeyRecord> key_of(RowReader row) {
    account::KeyRecord out;
    out.id = row.text();
    FG_TRY(secret, crypto::parse_hex(row.text()));
    if (secret.size() != out.secret_sha256.size()) {
        return fail(Errc::kIo, "the record of the API key " + out.id + " is damaged");
    }
    std::ranges::copy(secret, out.secret_sha256.begin());
    out.name = row.text();
    out.owner = row.text();
    out.scopes = account::known_scopes(row.text());
    FG_TRY(limits, account::parse_limits(row.text()));
    out.limits = limits;
    out.created_unix_ms = row.number();
    out.expires_unix_ms = row.number();
    out.revoked_unix_ms = row.number();
    out.change = static_cast<std::uint64_t>(row.number());
    return out;
}

Records keys_of(const Rows& rows) {
    std::vector<account::KeyRecord> out;
    for (int i = 0; i < rows.size(); ++i) {
        FG_TRY(record, key_of(RowReader(rows, i)));
        out.push_back(std::move(record));
    }
    return out;
}

Records list_in(Connection& connection, const std::string& owner) {
    FG_TRY(
        rows, connection.query(
                  "SELECT " FG_KEY_COLUMNS " FROM api_keys WHERE $1 = '' OR owner = $1 ORDER BY created, id",
                  {owner}
              )
    );
    return keys_of(rows);
}

Result<account::KeyRecord> find_in(Connection& connection, const std::string& id) {
    FG_TRY(rows, connection.query("SELECT " FG_KEY_COLUMNS " FROM api_keys WHERE id = $1", {id}));
    if (rows.empty()) {
        return fail(Errc::kNotFound, "there is no API key with that id", "id");
    }
    return key_of(RowReader(rows, 0));
}

Result<void> insert_into(Connection& connection, const account::KeyRecord& record) {
    FG_CHECK(lock_changes(connection));
    FG_TRY(
        done,
        connection.query(
            "INSERT INTO api_keys (" FG_KEY_COLUMNS
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, " FG_NEXT_CHANGE ") ON CONFLICT (id) DO NOTHING",
            {record.id, crypto::hex(record.secret_sha256), record.name, record.owner, record.scopes.text(),
             account::limits_json(record.limits), record.created_unix_ms, record.expires_unix_ms,
             record.revoked_unix_ms}
        )
    );
    if (done.changed() == 0) {
        return fail(Errc::kInvalidArgument, "there is an API key with that id", "id");
    }
    return {};
}

Result<account::KeyRecord> revoke_in(Connection& connection, const std::string& id, std::int64_t at_unix_ms) {
    FG_CHECK(lock_changes(connection));
    FG_TRY(record, find_in(connection, id));
    if (record.revoked_unix_ms != 0 && record.revoked_unix_ms <= at_unix_ms) {
        return record;
    }
    FG_CHECK(connection.query(
        "UPDATE api_keys SET revoked = $2, change = " FG_NEXT_CHANGE " WHERE id = $1", {id, at_unix_ms}
    ));
    return find_in(connection, id);
}

Result<account::Spent> spent_of(const Rows& rows) {
    account::Spent out;
    if (!rows.empty()) {
        RowReader row(rows, 0);
        FG_TRY(total, account::parse_wei(row.text(), "total"));
        out.total = total;
        out.day = row.number();
        FG_TRY(today, account::parse_wei(row.text(), "today"));
        out.today = today;
    }
    return out;
}

Result<std::optional<account::Counted>> counted_in(
    Connection& connection, const std::string& owner, const std::string& series
) {
    FG_TRY(
        rows, connection.query(
                  "SELECT total, back FROM spend_series WHERE owner = $1 AND series = $2", {owner, series}
              )
    );
    if (rows.empty()) {
        return std::nullopt;
    }
    RowReader row(rows, 0);
    FG_TRY(total, account::parse_wei(row.text(), "total"));
    FG_TRY(back, account::parse_wei(row.text(), "back"));
    return account::Counted{total, back};
}

Result<void> put_counted(
    Connection& connection, const std::string& owner, const std::string& series,
    const account::Counted& counted, bool known
) {
    const std::string amount = counted.amount.str();
    const std::string back = counted.back.str();
    if (known) {
        FG_CHECK(connection.query(
            "UPDATE spend_series SET total = $3, back = $4 WHERE owner = $1 AND series = $2",
            {owner, series, amount, back}
        ));
        return {};
    }
    FG_CHECK(connection.query(
        "INSERT INTO spend_series (owner, series, total, back) VALUES ($1, $2, $3, $4)",
        {owner, series, amount, back}
    ));
    // By their order, not by their days: a clock that was wrong takes nobody's away.
    FG_CHECK(connection.query(
        "DELETE FROM spend_series WHERE owner = $1 AND number <= (SELECT number FROM spend_series WHERE "
        "owner "
        "= $1 ORDER BY number DESC LIMIT 1 OFFSET $2)",
        {owner, std::int64_t{api::kSpendSeriesMax}}
    ));
    return {};
}

}  // namespace

Task<Result<void>> PostgresKeys::add(account::KeyRecord record) {
    co_return co_await database_.write([&](Connection& connection) { return insert_into(connection, record); }
    );
}

Task<Result<account::KeyRecord>> PostgresKeys::find(std::string id) {
    co_return co_await database_.read([&](Connection& connection) { return find_in(connection, id); });
}

Task<Result<std::vector<account::KeyRecord>>> PostgresKeys::list(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) { return list_in(connection, owner); });
}

Task<Result<account::KeyRecord>> PostgresKeys::revoke(std::string id, std::int64_t at_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) {
        return revoke_in(connection, id, at_unix_ms);
    });
}

Task<Result<void>> PostgresKeys::rotate(std::string id, account::KeyRecord fresh, std::int64_t at_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        FG_CHECK(revoke_in(connection, id, at_unix_ms));
        return insert_into(connection, fresh);
    });
}

Task<Result<std::vector<account::KeyRecord>>> PostgresKeys::top_up(
    std::string owner, account::Wei more, std::int64_t now_unix_ms
) {
    co_return co_await database_.write([&](Connection& connection) -> Records {
        FG_CHECK(lock_changes(connection));
        FG_TRY(records, list_in(connection, owner));
        FG_TRY(raised, account::top_up(std::move(records), more, now_unix_ms));
        for (auto& record : raised) {
            FG_CHECK(connection.query(
                "UPDATE api_keys SET limits = $2, change = " FG_NEXT_CHANGE " WHERE id = $1",
                {record.id, account::limits_json(record.limits)}
            ));
            FG_TRY(stored, find_in(connection, record.id));
            record = std::move(stored);
        }
        return raised;
    });
}

Task<Result<std::vector<account::KeyRecord>>> PostgresKeys::changed_after(
    std::uint64_t change, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) -> Records {
        FG_TRY(
            rows, connection.query(
                      "SELECT " FG_KEY_COLUMNS " FROM api_keys WHERE change > $1 ORDER BY change LIMIT $2",
                      {static_cast<std::int64_t>(change), static_cast<std::int64_t>(limit)}
                  )
        );
        return keys_of(rows);
    });
}

Task<Result<account::Spent>> PostgresKeys::spent(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) -> Result<account::Spent> {
        FG_TRY(rows, connection.query("SELECT total, day, today FROM spent WHERE owner = $1", {owner}));
        return spent_of(rows);
    });
}

Task<Result<account::Spent>> PostgresKeys::count_spent(
    std::string owner, std::string series, std::int64_t day, account::Counted counted
) {
    co_return co_await database_.write([&](Connection& connection) -> Result<account::Spent> {
        // So that there is a row to lock: gateways count one after the other.
        FG_CHECK(connection.query(
            "INSERT INTO spent (owner, total, day, today) VALUES ($1, '0', 0, '0') ON CONFLICT (owner) DO "
            "NOTHING",
            {owner}
        ));
        FG_TRY(
            rows, connection.query("SELECT total, day, today FROM spent WHERE owner = $1 FOR UPDATE", {owner})
        );
        FG_TRY(before, spent_of(rows));
        FG_TRY(known, counted_in(connection, owner, series));
        const auto said = known.value_or(account::Counted{});
        counted = {std::max(said.amount, counted.amount), std::max(said.back, counted.back)};
        if (counted == said) {
            return before;
        }
        const auto sum = account::after(before, day, said, counted);
        FG_CHECK(put_counted(connection, owner, series, counted, known.has_value()));
        const std::string all = sum.total.str();
        const std::string today = sum.today.str();
        FG_CHECK(connection.query(
            "UPDATE spent SET total = $2, day = $3, today = $4 WHERE owner = $1", {owner, all, sum.day, today}
        ));
        return sum;
    });
}

}  // namespace framegrid::store_postgres
