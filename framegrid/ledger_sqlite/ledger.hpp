// The embedded ledger: accounts, redemptions and the queue of winning tickets in one SQLite file, with the
// rules of the contracts. Several processes may share the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/pay/ledger.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::ledger_sqlite {

struct LedgerSettings {
    std::filesystem::path file{};
    // Of a round, which has 300 blocks. A file keeps the length that it was made with.
    std::int64_t round_ms = 3'600'000;
    // An orchestrator: becomes one of the recipients that share each reserve, reachable at `service_uri`.
    // Zero: only pays or looks.
    pay::Address recipient{};
    std::string service_uri{};
    Wei gas_price = 0;                // wei; redeeming costs nothing here
    std::int64_t funds_age_ms = 500;  // for so long funds() may not see what other processes changed
    std::size_t funds_cached_max = 10'000;
};

// One sender or recipient, and its whole past: deposit + reserve == funded - withdrawn - paid, and what it
// can still take out of its earnings is earned - collected.
struct Account {
    pay::Address address{};
    Wei deposit = 0;
    Wei reserve = 0;
    std::int64_t withdraw_round = 0;  // 0: not unlocking
    Wei funded = 0;
    Wei withdrawn = 0;
    Wei paid = 0;
    Wei earned = 0;
    Wei collected = 0;
    friend bool operator==(const Account&, const Account&) = default;
};

// What one sender paid to one recipient.
struct Payments {
    pay::Address sender{};
    pay::Address recipient{};
    std::uint64_t tickets = 0;
    Wei face_value = 0;
    Wei paid = 0;  // less, where funds did not suffice
    friend bool operator==(const Payments&, const Payments&) = default;
};

// What check() found.
struct LedgerTotals {
    std::uint64_t accounts = 0;
    std::uint64_t tickets_paid = 0;
    Wei funded = 0;
    Wei held = 0;  // deposits and reserves
    Wei paid = 0;
    Wei withdrawn = 0;
    Wei collected = 0;
    friend bool operator==(const LedgerTotals&, const LedgerTotals&) = default;
};

// Used on one executor; threads of its own read and write. Tasks of its ports end before it does.
class LedgerFile {
  public:
    // Blocking: opens or makes the file. kIo tells what to do. The clock outlives it.
    static Result<std::unique_ptr<LedgerFile>> open(LedgerSettings settings, Clock& clock, Random& random);
    virtual ~LedgerFile() = default;

    // Round, block and hashes follow from the clock and the file, without a query; the number of recipients
    // is as of the last funds() or redeem().
    virtual pay::Chain& chain() = 0;
    virtual pay::Ledger& ledger() = 0;
    // Of the recipient in the settings.
    virtual pay::WinningTickets& winning_tickets() = 0;

    // All of them; and one, which is empty when nobody has heard of it.
    virtual Task<Result<std::vector<Account>>> accounts() = 0;
    virtual Task<Result<Account>> account(pay::Address address) = 0;
    // Takes out what a recipient has earned; returns how much that was.
    virtual Task<Result<Wei>> collect(pay::Address recipient) = 0;
    // Of redemptions in [from, until), by sender and recipient. A zero address: of everybody.
    virtual Task<Result<std::vector<Payments>>> usage(
        pay::Address address, std::int64_t from_unix_ms, std::int64_t until_unix_ms
    ) = 0;
    // The whole queue, oldest first, with what came of each ticket.
    virtual Task<Result<std::vector<pay::KeptTicket>>> kept() = 0;
    // Recomputes every account from the entries and redemptions. kInternal: names the first that differs.
    virtual Task<Result<LedgerTotals>> check() = 0;
    // Counters of the file: framegrid_ledger_*.
    virtual void dump(MetricsWriter& out) const = 0;
};

}  // namespace framegrid::ledger_sqlite
