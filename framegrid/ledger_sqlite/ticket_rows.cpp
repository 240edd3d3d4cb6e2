#include <framegrid/ledger_sqlite/ticket_rows.hpp>

#include <framegrid/ledger_sqlite/columns.hpp>

namespace framegrid::ledger_sqlite {

namespace {

using pay::Address;
using pay::Hash32;
using sqlite::Connection;

enum class State : std::uint8_t { kWaits = 0, kDone = 1, kFailed = 2 };

#define FG_TICKET_COLUMNS                                                                                \
    "hash, recipient, sender, face_value, win_prob, rand_hash, seed, expiration_block, creation_round, " \
    "creation_hash, nonce, signature, rand"

pay::WinningTicket ticket_at(SQLite::Statement& row) {
    pay::WinningTicket out;
    out.hash = bytes_at<Hash32>(row, 0);
    out.params.recipient = bytes_at<Address>(row, 1);
    out.sender = bytes_at<Address>(row, 2);
    out.params.face_value = wei_at(row, 3);
    out.params.win_prob = wei_at(row, 4);
    out.params.recipient_rand_hash = bytes_at<Hash32>(row, 5);
    out.params.seed = wei_at(row, 6);
    out.params.expiration_block = static_cast<std::uint64_t>(row.getColumn(7).getInt64());
    out.params.creation.round = row.getColumn(8).getInt64();
    out.params.creation.block_hash = bytes_at<Hash32>(row, 9);
    out.ticket.nonce = row.getColumn(10).getUInt();
    out.ticket.signature = bytes_at<crypto::Signature>(row, 11);
    out.recipient_rand = bytes_at<Hash32>(row, 12);
    return out;
}

Result<void> end(
    Connection& connection, const Hash32& hash, State state, const pay::Redemption& redemption,
    const std::string& note
) {
    auto& change = connection.prepare(
        "UPDATE tickets SET state = ?, paid = ?, used_before = ?, note = ? WHERE hash = ? AND state = 0"
    );
    change.bind(1, static_cast<int>(state));
    bind_wei(change, 2, redemption.paid);
    change.bind(3, redemption.used_before ? 1 : 0);
    change.bindNoCopy(4, note);
    bind_bytes(change, 5, hash);
    if (change.exec() > 0) {
        return {};
    }
    auto& known = connection.prepare("SELECT 1 FROM tickets WHERE hash = ?");
    bind_bytes(known, 1, hash);
    if (!known.executeStep()) {
        return fail(Errc::kNotFound, "there is no such winning ticket", "ticket");
    }
    return {};
}

}  // namespace

void insert_ticket(Connection& connection, const pay::WinningTicket& ticket) {
    auto& put = connection.prepare(
        "INSERT INTO tickets (" FG_TICKET_COLUMNS
        ", state, paid, used_before, note) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '0', 0, '') ON CONFLICT DO NOTHING"
    );
    bind_bytes(put, 1, ticket.hash);
    bind_bytes(put, 2, ticket.params.recipient);
    bind_bytes(put, 3, ticket.sender);
    bind_wei(put, 4, ticket.params.face_value);
    bind_wei(put, 5, ticket.params.win_prob);
    bind_bytes(put, 6, ticket.params.recipient_rand_hash);
    bind_wei(put, 7, ticket.params.seed);
    put.bind(8, static_cast<std::int64_t>(ticket.params.expiration_block));
    put.bind(9, ticket.params.creation.round);
    bind_bytes(put, 10, ticket.params.creation.block_hash);
    put.bind(11, ticket.ticket.nonce);
    bind_bytes(put, 12, ticket.ticket.signature);
    bind_bytes(put, 13, ticket.recipient_rand);
    put.exec();
}

std::vector<pay::WinningTicket> waiting_tickets(
    Connection& connection, const Address& recipient, const Address& sender, std::size_t limit
) {
    auto& query = connection.prepare("SELECT " FG_TICKET_COLUMNS
                                     " FROM tickets WHERE state = 0 AND recipient = ? AND sender = ? "
                                     "ORDER BY number LIMIT ?");
    bind_bytes(query, 1, recipient);
    bind_bytes(query, 2, sender);
    query.bind(3, static_cast<std::int64_t>(limit));
    std::vector<pay::WinningTicket> out;
    while (query.executeStep()) {
        out.push_back(ticket_at(query));
    }
    return out;
}

std::vector<Address> waiting_senders(Connection& connection, const Address& recipient) {
    auto& query = connection.prepare("SELECT DISTINCT sender FROM tickets WHERE state = 0 AND recipient = ?");
    bind_bytes(query, 1, recipient);
    std::vector<Address> out;
    while (query.executeStep()) {
        out.push_back(bytes_at<Address>(query, 0));
    }
    return out;
}

std::vector<pay::KeptTicket> kept_tickets(Connection& connection, const Address& recipient) {
    auto& query = connection.prepare("SELECT " FG_TICKET_COLUMNS
                                     ", state, paid, used_before, note FROM tickets WHERE recipient = ? "
                                     "ORDER BY number");
    bind_bytes(query, 1, recipient);
    std::vector<pay::KeptTicket> out;
    while (query.executeStep()) {
        pay::KeptTicket& kept = out.emplace_back();
        kept.ticket = ticket_at(query);
        const int state = query.getColumn(13).getInt();
        const std::string note = query.getColumn(16).getString();
        if (state == static_cast<int>(State::kDone)) {
            kept.redemption = pay::Redemption{wei_at(query, 14), query.getColumn(15).getInt() != 0, note};
        } else if (state == static_cast<int>(State::kFailed)) {
            kept.final_error = note;
        }
    }
    return out;
}

Result<void> end_ticket(Connection& connection, const Hash32& hash, const pay::Redemption& redemption) {
    return end(connection, hash, State::kDone, redemption, redemption.reference);
}

Result<void> end_ticket(Connection& connection, const Hash32& hash, const std::string& error) {
    return end(connection, hash, State::kFailed, {}, error.empty() ? "failed" : error);
}

}  // namespace framegrid::ledger_sqlite
