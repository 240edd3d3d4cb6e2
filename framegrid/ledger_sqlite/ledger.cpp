#include <framegrid/ledger_sqlite/ledger.hpp>

#include <algorithm>
#include <utility>

#include <framegrid/ledger_sqlite/funds_cache.hpp>
#include <framegrid/ledger_sqlite/ledger_clock.hpp>
#include <framegrid/ledger_sqlite/ledger_rows.hpp>
#include <framegrid/ledger_sqlite/ticket_rows.hpp>
#include <framegrid/pay/redemption.hpp>
#include <framegrid/sqlite/database.hpp>

namespace framegrid::ledger_sqlite {

namespace {

using sqlite::Database;

// What the three ports share.
struct Shared {
    LedgerSettings settings;
    Clock& clock;
    Genesis genesis;
    std::uint32_t pool_size;
    FundsCache cache;
    std::unique_ptr<Database> database;
    mutable LedgerClock wall{clock};

    Moment now() const {
        const std::int64_t unix_ms = wall.unix_ms();
        return {unix_ms, round_at(genesis, unix_ms)};
    }
    std::int64_t monotonic_ms() const { return milliseconds(clock.now().time_since_epoch()); }
    Result<void> check(Deadline deadline) const {
        return deadline.passed(clock) ? fail(Errc::kDeadline, "the ledger was asked too late")
                                      : Result<void>();
    }
    // A change: what was read before it counts no more, nor does what is being read.
    template <class F>
    Task<std::invoke_result_t<F&, Connection&>> write(F change) {
        auto result = co_await database->write(std::move(change));
        cache.forget();
        co_return result;
    }
};

class SqliteChain final : public pay::Chain {
  public:
    explicit SqliteChain(Shared& shared) : shared_(shared) {}

    Result<pay::ChainState> state() const override {
        const Moment now = shared_.now();
        pay::ChainState out;
        out.l1_block = block_at(shared_.genesis, now.unix_ms);
        out.round = now.round;
        if (now.round != round_) {
            round_ = now.round;
            hash_ = round_hash(shared_.genesis, now.round);
            previous_hash_ = round_hash(shared_.genesis, now.round - 1);
        }
        out.round_block_hash = hash_;
        out.previous_block_hash = previous_hash_;
        out.pool_size = shared_.pool_size;
        out.gas_price = shared_.settings.gas_price;
        return out;
    }
    Task<Result<Hash32>> block_hash_of(std::int64_t round, Deadline /*deadline*/) override {
        co_return round > shared_.now().round ? Hash32{} : round_hash(shared_.genesis, round);
    }
    Task<Result<std::string>> service_uri(Address recipient, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.database->read([&](Connection& connection) -> Result<std::string> {
            return find_service_uri(connection, recipient).value_or("");
        });
    }

  private:
    Shared& shared_;
    // Every payment asks for them.
    mutable std::int64_t round_ = -1;
    mutable Hash32 hash_{};
    mutable Hash32 previous_hash_{};
};

class SqliteLedger final : public pay::Ledger {
  public:
    explicit SqliteLedger(Shared& shared) : shared_(shared) {}

    Task<Result<pay::SenderFunds>> funds(Address sender, Address recipient, Deadline deadline) override;
    Task<Result<void>> fund(Address sender, Wei deposit, Wei reserve, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.write([&, now = shared_.now()](Connection& connection) {
            return ledger_sqlite::fund(connection, sender, deposit, reserve, now);
        });
    }
    Task<Result<std::int64_t>> unlock(Address sender, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.write([&, now = shared_.now()](Connection& connection) {
            return ledger_sqlite::unlock(connection, sender, now);
        });
    }
    Task<Result<void>> cancel_unlock(Address sender, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.write([&](Connection& connection) {
            return ledger_sqlite::cancel_unlock(connection, sender);
        });
    }
    Task<Result<Wei>> withdraw(Address sender, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.write([&, now = shared_.now()](Connection& connection) {
            return ledger_sqlite::withdraw(connection, sender, now);
        });
    }
    Task<Result<pay::Redemption>> redeem(pay::WinningTicket ticket, Deadline deadline) override;
    Task<Result<bool>> is_used(Hash32 ticket_hash, Deadline deadline) override {
        FG_CO_CHECK(shared_.check(deadline));
        co_return co_await shared_.database->read([&](Connection& connection) -> Result<bool> {
            return find_paid(connection, ticket_hash).has_value();
        });
    }

