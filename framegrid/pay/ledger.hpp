// Ports: where the money is, what time it is there, and where winning tickets wait. One file, an account
// table or the contracts of a chain can be behind them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/pay/funds.hpp>
#include <framegrid/pay/ticket.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::pay {

// Rounds, blocks and the set of recipients. Called on one executor; implementations keep the last state and
// refresh it elsewhere.
class Chain {
  public:
    virtual ~Chain() = default;
    // As last seen; no call goes out. kUnavailable: nothing has been seen for too long.
    virtual Result<ChainState> state() const = 0;
    // Of an initialized round; zero when it has none.
    virtual Task<Result<Hash32>> block_hash_of(std::int64_t round, Deadline deadline) = 0;
    // Where an active recipient says it can be reached, empty: nowhere.
    virtual Task<Result<std::string>> service_uri(Address recipient, Deadline deadline) = 0;
};

// What came of a redemption.
struct Redemption {
    Wei paid = 0;              // book this, never the face value: a part is final
    bool used_before = false;  // it was paid earlier, and that is `paid`; nothing was paid now
    std::string reference;     // the transaction's hash or the row's id
};

// Deposits and reserves. A change is durable when its task is done. Refusals that cannot be retried are
// kForbidden, everything else may be tried again: a ticket is paid once, by its hash.
class Ledger {
  public:
    virtual ~Ledger() = default;
    // `recipient`: whose claims and pending tickets count.
    virtual Task<Result<SenderFunds>> funds(Address sender, Address recipient, Deadline deadline) = 0;
    // Ends a running unlock, too.
    virtual Task<Result<void>> fund(Address sender, Wei deposit, Wei reserve, Deadline deadline) = 0;
    // Returns the round from which on withdraw() works.
    virtual Task<Result<std::int64_t>> unlock(Address sender, Deadline deadline) = 0;
    virtual Task<Result<void>> cancel_unlock(Address sender, Deadline deadline) = 0;
    // Returns all that was there.
    virtual Task<Result<Wei>> withdraw(Address sender, Deadline deadline) = 0;
    virtual Task<Result<Redemption>> redeem(WinningTicket ticket, Deadline deadline) = 0;
    virtual Task<Result<bool>> is_used(Hash32 ticket_hash, Deadline deadline) = 0;
};

// A winning ticket that waits, or what came of it.
struct KeptTicket {
    WinningTicket ticket;
    std::optional<Redemption> redemption;  // absent: waits
    std::string final_error;               // set: never tried again
};

// The recipient's durable queue.
class WinningTickets {
  public:
    virtual ~WinningTickets() = default;
    // Durable when done; several calls at once share one sync. A hash that is there already stays as it is.
    virtual Task<Result<void>> keep(std::vector<WinningTicket> tickets) = 0;
    // Of one sender, the oldest ones that wait; and who has any.
    virtual Task<Result<std::vector<WinningTicket>>> waiting(Address sender, std::size_t limit) = 0;
    virtual Task<Result<std::vector<Address>>> senders() = 0;
    // Face values that wait.
    virtual Task<Result<Wei>> pending(Address sender) = 0;
    virtual Task<Result<void>> done(Hash32 ticket_hash, Redemption redemption) = 0;
    virtual Task<Result<void>> failed(Hash32 ticket_hash, std::string error) = 0;
};

}  // namespace framegrid::pay
