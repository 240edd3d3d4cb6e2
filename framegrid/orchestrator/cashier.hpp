// What an orchestrator does for its money: takes payments, keeps what wins, and redeems it. The rules are
// pay::Till's; here are the ledger, the queue of winning tickets and time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/pay/ledger.hpp>
#include <framegrid/pay/till.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::orchestrator {

struct CashierSettings {
    pay::TillSettings till{};
    Duration period = std::chrono::seconds(5);  // of asking the ledger, and of redeeming
    Duration sweep_period = std::chrono::minutes(1);
    Duration ledger_time_max = std::chrono::seconds(5);
    Duration funds_age_max = std::chrono::minutes(1);     // older ones are asked for before they are used
    Duration sender_idle_max = std::chrono::minutes(30);  // then its funds are no longer kept fresh
    std::size_t senders_max = 10'000;
    std::size_t redeem_max = 100;     // tickets of one sender that are held at once while they are redeemed
    std::size_t redeem_at_once = 16;  // their changes share the ledger's syncs
    std::size_t unkept_max = 10'000;  // winning tickets that the queue did not take; then nothing is sold
};

struct CashierPorts {
    Clock& clock;
    Random& random;
    Logger log;
    WorkPool& pool;
    pay::Ledger& ledger;
    pay::Chain& chain;
    pay::WinningTickets& winners;
    crypto::Address self{};  // who is paid
};

struct CashierStats {
    pay::TillStats till{};
    pay::Money received{};    // expected value of all tickets that were credited
    pay::Money earned{};      // fees of the work done
    pay::Money credit{};      // of all senders together
    pay::Money debt{};        // of those whose work cost more than they had
    Wei pending = 0;          // face values that wait to be redeemed
    Wei redeemed = 0;         // what the ledger has paid
    Wei redemption_cost = 0;  // of one ticket, now
    std::uint64_t redemptions = 0;
    std::uint64_t redemptions_failed = 0;  // that will be tried again
    std::uint64_t tickets_lost = 0;        // refused for good, or too old
    std::size_t unkept = 0;
    std::size_t senders = 0;
};
void dump(MetricsWriter& out, const CashierStats& stats);

// Paid work under way. What is not finished when it goes is not debited.
class PaidWork {
  public:
    PaidWork() = default;
    PaidWork(pay::Till& till, const Clock& clock, pay::Hold hold)
        : till_(&till), clock_(&clock), hold_(std::make_unique<const pay::Hold>(std::move(hold))) {}
    PaidWork(PaidWork&&) noexcept = default;
    PaidWork& operator=(PaidWork&& other) noexcept {
        std::swap(till_, other.till_);
        std::swap(clock_, other.clock_);
        std::swap(hold_, other.hold_);
        return *this;
    }
    ~PaidWork() {
        if (hold_) {
            till_->abandon(*hold_, clock_->now());
        }
    }
    // Of a unit. 0 wei: free.
    Price price() const { return hold_ ? hold_->price : Price{}; }
    // Debits it. Returns what it cost. Once.
    pay::Money finish(std::int64_t units) {
        return till_->finish(*std::exchange(hold_, nullptr), units, clock_->now());
    }

  private:
    pay::Till* till_ = nullptr;
    const Clock* clock_ = nullptr;
    std::unique_ptr<const pay::Hold> hold_;  // null: nothing to end
};

// On its orchestrator's executor.
class Cashier {
  public:
    Cashier(CashierPorts ports, CashierSettings settings, pay::PriceTable prices);

    // Redeems, forgets and keeps funds fresh until cancelled.
    Task<Result<bool>> serve();

    // What this order costs, and what to pay with. kForbidden: too little money behind the sender's tickets.
    Task<Result<pay::Quote>> quote(pay::Order order, Deadline deadline);
    // Without the cost of redeeming.
    Price price(const crypto::Address& sender, const std::vector<pay::ModelKey>& models);
    Result<void> set_usd_rate(const pay::UsdRate& rate) {
        return till_.prices().set_usd_rate(rate, ports_.clock.now());
    }
    bool is_price_fixed(const pay::BalanceKey& key) const { return till_.balances().price(key).has_value(); }

    // Takes a payment with tickets for an order. Winning tickets are durable when this returns, whatever
    // it returns. kForbidden (Disposition::kRetry): the order is not paid for.
    Task<Result<void>> take(pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline);
    // The same for a payment without tickets, which needs nobody else, and check_paid().
    Result<void> take_without_tickets(const pay::Order& order, const pay::Payment* payment);
    // Whether there is enough for the order to begin: kForbidden.
    Result<void> check_paid(const pay::Order& order);
    // The same for so many units, and holds their price back.
    // `on_credit`: take_without_tickets() as well.
    Result<PaidWork> begin(
        const pay::Order& order, std::int64_t units, const pay::Payment* on_credit = nullptr
    );
    void finish(PaidWork work, std::int64_t units) { stats_.earned += work.finish(units); }

    CashierStats stats() const;
    // What each sender has left, exactly.
    std::vector<pay::BalanceEntry> books() const { return till_.balances().entries(); }

  private:
    struct Known {
        pay::SenderFunds funds;
        TimePoint asked_at;
        TimePoint used_at;
    };
    struct HashOf {
        std::size_t operator()(const crypto::Address& address) const;
    };
    Result<void> can_sell() const;
    Deadline ledger_deadline() const { return Deadline::after(ports_.clock, settings_.ledger_time_max); }
    Task<Result<pay::SenderFunds>> funds_of(crypto::Address sender, Deadline deadline);
    Task<Result<pay::SenderFunds>> ask_funds(crypto::Address sender, Deadline deadline);
    void remember(const crypto::Address& sender, const pay::SenderFunds& funds, TimePoint used_at);
    Task<Result<void>> keep(std::vector<pay::WinningTicket> winners);
    Task<void> refresh();
    Task<void> redeem_all();
    Task<bool> redeem_for(crypto::Address sender);
    // Of tickets that are redeemed together.
    struct Failures {
        std::size_t count = 0;
        std::string last;
    };
    // False: one failed, and the sender's others had better wait, too.
    Task<bool> redeem_together(std::vector<pay::WinningTicket> tickets);
    Task<Result<bool>> redeem_each(
        TaskGroup& group, std::span<const pay::WinningTicket> tickets, Failures& failures
    );
    Task<void> redeem(pay::WinningTicket ticket, Failures& failures);
    Task<Result<void>> redeem(pay::WinningTicket ticket);
    // Of tickets whose round is over; as redeem_together().
    Task<bool> drop(std::vector<pay::WinningTicket> tickets);
    void count(const Failures& failures);
    Task<void> give_up(pay::WinningTicket ticket, std::string why);

    CashierPorts ports_;
    CashierSettings settings_;
    pay::Till till_;
    std::unordered_map<crypto::Address, Known, HashOf> known_;
    std::vector<pay::WinningTicket> unkept_;  // won, and not known to be durable yet
    CashierStats stats_;
};

}  // namespace framegrid::orchestrator
