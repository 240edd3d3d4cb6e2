#include <framegrid/ledger_sqlite/ledger_rows.hpp>

#include <array>
#include <map>
#include <utility>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/ledger_sqlite/columns.hpp>
#include <framegrid/pay/redemption.hpp>

namespace framegrid::ledger_sqlite {

namespace {

// Of the contracts.
constexpr std::int64_t kUnlockRounds = 2;
// Claims count in their round; some more are kept for a clock that is set back.
constexpr std::int64_t kClaimRoundsKept = 8;

constexpr std::array kSchemaSteps{
    R"sql(
CREATE TABLE genesis (seed BLOB NOT NULL, start_ms INTEGER NOT NULL, round_ms INTEGER NOT NULL);
CREATE TABLE accounts (
  address BLOB PRIMARY KEY, deposit TEXT NOT NULL, reserve TEXT NOT NULL, withdraw_round INTEGER NOT NULL,
  funded TEXT NOT NULL, withdrawn TEXT NOT NULL, paid TEXT NOT NULL, earned TEXT NOT NULL,
  collected TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, address BLOB NOT NULL,
  amount TEXT NOT NULL
);
CREATE TABLE redemptions (
  hash BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, sender BLOB NOT NULL, recipient BLOB NOT NULL,
  face_value TEXT NOT NULL, paid TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX redemptions_at ON redemptions (at_ms);
CREATE TABLE claims (
  sender BLOB NOT NULL, round INTEGER NOT NULL, recipient BLOB NOT NULL, amount TEXT NOT NULL,
  PRIMARY KEY (sender, round, recipient)
) WITHOUT ROWID;
CREATE TABLE recipients (
  address BLOB PRIMARY KEY, service_uri TEXT NOT NULL, joined_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE tickets (
  number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, recipient BLOB NOT NULL, sender BLOB NOT NULL,
  face_value TEXT NOT NULL, win_prob TEXT NOT NULL, rand_hash BLOB NOT NULL, seed TEXT NOT NULL,
  expiration_block INTEGER NOT NULL, creation_round INTEGER NOT NULL, creation_hash BLOB NOT NULL,
  nonce INTEGER NOT NULL, signature BLOB NOT NULL, rand BLOB NOT NULL,
  state INTEGER NOT NULL, paid TEXT NOT NULL, used_before INTEGER NOT NULL, note TEXT NOT NULL
);
CREATE INDEX tickets_waiting ON tickets (recipient, sender, number) WHERE state = 0;
)sql",
};

constexpr const char* kFund = "fund";
constexpr const char* kWithdraw = "withdraw";
constexpr const char* kCollect = "collect";

std::unexpected<Error> refuse(const char* text) {
    return fail(Errc::kForbidden, text, "account");
}

#define FG_ACCOUNT_COLUMNS \
    "address, deposit, reserve, withdraw_round, funded, withdrawn, paid, earned, collected"

Account account_at(SQLite::Statement& row) {
    Account out;
    out.address = bytes_at<Address>(row, 0);
    out.deposit = wei_at(row, 1);
    out.reserve = wei_at(row, 2);
    out.withdraw_round = row.getColumn(3).getInt64();
    out.funded = wei_at(row, 4);
    out.withdrawn = wei_at(row, 5);
    out.paid = wei_at(row, 6);
    out.earned = wei_at(row, 7);
    out.collected = wei_at(row, 8);
    return out;
}

void store(Connection& connection, const Account& account) {
    auto& put = connection.prepare("INSERT OR REPLACE INTO accounts (" FG_ACCOUNT_COLUMNS
                                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bind_bytes(put, 1, account.address);
    bind_wei(put, 2, account.deposit);
    bind_wei(put, 3, account.reserve);
    put.bind(4, account.withdraw_round);
    bind_wei(put, 5, account.funded);
    bind_wei(put, 6, account.withdrawn);
    bind_wei(put, 7, account.paid);
    bind_wei(put, 8, account.earned);
    bind_wei(put, 9, account.collected);
    put.exec();
}

void add_entry(
    Connection& connection, const char* kind, const Address& address, const Wei& amount, const Moment& now
) {
    auto& put = connection.prepare("INSERT INTO entries (at_ms, kind, address, amount) VALUES (?, ?, ?, ?)");
    put.bind(1, now.unix_ms);
    put.bindNoCopy(2, kind);
    bind_bytes(put, 3, address);
    bind_wei(put, 4, amount);
    put.exec();
}

bool is_recipient(Connection& connection, const Address& address) {
    return find_service_uri(connection, address).has_value();
}

void add_claim(Connection& connection, const pay::WinningTicket& ticket, const Wei& more, const Moment& now) {
    const Wei before = funds_of(connection, ticket.sender, ticket.params.recipient, now.round).claimed_by_us;
    auto& put = connection.prepare(
        "INSERT OR REPLACE INTO claims (sender, round, recipient, amount) VALUES (?, ?, ?, ?)"
    );
    bind_bytes(put, 1, ticket.sender);
    put.bind(2, now.round);
    bind_bytes(put, 3, ticket.params.recipient);
    bind_wei(put, 4, before + more);
    put.exec();
    auto& forget = connection.prepare("DELETE FROM claims WHERE sender = ? AND round < ?");
    bind_bytes(forget, 1, ticket.sender);
    forget.bind(2, now.round - kClaimRoundsKept);
    forget.exec();
}

void add_redemption(
    Connection& connection, const pay::WinningTicket& ticket, const Hash32& hash, const Wei& paid,
    const Moment& now
) {
    auto& put = connection.prepare(
        "INSERT INTO redemptions (hash, at_ms, sender, recipient, face_value, paid) VALUES (?, ?, ?, ?, ?, ?)"
    );
    bind_bytes(put, 1, hash);
    put.bind(2, now.unix_ms);
    bind_bytes(put, 3, ticket.sender);
    bind_bytes(put, 4, ticket.params.recipient);
    bind_wei(put, 5, ticket.params.face_value);
    bind_wei(put, 6, paid);
    put.exec();
}

// What an account must be, by its history.
using Books = std::map<Address, Account>;

Account& of(Books& books, const Address& address) {
    Account& account = books[address];
    account.address = address;
    return account;
}

Books books_of_history(Connection& connection) {
    Books out;
    auto& entries = connection.prepare("SELECT kind, address, amount FROM entries");
    while (entries.executeStep()) {
        const std::string kind = entries.getColumn(0).getString();
        Account& account = of(out, bytes_at<Address>(entries, 1));
        Wei& sum = kind == kFund ? account.funded : kind == kWithdraw ? account.withdrawn : account.collected;
        sum += wei_at(entries, 2);
    }
    auto& redemptions = connection.prepare("SELECT sender, recipient, paid FROM redemptions");
    while (redemptions.executeStep()) {
        const Wei paid = wei_at(redemptions, 2);
        of(out, bytes_at<Address>(redemptions, 0)).paid += paid;
        of(out, bytes_at<Address>(redemptions, 1)).earned += paid;
    }
    return out;
}

}  // namespace

const sqlite::Schema kSchema{"the ledger", kSchemaSteps};

Genesis find_genesis(Connection& connection, const Genesis& wanted) {
    auto& query = connection.prepare("SELECT seed, start_ms, round_ms FROM genesis");
    if (query.executeStep()) {
        Genesis out{bytes_at<Hash32>(query, 0), query.getColumn(1).getInt64(), query.getColumn(2).getInt64()};
        if (out.round_ms < kRoundMsMin) {
            damaged("its rounds have no length");
        }
        return out;
    }
    auto& put = connection.prepare("INSERT INTO genesis (seed, start_ms, round_ms) VALUES (?, ?, ?)");
    bind_bytes(put, 1, wanted.seed);
    put.bind(2, wanted.start_unix_ms);
    put.bind(3, wanted.round_ms);
    put.exec();
    return wanted;
}

void register_recipient(
    Connection& connection, const Address& recipient, const std::string& service_uri, std::int64_t unix_ms
) {
    auto& put = connection.prepare(
        "INSERT INTO recipients (address, service_uri, joined_ms) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET service_uri = excluded.service_uri"
    );
    bind_bytes(put, 1, recipient);
    put.bindNoCopy(2, service_uri);
    put.bind(3, unix_ms);
    put.exec();
}

std::uint32_t pool_size(Connection& connection) {
    auto& query = connection.prepare("SELECT count(*) FROM recipients");
    return query.executeStep() ? query.getColumn(0).getUInt() : 0;
}

std::optional<std::string> find_service_uri(Connection& connection, const Address& recipient) {
    auto& query = connection.prepare("SELECT service_uri FROM recipients WHERE address = ?");
    bind_bytes(query, 1, recipient);
    if (!query.executeStep()) {
        return std::nullopt;
    }
    return query.getColumn(0).getString();
}

Account find_account(Connection& connection, const Address& address) {
    auto& query = connection.prepare("SELECT " FG_ACCOUNT_COLUMNS " FROM accounts WHERE address = ?");
    bind_bytes(query, 1, address);
    if (query.executeStep()) {
        return account_at(query);
    }
    Account none;
    none.address = address;
    return none;
}

std::vector<Account> all_accounts(Connection& connection) {
    std::vector<Account> out;
    auto& query = connection.prepare("SELECT " FG_ACCOUNT_COLUMNS " FROM accounts ORDER BY address");
    while (query.executeStep()) {
        out.push_back(account_at(query));
    }
    return out;
}

pay::SenderFunds funds_of(
    Connection& connection, const Address& sender, const Address& recipient, std::int64_t round
) {
    const Account account = find_account(connection, sender);
    pay::SenderFunds out;
    out.deposit = account.deposit;
    out.reserve = account.reserve;
    out.withdraw_round = account.withdraw_round;
    auto& claims = connection.prepare("SELECT recipient, amount FROM claims WHERE sender = ? AND round = ?");
    bind_bytes(claims, 1, sender);
    claims.bind(2, round);
    while (claims.executeStep()) {
        const Wei amount = wei_at(claims, 1);
        out.reserve_claimed += amount;
        out.claimed_by_us += bytes_at<Address>(claims, 0) == recipient ? amount : Wei(0);
    }
    auto& waiting =
        connection.prepare("SELECT face_value FROM tickets WHERE state = 0 AND recipient = ? AND sender = ?");
    bind_bytes(waiting, 1, recipient);
    bind_bytes(waiting, 2, sender);
    while (waiting.executeStep()) {
        out.pending += wei_at(waiting, 0);
    }
    return out;
}

Result<void> fund(
    Connection& connection, const Address& sender, const Wei& deposit, const Wei& reserve, const Moment& now
) {
    const Wei limit = Wei(1) << 128;  // sums of billions of these have room
    if (deposit >= limit || reserve >= limit) {
        return fail(Errc::kInvalidArgument, "at most 2^128 wei at once", "amount");
    }
    Account account = find_account(connection, sender);
    account.deposit += deposit;
    account.reserve += reserve;
    account.funded += deposit + reserve;
    account.withdraw_round = 0;
    store(connection, account);
    add_entry(connection, kFund, sender, deposit + reserve, now);
    return {};
}

Result<std::int64_t> unlock(Connection& connection, const Address& sender, const Moment& now) {
    Account account = find_account(connection, sender);
    if (account.deposit.is_zero() && account.reserve.is_zero()) {
        return refuse("sender deposit and reserve are zero");
    }
    if (account.withdraw_round != 0) {
        return refuse("unlock already initiated");
    }
    account.withdraw_round = now.round + kUnlockRounds;
    store(connection, account);
    return account.withdraw_round;
}

Result<void> cancel_unlock(Connection& connection, const Address& sender) {
    Account account = find_account(connection, sender);
    if (account.withdraw_round == 0) {
        return refuse("no unlock request in progress");
    }
    account.withdraw_round = 0;
    store(connection, account);
    return {};
}

Result<Wei> withdraw(Connection& connection, const Address& sender, const Moment& now) {
    Account account = find_account(connection, sender);
    const Wei amount = account.deposit + account.reserve;
    if (amount.is_zero()) {
        return refuse("sender deposit and reserve are zero");
    }
    if (account.withdraw_round == 0) {
        return refuse("no unlock request in progress");
    }
    if (now.round < account.withdraw_round) {
        return refuse("account is locked");
    }
    account.deposit = 0;
    account.reserve = 0;
    account.withdrawn += amount;
    store(connection, account);
    add_entry(connection, kWithdraw, sender, amount, now);
    return amount;
}

Result<Wei> collect(Connection& connection, const Address& recipient, const Moment& now) {
    Account account = find_account(connection, recipient);
    const Wei amount = account.earned - account.collected;
    if (amount.is_zero()) {
        return refuse("nothing was earned since it was collected last");
    }
    account.collected = account.earned;
    store(connection, account);
    add_entry(connection, kCollect, recipient, amount, now);
    return amount;
}

Result<pay::Redemption> redeem(
    Connection& connection, const pay::WinningTicket& ticket, const Hash32& hash, const Moment& now
) {
    if (const auto paid = find_paid(connection, hash)) {
        return pay::Redemption{.paid = *paid, .used_before = true, .reference = crypto::hex(hash)};
    }
    const pay::TicketParams& params = ticket.params;
    Account sender = find_account(connection, ticket.sender);
    // Neither is for ever: the sender may come with money, the recipient may start again.
    if (sender.withdraw_round != 0 && now.round >= sender.withdraw_round) {
        return fail(Errc::kUnavailable, "sender is unlocked", "ticket");
    }
    if (sender.deposit.is_zero() && sender.reserve.is_zero()) {
        return fail(Errc::kUnavailable, "sender deposit and reserve are zero", "ticket");
    }
    if (!is_recipient(connection, params.recipient)) {
        return fail(Errc::kUnavailable, "recipient must be registered", "ticket");
    }
    pay::ChainState chain;
    chain.round = now.round;
    chain.pool_size = pool_size(connection);
    const auto funds = funds_of(connection, ticket.sender, params.recipient, now.round);
    const pay::Payout payout = pay::payout(params.face_value, funds, chain);
    sender.deposit -= payout.from_deposit;
    sender.reserve -= payout.from_reserve;
    sender.paid += payout.total();
    store(connection, sender);
    Account recipient = find_account(connection, params.recipient);  // may be the sender
    recipient.earned += payout.total();
    store(connection, recipient);
    if (!payout.from_reserve.is_zero()) {
        add_claim(connection, ticket, payout.from_reserve, now);
    }
    add_redemption(connection, ticket, hash, payout.total(), now);
    return pay::Redemption{.paid = payout.total(), .used_before = false, .reference = crypto::hex(hash)};
}

std::optional<Wei> find_paid(Connection& connection, const Hash32& hash) {
    auto& query = connection.prepare("SELECT paid FROM redemptions WHERE hash = ?");
    bind_bytes(query, 1, hash);
    if (!query.executeStep()) {
        return std::nullopt;
    }
    return wei_at(query, 0);
}

std::vector<Payments> payments_of(
    Connection& connection, const Address& address, std::int64_t from_unix_ms, std::int64_t until_unix_ms
) {
    std::map<std::pair<Address, Address>, Payments> sums;
    auto& query = connection.prepare(
        "SELECT sender, recipient, face_value, paid FROM redemptions WHERE at_ms >= ?1 AND at_ms < ?2 "
        "AND (?4 OR sender = ?3 OR recipient = ?3)"
    );
    query.bind(1, from_unix_ms);
    query.bind(2, until_unix_ms);
    bind_bytes(query, 3, address);
    query.bind(4, address == Address{} ? 1 : 0);
    while (query.executeStep()) {
        const auto sender = bytes_at<Address>(query, 0);
        const auto recipient = bytes_at<Address>(query, 1);
        Payments& sum = sums[{sender, recipient}];
        sum.sender = sender;
        sum.recipient = recipient;
        sum.tickets += 1;
        sum.face_value += wei_at(query, 2);
        sum.paid += wei_at(query, 3);
    }
    std::vector<Payments> out;
    for (auto& [parties, sum] : sums) {
        out.push_back(std::move(sum));
    }
    return out;
}

Result<LedgerTotals> check_books(Connection& connection) {
    const sqlite::Snapshot snapshot(connection);
    Books books = books_of_history(connection);
    LedgerTotals totals;
    for (const Account& account : all_accounts(connection)) {
        Account& expected = of(books, account.address);
        expected.deposit = account.deposit;
        expected.reserve = account.reserve;
        expected.withdraw_round = account.withdraw_round;
        const bool held =
            account.deposit + account.reserve + account.withdrawn + account.paid == account.funded;
        if (account != expected || !held || account.collected > account.earned) {
            return fail(
                Errc::kInternal, "the account " + crypto::checksum_address(account.address) +
                                     " is not what its entries and redemptions make it"
            );
        }
        books.erase(account.address);
        totals.accounts += 1;
        totals.funded += account.funded;
        totals.held += account.deposit + account.reserve;
        totals.paid += account.paid;
        totals.withdrawn += account.withdrawn;
        totals.collected += account.collected;
    }
    if (!books.empty()) {
        return fail(
            Errc::kInternal,
            "the account " + crypto::checksum_address(books.begin()->first) + " has entries but is missing"
        );
    }
    auto& count = connection.prepare("SELECT count(*) FROM redemptions");
    totals.tickets_paid = count.executeStep() ? static_cast<std::uint64_t>(count.getColumn(0).getInt64()) : 0;
    return totals;
}

}  // namespace framegrid::ledger_sqlite
