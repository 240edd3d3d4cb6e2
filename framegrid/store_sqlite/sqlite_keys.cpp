#include <framegrid/store_sqlite/sqlite_keys.hpp>

#include <algorithm>

namespace framegrid::store_sqlite {

namespace {

#define FG_KEY_COLUMNS "id, secret, name, owner, scopes, limits, created, expires, revoked, change"
// Writers of all processes come one after the other, so numbers are seen in their order.
#define FG_NEXT_CHANGE "(SELECT coalesce(max(change), 0) + 1 FROM api_keys)"

Result<account::KeyRecord> key_at(SQLite::Statement& row) {
    account::KeyRecord out;
    out.id = row.getColumn(0).getString();
    FG_TRY(secret, crypto::parse_hex(row.getColumn(1).getString()));
    if (secret.size() != out.secret_sha256.size()) {
        return fail(Errc::kIo, "the record of the API key " + out.id + " is damaged");
    }
    std::ranges::copy(secret, out.secret_sha256.begin());
    out.name = row.getColumn(2).getString();
    out.owner = row.getColumn(3).getString();
    out.scopes = account::known_scopes(row.getColumn(4).getString());
    FG_TRY(limits, account::parse_limits(row.getColumn(5).getString()));
    out.limits = limits;
    out.created_unix_ms = row.getColumn(6).getInt64();
    out.expires_unix_ms = row.getColumn(7).getInt64();
    out.revoked_unix_ms = row.getColumn(8).getInt64();
    out.change = static_cast<std::uint64_t>(row.getColumn(9).getInt64());
    return out;
}

Result<std::vector<account::KeyRecord>> all_of_rows(SQLite::Statement& query) {
    std::vector<account::KeyRecord> out;
    while (query.executeStep()) {
        FG_TRY(record, key_at(query));
        out.push_back(std::move(record));
    }
    return out;
}

Result<std::vector<account::KeyRecord>> list_in(Connection& connection, const std::string& owner) {
    auto& query = connection.prepare("SELECT " FG_KEY_COLUMNS
                                     " FROM api_keys WHERE ?1 = '' OR owner = ?1 ORDER BY created, id");
    query.bindNoCopy(1, owner);
    return all_of_rows(query);
}

Result<account::KeyRecord> find_in(Connection& connection, const std::string& id) {
    auto& query = connection.prepare("SELECT " FG_KEY_COLUMNS " FROM api_keys WHERE id = ?");
    query.bindNoCopy(1, id);
    if (!query.executeStep()) {
        return fail(Errc::kNotFound, "there is no API key with that id", "id");
    }
    return key_at(query);
}

Result<void> insert_into(Connection& connection, const account::KeyRecord& record) {
    if (find_in(connection, record.id)) {
        return fail(Errc::kInvalidArgument, "there is an API key with that id", "id");
    }
    auto& insert = connection.prepare("INSERT INTO api_keys (" FG_KEY_COLUMNS
                                      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, " FG_NEXT_CHANGE ")");
    insert.bindNoCopy(1, record.id);
    insert.bind(2, crypto::hex(record.secret_sha256));
    insert.bindNoCopy(3, record.name);
    insert.bindNoCopy(4, record.owner);
    insert.bind(5, record.scopes.text());
    insert.bind(6, account::limits_json(record.limits));
    insert.bind(7, record.created_unix_ms);
    insert.bind(8, record.expires_unix_ms);
    insert.bind(9, record.revoked_unix_ms);
    insert.exec();
    return {};
}

Result<account::KeyRecord> revoke_in(Connection& connection, const std::string& id, std::int64_t at_unix_ms) {
    FG_TRY(record, find_in(connection, id));
    if (record.revoked_unix_ms != 0 && record.revoked_unix_ms <= at_unix_ms) {
        return record;
    }
    auto& update =
        connection.prepare("UPDATE api_keys SET revoked = ?, change = " FG_NEXT_CHANGE " WHERE id = ?");
    update.bind(1, at_unix_ms);
    update.bindNoCopy(2, id);
    update.exec();
    return find_in(connection, id);
}

Result<account::Spent> spent_in(Connection& connection, const std::string& owner) {
    auto& query = connection.prepare("SELECT total, day, today FROM spent WHERE owner = ?");
    query.bindNoCopy(1, owner);
    account::Spent out;
    if (query.executeStep()) {
        FG_TRY(total, account::parse_wei(query.getColumn(0).getString(), "total"));
        out.total = total;
        out.day = query.getColumn(1).getInt64();
        FG_TRY(today, account::parse_wei(query.getColumn(2).getString(), "today"));
        out.today = today;
    }
    return out;
}

Result<std::optional<account::Counted>> counted_in(
    Connection& connection, const std::string& owner, const std::string& series
) {
    auto& query = connection.prepare("SELECT total, back FROM spend_series WHERE owner = ? AND series = ?");
    query.bindNoCopy(1, owner);
    query.bindNoCopy(2, series);
    if (!query.executeStep()) {
        return std::nullopt;
    }
    FG_TRY(total, account::parse_wei(query.getColumn(0).getString(), "total"));
    FG_TRY(back, account::parse_wei(query.getColumn(1).getString(), "back"));
    return account::Counted{total, back};
}

void put_counted(
    Connection& connection, const std::string& owner, const std::string& series,
    const account::Counted& counted, bool known
) {
    if (known) {
        auto& update =
            connection.prepare("UPDATE spend_series SET total = ?, back = ? WHERE owner = ? AND series = ?");
        update.bind(1, counted.amount.str());
        update.bind(2, counted.back.str());
        update.bindNoCopy(3, owner);
        update.bindNoCopy(4, series);
        update.exec();
        return;
    }
    auto& insert =
        connection.prepare("INSERT INTO spend_series (owner, series, total, back) VALUES (?, ?, ?, ?)");
    insert.bindNoCopy(1, owner);
    insert.bindNoCopy(2, series);
    insert.bind(3, counted.amount.str());
    insert.bind(4, counted.back.str());
    insert.exec();
    // By their order, not by their days: a clock that was wrong takes nobody's away.
    auto& forget = connection.prepare(
        "DELETE FROM spend_series WHERE owner = ?1 AND number <= (SELECT number FROM spend_series WHERE "
        "owner "
        "= ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)"
    );
    forget.bindNoCopy(1, owner);
    forget.bind(2, api::kSpendSeriesMax);
    forget.exec();
}

}  // namespace

Task<Result<void>> SqliteKeys::add(account::KeyRecord record) {
    co_return co_await database_.write([&](Connection& connection) { return insert_into(connection, record); }
    );
}

Task<Result<account::KeyRecord>> SqliteKeys::find(std::string id) {
    co_return co_await database_.read([&](Connection& connection) { return find_in(connection, id); });
}

Task<Result<std::vector<account::KeyRecord>>> SqliteKeys::list(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) { return list_in(connection, owner); });
}

