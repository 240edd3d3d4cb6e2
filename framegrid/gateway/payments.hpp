// What a gateway pays for its jobs, and with what: terms of each orchestrator, tickets, and the change. The
// rules are pay::Sender's and pay::Purse's; here are the ledger, the signer and time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/pay/ledger.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/pay/purse.hpp>
#include <framegrid/pay/receipt_desk.hpp>
#include <framegrid/pay/signer.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

struct PaymentSettings {
    pay::SenderSettings sender{};
    pay::BalanceSettings balances{};
    pay::PriceCeilings ceilings{};              // by model; the market's price limit is another one
    Duration period = std::chrono::seconds(5);  // of asking the ledger for our own money
    Duration sweep_period = std::chrono::minutes(1);
    Duration time_max = std::chrono::seconds(5);  // of the ledger and the signer
    std::size_t terms_max = 100'000;              // orchestrators times streams and models
    Duration terms_idle_max = std::chrono::minutes(10);
    std::uint32_t tickets_low = 150;  // fewer are left of these params: new ones are asked for meanwhile
    std::uint64_t blocks_low = 10;    // the same for their expiration
};

struct PaymentPorts {
    pay::Signer& signer;
    pay::Ledger& ledger;
    pay::Chain& chain;
    pay::ReceiptDesk* receipts = nullptr;  // null: none are written
};

struct PaymentStats {
    std::uint64_t tickets_sent = 0;
    std::uint64_t payments_refused = 0;  // by orchestrators
    std::uint64_t jobs_too_dear = 0;     // over a ceiling, or more than our own limits allow
    pay::Money tickets_sent_wei{};       // expected value
    pay::Money fees{};                   // of the work that was answered
    pay::Money lost{};                   // expected value that went with jobs that nobody answered
    pay::Money credit{};                 // at all orchestrators together
    Wei deposit = 0;
    Wei reserve = 0;
    std::size_t terms = 0;
};
void dump(MetricsWriter& out, const PaymentStats& stats);

// What one orchestrator asks for one stream, or for one model.
struct Terms {
    Price price;
    std::shared_ptr<const pay::TicketParams> params;          // null: free
    Price price_at_start;                                     // when it was asked first
    pay::Money ticket_ev{};                                   // of the params
    std::shared_ptr<const pay::Payment> on_credit = nullptr;  // what says this price and pays with credit
};

// What the payer signs of a job.
pay::SegmentClaim claim_of(const std::string& manifest_id, std::int64_t seq, const api::Work& work);

// Who is paid for what.
struct Purpose {
    std::string terms_key;   // orchestrator and manifest
    std::string balance_id;  // session of a stream, or the model
    std::optional<Price> price_max{};
    std::vector<pay::ModelKey> models{};
};

// One job's payment. Settled when it goes as if no answer had come, unless it was told better.
class JobPayment {
  public:
    JobPayment() = default;
    JobPayment(JobPayment&& other) noexcept { *this = std::move(other); }
    JobPayment& operator=(JobPayment&& other) noexcept;
    ~JobPayment();

    // Null: free.
    const std::shared_ptr<const pay::Payment>& payment() const { return payment_; }
    const Price& price() const { return price_; }
    // Who is paid. Null: nobody.
    const crypto::Address* recipient() const { return purchase_ ? &purchase_->key.peer : nullptr; }
    // It leaves this node now.
    void sent() { sent_ = true; }
    // The work was done, and so many units of it. Returns what it cost.
    pay::Money answered(std::int64_t units);
    // The orchestrator said that it has not done the work.
    void refused();

  private:
    friend class Payments;
    void settle(const pay::Money& fee, pay::Outcome outcome);

    class Payments* payments_ = nullptr;  // null: nothing to settle
    std::unique_ptr<const pay::Purchase> purchase_;
    std::shared_ptr<const pay::Payment> payment_;
    Price price_;
    bool sent_ = false;
};

// On its gateway's executor. Outlives its JobPayments.
class Payments {
  public:
    Payments(PaymentPorts ports, Clock& clock, Logger log, PaymentSettings settings);

    const crypto::Address& address() const { return ports_.signer.address(); }
    // Keeps what is known of our money fresh, and forgets, until cancelled.
    Task<Result<bool>> serve();

    // What an orchestrator has said it asks for.
    void learn(const std::string& terms_key, const api::OrchestratorInfo& info);
    void forget(const std::string& terms_key) { terms_.erase(terms_key); }
    // Whether a job can be paid by what is known.
    bool has_terms(const std::string& terms_key);

    // Only if what is known and the credit that is there suffice: nothing is asked or signed then. nullopt:
    // use buy(). `refresh` becomes true when it is time to ask for new terms, once for each set of params.
    std::optional<JobPayment> buy_on_credit(
        const Purpose& purpose, const std::function<pay::Money(const Price&)>& fee_of, bool& refresh
    );
    // kForbidden: too dear, or our own money does not allow it; kUnavailable: ask the orchestrator for new
    // params. `fee_of` is asked for the fee to expect at a price.
    Task<Result<JobPayment>> buy(
        Purpose purpose, std::function<pay::Money(const Price&)> fee_of, Deadline deadline
    );
    // Whether a job without enough credit should go through beside_signing().
    bool signs_elsewhere() const { return ports_.signer.is_remote(); }
    // The signer signs what the job's header needs while `buying` asks for the tickets: one round trip, not
    // two. Errors of either.
    Task<Result<JobPayment>> beside_signing(
        pay::SegmentClaim claim, Task<Result<JobPayment>> buying, Deadline deadline
    );
    // Of a job that was answered; nothing where none are kept or it was free.
    void write_receipt(
        const crypto::Hash32& id, const JobPayment& payment, const api::Work& work,
        const api::WorkOutput& output, std::int64_t units
    );
    // The orchestrator does not count on our credit (it may have restarted): neither do we.
    void disown(const Purpose& purpose);

    PaymentStats stats() const;
    // What is left at each orchestrator, exactly.
    std::vector<pay::BalanceEntry> books() const { return purse_.balances().entries(); }

  private:
    friend class JobPayment;
    struct Entry {
        Terms terms;
        TimePoint used_at;
        bool asked = false;
    };
    Entry* find(const std::string& terms_key);
    bool is_usable(const Terms& terms, const Result<pay::ChainState>& chain) const;
    bool is_time_to_ask(Entry& entry, const Result<pay::ChainState>& chain) const;
    Task<Result<void>> ask_funds(Deadline deadline);
    Result<void> check_price(const Purpose& purpose, const Terms& terms) const;
    // A payment of these terms that has no tickets.
    std::shared_ptr<const pay::Payment> without_tickets(Terms& terms) const;
    Task<void> sign_ahead(pay::SegmentClaim claim, Deadline deadline, Result<void>& done);
    Task<Result<JobPayment>> buy_and_join(
        Task<Result<JobPayment>> buying, TaskGroup& beside, const Result<void>& ahead
    );
    Result<pay::TicketBatch> plan(
        const Purpose& purpose, const Terms& terms, const pay::Money& fee, JobPayment& out
    );

    PaymentPorts ports_;
    Clock& clock_;
    Logger log_;
    PaymentSettings settings_;
    pay::Sender sender_;
    pay::Purse purse_;
    std::optional<pay::SenderFunds> funds_;
    std::unordered_map<std::string, Entry> terms_;
    PaymentStats stats_;
};

}  // namespace framegrid::gateway
