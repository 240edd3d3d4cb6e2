// The rules of accounts as changes of rows. Each function runs inside one transaction of the caller; what the
// library throws goes through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/ledger_sqlite/ledger.hpp>
#include <framegrid/ledger_sqlite/rounds.hpp>
#include <framegrid/sqlite/connection.hpp>

namespace framegrid::ledger_sqlite {

using pay::Address;
using pay::Hash32;
using sqlite::Connection;

// The tables of the file.
extern const sqlite::Schema kSchema;

// When something happens.
struct Moment {
    std::int64_t unix_ms = 0;
    std::int64_t round = 0;
};

// Reads what the file began with, or begins it.
Genesis find_genesis(Connection& connection, const Genesis& wanted);
void register_recipient(
    Connection& connection, const Address& recipient, const std::string& service_uri, std::int64_t unix_ms
);
std::uint32_t pool_size(Connection& connection);
std::optional<std::string> find_service_uri(Connection& connection, const Address& recipient);

Account find_account(Connection& connection, const Address& address);
std::vector<Account> all_accounts(Connection& connection);
pay::SenderFunds funds_of(
    Connection& connection, const Address& sender, const Address& recipient, std::int64_t round
);

// kInvalidArgument: from 2^128 wei on. Ends a running unlock.
Result<void> fund(
    Connection& connection, const Address& sender, const Wei& deposit, const Wei& reserve, const Moment& now
);
// The contract's refusals in its words, kForbidden.
Result<std::int64_t> unlock(Connection& connection, const Address& sender, const Moment& now);
Result<void> cancel_unlock(Connection& connection, const Address& sender);
Result<Wei> withdraw(Connection& connection, const Address& sender, const Moment& now);
Result<Wei> collect(Connection& connection, const Address& recipient, const Moment& now);
// Of a ticket that pay::check_redeemable() has let through. kUnavailable: may work later.
Result<pay::Redemption> redeem(
    Connection& connection, const pay::WinningTicket& ticket, const Hash32& hash, const Moment& now
);
// What a redeemed ticket was paid.
std::optional<Wei> find_paid(Connection& connection, const Hash32& hash);

std::vector<Payments> payments_of(
    Connection& connection, const Address& address, std::int64_t from_unix_ms, std::int64_t until_unix_ms
);
Result<LedgerTotals> check_books(Connection& connection);

}  // namespace framegrid::ledger_sqlite
