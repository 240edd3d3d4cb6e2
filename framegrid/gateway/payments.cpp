#include <framegrid/gateway/payments.hpp>

#include <algorithm>

#include <framegrid/api/receipts.hpp>

namespace framegrid::gateway {

namespace {

double wei_of(const pay::Money& money) {
    return static_cast<double>(money.floor_wei());
}

PaymentSettings within(PaymentSettings settings, const pay::Signer& signer) {
    auto& most = settings.sender.tickets_per_payment_max;
    most = std::min(most, signer.tickets_max());
    return settings;
}

}  // namespace

JobPayment& JobPayment::operator=(JobPayment&& other) noexcept {
    std::swap(payments_, other.payments_);
    std::swap(purchase_, other.purchase_);
    std::swap(payment_, other.payment_);
    std::swap(price_, other.price_);
    std::swap(sent_, other.sent_);
    return *this;
}

JobPayment::~JobPayment() {
    if (payments_ != nullptr) {
        settle({}, sent_ ? pay::Outcome::kNoAnswer : pay::Outcome::kNotSent);
    }
}

pay::Money JobPayment::answered(std::int64_t units) {
    const pay::Money fee = pay::Money::of_units(std::max<std::int64_t>(units, 0), price_);
    settle(fee, pay::Outcome::kAnswered);
    return fee;
}

void JobPayment::refused() {
    // Tickets are out of our hands; credit that nobody has used is not.
    settle({}, !purchase_ || purchase_->tickets == 0 ? pay::Outcome::kNotSent : pay::Outcome::kNoAnswer);
}

void JobPayment::settle(const pay::Money& fee, pay::Outcome outcome) {
    auto* const owner = std::exchange(payments_, nullptr);
    if (owner == nullptr) {
        return;
    }
    owner->purse_.settle(*purchase_, fee, outcome, owner->clock_.now());
    owner->stats_.fees += fee;
    if (outcome == pay::Outcome::kNoAnswer) {
        owner->stats_.lost += purchase_->total();
    }
}

Payments::Payments(PaymentPorts ports, Clock& clock, Logger log, PaymentSettings settings)
    : ports_(ports),
      clock_(clock),
      log_(std::move(log)),
      settings_(within(std::move(settings), ports_.signer)),
      sender_(ports_.signer.address(), settings_.sender),
      purse_(settings_.balances) {}

Task<Result<void>> Payments::ask_funds(Deadline deadline) {
    const Deadline soon = deadline.at_most(clock_, settings_.time_max);
    auto funds = co_await ports_.ledger.funds(address(), {}, soon);
    if (!funds) {
        co_return fail(std::move(funds.error()).with_context("the ledger does not say what we have"));
    }
    funds_ = std::move(*funds);
    co_return Result<void>{};
}

Task<Result<bool>> Payments::serve() {
    TimePoint sweep_at = clock_.now() + settings_.sweep_period;
    for (;;) {
        if (const auto asked = co_await ask_funds(Deadline::after(clock_, settings_.time_max)); !asked) {
            log_.warn("gateway.ledger_unavailable", {{"error", asked.error().message}});
        }
        co_await sleep_for(clock_, settings_.period);
        if (const TimePoint now = clock_.now(); now >= sweep_at) {
            sweep_at = now + settings_.sweep_period;
            purse_.sweep(now);
            if (const auto chain = ports_.chain.state()) {
                sender_.sweep(chain->l1_block);
            }
            std::erase_if(terms_, [&](const auto& entry) {
                return now - entry.second.used_at > settings_.terms_idle_max;
            });
        }
    }
}

void Payments::learn(const std::string& terms_key, const api::OrchestratorInfo& info) {
    const TimePoint now = clock_.now();
    const Price price = info.price.value_or(Price{});
    // Free work needs no tickets, and so no new params when these have expired.
    Terms terms{price, price.wei == 0 ? nullptr : info.ticket_params, price};
    terms.ticket_ev = terms.params ? pay::expected_value(*terms.params) : pay::Money();
    const auto found = terms_.find(terms_key);
    if (found == terms_.end()) {
        if (terms_.size() < settings_.terms_max) {
            terms_.emplace(terms_key, Entry{std::move(terms), now, false});
        }
        return;
    }
    Entry& entry = found->second;
    if (entry.terms.price_at_start.wei != 0) {
        terms.price_at_start = entry.terms.price_at_start;
    }
    entry = {std::move(terms), now, false};
}

Payments::Entry* Payments::find(const std::string& terms_key) {
    const auto found = terms_.find(terms_key);
    return found == terms_.end() ? nullptr : &found->second;
}

bool Payments::is_usable(const Terms& terms, const Result<pay::ChainState>& chain) const {
    const auto& params = terms.params;
    return params == nullptr ||
           ((!chain || params->expiration_block > chain->l1_block + 1) && sender_.tickets_left(*params) > 0);
}

bool Payments::has_terms(const std::string& terms_key) {
    const auto* entry = find(terms_key);
    return entry != nullptr && is_usable(entry->terms, ports_.chain.state());
}

bool Payments::is_time_to_ask(Entry& entry, const Result<pay::ChainState>& chain) const {
    if (entry.asked || entry.terms.params == nullptr) {
        return false;
    }
    const auto& params = *entry.terms.params;
    const bool old = chain && params.expiration_block <= chain->l1_block + settings_.blocks_low;
    if (old || sender_.tickets_left(params) < settings_.tickets_low) {
        entry.asked = true;
    }
    return entry.asked;
}

// Numbers the tickets that this job needs. Nothing is taken on an error.
Result<pay::TicketBatch> Payments::plan(
    const Purpose& purpose, const Terms& terms, const pay::Money& fee, JobPayment& out
) {
    FG_TRY(chain, ports_.chain.state());
    const TimePoint now = clock_.now();
    const pay::BalanceKey key{terms.params->recipient, purpose.balance_id};
    FG_TRY(purchase, purse_.plan(key, *terms.params, fee, settings_.sender.tickets_per_payment_max, now));
    if (purchase.tickets == 0) {
        out.purchase_ = std::make_unique<const pay::Purchase>(std::move(purchase));
        return pay::TicketBatch{address(), *terms.params, 1, 0};
    }
    // Numbers that nobody will sign are not used up.
    const auto ready = ports_.signer.ready();
    auto batch = ready ? sender_.take(*terms.params, purchase.tickets, *funds_, chain)
                       : Result<pay::TicketBatch>(fail(Error(ready.error())));
    if (!batch) {
        purse_.settle(purchase, {}, pay::Outcome::kNotSent, now);
        return fail(std::move(batch.error()));
    }
    out.purchase_ = std::make_unique<const pay::Purchase>(std::move(purchase));
    return batch;
}

Result<void> Payments::check_price(const Purpose& purpose, const Terms& terms) const {
    const auto ceiling =
        pay::PriceCeilings::lower(settings_.ceilings.ceiling(purpose.models), purpose.price_max);
    return pay::check_price(terms.price, ceiling, terms.price_at_start);
}

std::shared_ptr<const pay::Payment> Payments::without_tickets(Terms& terms) const {
    if (terms.on_credit == nullptr) {
        terms.on_credit = std::make_shared<const pay::Payment>(pay::Payment{address(), {}, {}, terms.price});
    }
    return terms.on_credit;
}

std::optional<JobPayment> Payments::buy_on_credit(
    const Purpose& purpose, const std::function<pay::Money(const Price&)>& fee_of, bool& refresh
) {
    auto* const entry = find(purpose.terms_key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    const auto chain = ports_.chain.state();
    if (!is_usable(entry->terms, chain)) {
        return std::nullopt;
    }
    refresh = is_time_to_ask(*entry, chain);
    if (entry->terms.price.wei == 0 || entry->terms.params == nullptr ||
        !check_price(purpose, entry->terms)) {
        return std::nullopt;
    }
    const TimePoint now = clock_.now();
    auto purchase = purse_.plan_on_credit(
        {entry->terms.params->recipient, purpose.balance_id}, entry->terms.ticket_ev,
        fee_of(entry->terms.price), now
    );
    if (purchase == nullptr) {
        return std::nullopt;
    }
    entry->used_at = now;
    JobPayment out;
    out.price_ = entry->terms.price;
    out.purchase_ = std::move(purchase);
    out.payment_ = without_tickets(entry->terms);
    out.payments_ = this;
    return out;
}

Task<Result<JobPayment>> Payments::buy(
    Purpose purpose, std::function<pay::Money(const Price&)> fee_of, Deadline deadline
) {
    if (!funds_ || funds_->deposit.is_zero()) {
        FG_CO_CHECK(co_await ask_funds(deadline));
    }
    auto* const entry = find(purpose.terms_key);
    if (entry == nullptr) {
        co_return fail(Errc::kUnavailable, "the orchestrator has not said what it asks for");
    }
    entry->used_at = clock_.now();
    Terms terms = entry->terms;
    JobPayment out;
    out.price_ = terms.price;
    if (terms.price.wei == 0) {
        co_return out;
    }
    if (auto cheap = check_price(purpose, terms); !cheap) {
        ++stats_.jobs_too_dear;
        co_return fail(std::move(cheap.error()));
    }
    if (terms.params == nullptr) {
        co_return fail(Errc::kUnavailable, "the orchestrator asks for money and takes no tickets of ours");
    }
    auto batch = plan(purpose, terms, fee_of(terms.price), out);
    if (!batch) {
        stats_.jobs_too_dear += batch.error().code == Errc::kForbidden ? 1 : 0;
        co_return fail(std::move(batch.error()));
    }
    out.payments_ = this;  // from here on it is settled, whatever happens
    if (batch->count == 0) {
        out.payment_ = without_tickets(terms);
        co_return out;
    }
    auto payment =
        co_await ports_.signer.sign(*batch, terms.price, deadline.at_most(clock_, settings_.time_max));
    if (!payment) {
        co_return fail(std::move(payment.error()).with_context("sign tickets"));
    }
    stats_.tickets_sent += batch->count;
    stats_.tickets_sent_wei += out.purchase_->ticket_ev * batch->count;
    out.payment_ = std::make_shared<const pay::Payment>(std::move(*payment));
    co_return out;
}

pay::SegmentClaim claim_of(const std::string& manifest_id, std::int64_t seq, const api::Work& work) {
    pay::SegmentClaim out{manifest_id, seq};
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        out.media = work.input;
        for (const auto& profile : transcode->profiles) {
            out.profile_names.push_back(profile.name);
        }
    }
    return out;
}

Task<void> Payments::sign_ahead(pay::SegmentClaim claim, Deadline deadline, Result<void>& done) {
    done = co_await ports_.signer.sign_ahead(std::move(claim), deadline.at_most(clock_, settings_.time_max));
}

Task<Result<JobPayment>> Payments::buy_and_join(
    Task<Result<JobPayment>> buying, TaskGroup& beside, const Result<void>& ahead
) {
    auto bought = co_await std::move(buying);
    if (!bought) {
        co_return bought;
    }
    co_await beside.join();
    if (!ahead) {
        co_return fail(Error(ahead.error()));
    }
    co_return bought;
}

Task<Result<JobPayment>> Payments::beside_signing(
    pay::SegmentClaim claim, Task<Result<JobPayment>> buying, Deadline deadline
) {
    TaskGroup beside(co_await this_executor(), 1, log_);
    Result<void> ahead;
    beside.spawn(sign_ahead(std::move(claim), deadline, ahead));
    co_return co_await with_group<JobPayment>(beside, buy_and_join(std::move(buying), beside, ahead));
}

void Payments::write_receipt(
    const crypto::Hash32& id, const JobPayment& payment, const api::Work& work, const api::WorkOutput& output,
    std::int64_t units
) {
    if (ports_.receipts == nullptr || payment.recipient() == nullptr || payment.price().wei == 0) {
        return;
    }
    const api::Settled settled{work, output, id, address(), *payment.recipient(), payment.price(), units};
    ports_.receipts->post(api::draft_receipt(settled, clock_.unix_ms()));
}

void Payments::disown(const Purpose& purpose) {
    ++stats_.payments_refused;
    if (const auto* entry = find(purpose.terms_key); entry != nullptr && entry->terms.params != nullptr) {
        (void)purse_.balances().take_all({entry->terms.params->recipient, purpose.balance_id}, clock_.now());
    }
    forget(purpose.terms_key);
}

PaymentStats Payments::stats() const {
    PaymentStats out = stats_;
    for (const auto& entry : purse_.balances().entries()) {
        out.credit += entry.balance;
    }
    if (funds_) {
        out.deposit = funds_->deposit;
        out.reserve = funds_->reserve;
    }
    out.terms = terms_.size();
    return out;
}

void dump(MetricsWriter& out, const PaymentStats& stats) {
    out.counter("framegrid_gateway_tickets_sent_total", stats.tickets_sent);
    out.counter("framegrid_gateway_payments_refused_total", stats.payments_refused);
    out.counter("framegrid_gateway_jobs_too_dear_total", stats.jobs_too_dear);
    out.gauge("framegrid_gateway_tickets_sent_wei_total", wei_of(stats.tickets_sent_wei));
    out.gauge("framegrid_gateway_fees_wei_total", wei_of(stats.fees));
    out.gauge("framegrid_gateway_payments_lost_wei_total", wei_of(stats.lost));
    out.gauge("framegrid_gateway_credit_wei", wei_of(stats.credit));
    out.gauge("framegrid_gateway_deposit_wei", static_cast<double>(stats.deposit));
    out.gauge("framegrid_gateway_reserve_wei", static_cast<double>(stats.reserve));
    out.gauge("framegrid_gateway_payment_terms", static_cast<double>(stats.terms));
}

}  // namespace framegrid::gateway