  private:
    Shared& shared_;
};

Task<Result<pay::SenderFunds>> SqliteLedger::funds(Address sender, Address recipient, Deadline deadline) {
    const FundsCache::Key key{sender, recipient, shared_.now().round};
    if (const auto known = shared_.cache.find(key, shared_.monotonic_ms())) {
        co_return *known;
    }
    FG_CO_CHECK(shared_.check(deadline));
    const std::uint64_t version = shared_.cache.version();
    std::uint32_t recipients = 0;
    auto read = co_await shared_.database->read([&](Connection& connection) -> Result<pay::SenderFunds> {
        const sqlite::Snapshot snapshot(connection);
        recipients = ledger_sqlite::pool_size(connection);
        return funds_of(connection, sender, recipient, key.round);
    });
    if (read) {
        shared_.pool_size = recipients;
        shared_.cache.put(key, *read, version, shared_.monotonic_ms());
    }
    co_return read;
}

Task<Result<pay::Redemption>> SqliteLedger::redeem(pay::WinningTicket ticket, Deadline deadline) {
    FG_CO_CHECK(shared_.check(deadline));
    const Moment now = shared_.now();
    const std::int64_t creation = ticket.params.creation.round;
    if (creation > now.round) {  // only a clock that was set back can say so of an honest ticket
        co_return fail(Errc::kUnavailable, "the ticket's round has not begun yet", "ticket");
    }
    const Hash32 hash = pay::ticket_hash(ticket.params, ticket.sender, ticket.ticket.nonce);
    const auto good = pay::check_redeemable(ticket, round_hash(shared_.genesis, creation), now.round);
    if (!good) {
        // Asked again after an answer was lost, maybe long ago.
        const auto paid = co_await shared_.database->read([&](Connection& connection) {
            return Result<std::optional<Wei>>(find_paid(connection, hash));
        });
        if (paid && *paid) {
            co_return pay::Redemption{.paid = **paid, .used_before = true, .reference = crypto::hex(hash)};
        }
        co_return std::unexpected(good.error());
    }
    std::uint32_t recipients = 0;
    auto redeemed = co_await shared_.write([&](Connection& connection) {
        recipients = ledger_sqlite::pool_size(connection);
        return ledger_sqlite::redeem(connection, ticket, hash, now);
    });
    if (redeemed) {
        shared_.pool_size = recipients;
    }
    co_return redeemed;
}

class SqliteWinningTickets final : public pay::WinningTickets {
  public:
    explicit SqliteWinningTickets(Shared& shared) : shared_(shared) {}

    Task<Result<void>> keep(std::vector<pay::WinningTicket> tickets) override {
        if (tickets.empty()) {
            co_return Result<void>();
        }
        co_return co_await shared_.write([&](Connection& connection) -> Result<void> {
            for (const auto& ticket : tickets) {
                insert_ticket(connection, ticket);
            }
            return {};
        });
    }
    Task<Result<std::vector<pay::WinningTicket>>> waiting(Address sender, std::size_t limit) override {
        co_return co_await shared_.database->read([&](Connection& connection) {
            return Result<std::vector<pay::WinningTicket>>(
                waiting_tickets(connection, shared_.settings.recipient, sender, limit)
            );
        });
    }
    Task<Result<std::vector<Address>>> senders() override {
        co_return co_await shared_.database->read([&](Connection& connection) {
            return Result<std::vector<Address>>(waiting_senders(connection, shared_.settings.recipient));
        });
    }
    Task<Result<Wei>> pending(Address sender) override {
        co_return co_await shared_.database->read([&, now = shared_.now()](Connection& connection) {
            return Result<Wei>(funds_of(connection, sender, shared_.settings.recipient, now.round).pending);
        });
    }
    Task<Result<void>> done(Hash32 ticket_hash, pay::Redemption redemption) override {
        co_return co_await shared_.write([&](Connection& connection) {
            return end_ticket(connection, ticket_hash, redemption);
        });
    }
    Task<Result<void>> failed(Hash32 ticket_hash, std::string error) override {
        co_return co_await shared_.write([&](Connection& connection) {
            return end_ticket(connection, ticket_hash, error);
        });
    }

