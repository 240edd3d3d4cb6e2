// An orchestrator's till: quotes, takes payments, and lets work begin only when it is paid for. Ties together
// prices, tickets and balances; the rules are theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <framegrid/pay/balances.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/pay/recipient.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::pay {

struct TillSettings {
    RecipientSettings recipient{};
    BalanceSettings balances{};
    bool adjust_for_redemption = true;  // quotes carry the cost of redeeming tickets
};

// What somebody wants to have done.
struct Order {
    BalanceKey key;                // of the sender
    std::vector<ModelKey> models;  // empty: transcoding
    // What the payment that was taken for it expects: AI jobs are debited that. Absent: the account's price.
    std::optional<Price> agreed{};
};

struct Quote {
    Price price;
    std::optional<TicketParams> params;  // worth nothing when it is free; absent: free, and no block is seen
};

struct Accepted {
    Money credited;
    std::vector<WinningTicket> winners;  // to be made durable before the answer, whatever `error` says
    std::optional<Error> error;          // set: do no work for this payment
};

// Work that is paid for and under way. Ends with one finish() or abandon().
struct Hold {
    BalanceKey key;
    Money amount;
    Price price;  // 0 wei: free
};

struct TillStats {
    RecipientStats recipient;
    std::size_t balances = 0;
    std::uint64_t refused_unpaid = 0;  // orders without enough credit
    std::uint64_t refused_price = 0;   // payments that expected a lower price
    std::uint64_t jobs_in_debt = 0;    // that cost more than was there
};
void dump(MetricsWriter& out, const TillStats& stats);

// Not thread-safe, but for check(). On its orchestrator's executor.
class Till {
  public:
    Till(const Address& address, TillSettings settings, PriceTable prices, Random& random);

    // For OrchestratorInfo. The price that was fixed for this order, else the table's with the cost of
    // redeeming. Prices of AI jobs are not fixed: each payment names the one that it was made for.
    Result<Quote> quote(const Order& order, const SenderFunds& funds, const ChainState& chain, TimePoint now);
    // Recipient::check, on any thread.
    Result<CheckedPayment> check(const Payment& payment) const { return recipient_.check(payment); }
    // Takes a payment with tickets for an order. `checked` is what check() said of it.
    Accepted accept(
        const Order& order, const Payment& payment, const CheckedPayment& checked, const SenderFunds& funds,
        const ChainState& chain, TimePoint now
    );
    // The same without tickets, null for no payment at all: whether both mean the same price, and there is
    // enough for the order to begin, as begin() says it.
    Result<void> agree(const Order& order, const Payment* payment, TimePoint now);
    // Whether there is enough for the order to begin, as begin() says it.
    Result<void> check_paid(const Order& order, TimePoint now);
    // Before the work. `estimated_units` is what it will be counted as, as far as known. kInvalidArgument
    // "Insufficient balance": neither that nor a ticket's worth is there. `on_credit`: agree() as well, with
    // one look into the books.
    Result<Hold> begin(
        const Order& order, std::int64_t estimated_units, TimePoint now, const Payment* on_credit = nullptr
    );
    // Debits the work. Returns what it cost.
    Money finish(const Hold& hold, std::int64_t units, TimePoint now);
    // The work was not done: nothing is debited.
    void abandon(const Hold& hold, TimePoint now);

    // Once a minute or so: forgets idle balances and the nonces of old params.
    void sweep(const ChainState& chain, TimePoint now);
    // What redeeming a ticket costs now.
    Wei redemption_cost(const ChainState& chain) const { return recipient_.redemption_cost(chain); }
    PriceTable& prices() { return prices_; }
    Balances& balances() { return balances_; }
    const Balances& balances() const { return balances_; }
    TillStats stats() const;

  private:
    // Whether `amount` and a ticket's worth are there, and a price is fixed.
    Result<void> check_funds(const Balances::Account* account, const Money& amount);
    Result<void> check_expected(
        const Order& order, const Price& asked, const std::optional<Price>& expected, TimePoint now
    );
    Result<void> check_payment(
        const Order& order, const Payment* payment, const Price& asked, const Balances::Account* account,
        TimePoint now
    );

    TillSettings settings_;
    Money ticket_ev_;
    Recipient recipient_;
    PriceTable prices_;
    Balances balances_;
    TillStats stats_;
};

}  // namespace framegrid::pay
