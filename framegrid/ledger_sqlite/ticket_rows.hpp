// The queue of winning tickets as rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/pay/ledger.hpp>
#include <framegrid/sqlite/connection.hpp>

namespace framegrid::ledger_sqlite {

// A hash that is there already stays as it is.
void insert_ticket(sqlite::Connection& connection, const pay::WinningTicket& ticket);
std::vector<pay::WinningTicket> waiting_tickets(
    sqlite::Connection& connection, const pay::Address& recipient, const pay::Address& sender,
    std::size_t limit
);
std::vector<pay::Address> waiting_senders(sqlite::Connection& connection, const pay::Address& recipient);
std::vector<pay::KeptTicket> kept_tickets(sqlite::Connection& connection, const pay::Address& recipient);
// Ends a ticket's wait; one that does not wait any more stays as it is. kNotFound.
Result<void> end_ticket(
    sqlite::Connection& connection, const pay::Hash32& hash, const pay::Redemption& redemption
);
Result<void> end_ticket(sqlite::Connection& connection, const pay::Hash32& hash, const std::string& error);

}  // namespace framegrid::ledger_sqlite