Task<Result<account::KeyRecord>> SqliteKeys::revoke(std::string id, std::int64_t at_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) {
        return revoke_in(connection, id, at_unix_ms);
    });
}

Task<Result<void>> SqliteKeys::rotate(std::string id, account::KeyRecord fresh, std::int64_t at_unix_ms) {
    co_return co_await database_.write([&](Connection& connection) -> Result<void> {
        FG_CHECK(revoke_in(connection, id, at_unix_ms));
        return insert_into(connection, fresh);
    });
}

Task<Result<std::vector<account::KeyRecord>>> SqliteKeys::top_up(
    std::string owner, account::Wei more, std::int64_t now_unix_ms
) {
    using Raised = Result<std::vector<account::KeyRecord>>;
    co_return co_await database_.write([&](Connection& connection) -> Raised {
        FG_TRY(records, list_in(connection, owner));
        FG_TRY(raised, account::top_up(std::move(records), more, now_unix_ms));
        for (auto& record : raised) {
            auto& update = connection.prepare("UPDATE api_keys SET limits = ?, change = " FG_NEXT_CHANGE
                                              " WHERE id = ?");
            update.bind(1, account::limits_json(record.limits));
            update.bindNoCopy(2, record.id);
            update.exec();
            FG_TRY(stored, find_in(connection, record.id));
            record = std::move(stored);
        }
        return raised;
    });
}

Task<Result<std::vector<account::KeyRecord>>> SqliteKeys::changed_after(
    std::uint64_t change, std::size_t limit
) {
    co_return co_await database_.read([&](Connection& connection) {
        auto& query = connection.prepare("SELECT " FG_KEY_COLUMNS
                                         " FROM api_keys WHERE change > ? ORDER BY change LIMIT ?");
        query.bind(1, static_cast<std::int64_t>(change));
        query.bind(2, static_cast<std::int64_t>(limit));
        return all_of_rows(query);
    });
}

Task<Result<account::Spent>> SqliteKeys::spent(std::string owner) {
    co_return co_await database_.read([&](Connection& connection) { return spent_in(connection, owner); });
}

Task<Result<account::Spent>> SqliteKeys::count_spent(
    std::string owner, std::string series, std::int64_t day, account::Counted counted
) {
    co_return co_await database_.write([&](Connection& connection) -> Result<account::Spent> {
        FG_TRY(before, spent_in(connection, owner));
        FG_TRY(known, counted_in(connection, owner, series));
        const auto said = known.value_or(account::Counted{});
        counted = {std::max(said.amount, counted.amount), std::max(said.back, counted.back)};
        if (counted == said) {
            return before;
        }
        const auto sum = account::after(before, day, said, counted);
        put_counted(connection, owner, series, counted, known.has_value());
        auto& put =
            connection.prepare("INSERT OR REPLACE INTO spent (owner, total, day, today) VALUES (?, ?, ?, ?)");
        put.bindNoCopy(1, owner);
        put.bind(2, sum.total.str());
        put.bind(3, sum.day);
        put.bind(4, sum.today.str());
        put.exec();
        return sum;
    });
}

}  // namespace framegrid::store_sqlite