  private:
    Shared& shared_;
};

class OpenLedger final : public LedgerFile {
  public:
    explicit OpenLedger(Shared shared) : shared_(std::move(shared)) {}

    pay::Chain& chain() override { return chain_; }
    pay::Ledger& ledger() override { return ledger_; }
    pay::WinningTickets& winning_tickets() override { return tickets_; }

    Task<Result<std::vector<Account>>> accounts() override {
        co_return co_await shared_.database->read([](Connection& connection) {
            return Result<std::vector<Account>>(all_accounts(connection));
        });
    }
    Task<Result<Account>> account(Address address) override {
        co_return co_await shared_.database->read([&](Connection& connection) {
            return Result<Account>(find_account(connection, address));
        });
    }
    Task<Result<Wei>> collect(Address recipient) override {
        co_return co_await shared_.write([&, now = shared_.now()](Connection& connection) {
            return ledger_sqlite::collect(connection, recipient, now);
        });
    }
    Task<Result<std::vector<Payments>>> usage(
        Address address, std::int64_t from_unix_ms, std::int64_t until_unix_ms
    ) override {
        co_return co_await shared_.database->read([&](Connection& connection) {
            return Result<std::vector<Payments>>(payments_of(connection, address, from_unix_ms, until_unix_ms)
            );
        });
    }
    Task<Result<std::vector<pay::KeptTicket>>> kept() override {
        co_return co_await shared_.database->read([&](Connection& connection) {
            return Result<std::vector<pay::KeptTicket>>(kept_tickets(connection, shared_.settings.recipient));
        });
    }
    Task<Result<LedgerTotals>> check() override {
        co_return co_await shared_.database->read([](Connection& connection) {
            return check_books(connection);
        });
    }
    void dump(MetricsWriter& out) const override { sqlite::dump(out, shared_.database->stats(), "ledger"); }

  private:
    Shared shared_;
    SqliteChain chain_{shared_};
    SqliteLedger ledger_{shared_};
    SqliteWinningTickets tickets_{shared_};
};

struct Beginning {
    Genesis genesis;
    std::uint32_t pool_size = 0;
};

// Throws what the library throws.
Beginning begin(const LedgerSettings& settings, std::int64_t unix_ms, Random& random) {
    Connection connection(settings.file, Connection::Mode::kWrite, kSchema);
    Genesis fresh{.seed = {}, .start_unix_ms = unix_ms, .round_ms = settings.round_ms};
    random.fill(fresh.seed);
    connection.execute("BEGIN IMMEDIATE");
    Beginning out{.genesis = find_genesis(connection, fresh)};
    if (settings.recipient != Address{}) {
        register_recipient(connection, settings.recipient, settings.service_uri, unix_ms);
    }
    out.pool_size = pool_size(connection);
    connection.settle();
    connection.execute("COMMIT");
    return out;
}

}  // namespace

Result<std::unique_ptr<LedgerFile>> LedgerFile::open(LedgerSettings settings, Clock& clock, Random& random) {
    if (settings.round_ms < kRoundMsMin) {
        return fail(Errc::kInvalidArgument, "a round takes at least 300 ms", "round");
    }
    Beginning beginning;
    try {
        beginning = begin(settings, clock.unix_ms(), random);
    } catch (const SQLite::Exception& exception) {
        const Error error = sqlite::error_of(exception, kSchema);
        return fail(make_error(error.code, error.message + " (" + settings.file.string() + ")"));
    }
    FG_TRY(database, Database::open({.file = settings.file}, kSchema));
    FundsCache cache(settings.funds_age_ms, settings.funds_cached_max);
    return std::make_unique<OpenLedger>(Shared{
        std::move(settings), clock, beginning.genesis, beginning.pool_size, std::move(cache),
        std::move(database)
    });
}

}  // namespace framegrid::ledger_sqlite
