// A gateway's purse: how many tickets a job needs on top of the credit that is there, and what is left of
// them afterwards (protocol section 5.5).
#pragma once

#include <cstdint>
#include <memory>

#include <framegrid/pay/balances.hpp>
#include <framegrid/pay/ticket.hpp>

namespace framegrid::pay {

// Credit taken out and tickets to buy for one job. Ends with one settle().
struct Purchase {
    BalanceKey key;
    Money reserved;  // of the credit that was there, what the tickets leave to pay
    Money ticket_ev;
    std::uint32_t tickets = 0;
    Money total() const { return tickets == 0 ? reserved : reserved + ticket_ev * tickets; }
};

enum class Outcome : std::uint8_t {
    kNotSent,   // no ticket left this node
    kNoAnswer,  // they did, and nothing came back: the recipient may have them
    kAnswered,  // the work was done
};

// The tickets for a job that costs `fee` when `existing` is there already: at least a ticket's worth must be.
BigInt tickets_needed(const Money& existing, const Money& fee, const Money& ticket_ev);

// Not thread-safe; on its gateway's executor.
class Purse {
  public:
    explicit Purse(BalanceSettings settings = {}) : balances_(settings) {}

    // Takes credit out for what the tickets leave to pay, and no more: jobs at the same time share the rest.
    // Tickets that are under way are nobody else's credit, because they may come after the others. A debt is
    // paid with tickets as well. Tickets that are worth nothing: none are bought. kForbidden: more than
    // tickets_max would be needed; nothing is taken then.
    Result<Purchase> plan(
        const BalanceKey& key, const TicketParams& params, const Money& fee, std::uint32_t tickets_max,
        TimePoint now
    );
    // The same if no ticket, of which each is worth `ticket_ev`, is needed; null, and nothing taken,
    // otherwise.
    std::unique_ptr<const Purchase> plan_on_credit(
        BalanceKey key, const Money& ticket_ev, Money fee, TimePoint now
    );
    // Puts back what the job did not use. `fee` counts only when it was answered.
    void settle(const Purchase& purchase, const Money& fee, Outcome outcome, TimePoint now);

    Balances& balances() { return balances_; }
    const Balances& balances() const { return balances_; }
    void sweep(TimePoint now) { balances_.sweep(now); }

  private:
    Balances balances_;
};

}  // namespace framegrid::pay
