#include <framegrid/orchestrator/cashier.hpp>

#include <algorithm>
#include <cstring>
#include <span>

#include <framegrid/pay/redemption.hpp>

namespace framegrid::orchestrator {

namespace {

// Says why no work is done, in a way that lets the sender try again with another payment.
Error unpaid(Error error) {
    switch (error.code) {
        case Errc::kCapacity:
        case Errc::kUnavailable:
        case Errc::kDeadline:
            return error;
        case Errc::kIo:
            error.code = Errc::kUnavailable;
            break;
        default:
            error.code = Errc::kForbidden;
            break;
    }
    error.disposition = Disposition::kRetry;
    return error;
}

double wei_of(const pay::Money& money) {
    return static_cast<double>(money.floor_wei());
}

}  // namespace

std::size_t Cashier::HashOf::operator()(const crypto::Address& address) const {
    std::size_t out = 0;  // an address is a hash already
    std::memcpy(&out, address.data(), sizeof(out));
    return out;
}

Cashier::Cashier(CashierPorts ports, CashierSettings settings, pay::PriceTable prices)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      till_(ports_.self, settings_.till, std::move(prices), ports_.random) {}

Price Cashier::price(const crypto::Address& sender, const std::vector<pay::ModelKey>& models) {
    return till_.prices().price(sender, models, ports_.clock.now());
}

void Cashier::remember(const crypto::Address& sender, const pay::SenderFunds& funds, TimePoint used_at) {
    const bool room = known_.size() < settings_.senders_max;
    if (room || known_.contains(sender)) {
        known_.insert_or_assign(sender, Known{funds, ports_.clock.now(), used_at});
    }
}

Task<Result<pay::SenderFunds>> Cashier::ask_funds(crypto::Address sender, Deadline deadline) {
    const Deadline soon = deadline.at_most(ports_.clock, settings_.ledger_time_max);
    auto funds = co_await ports_.ledger.funds(sender, ports_.self, soon);
    if (!funds) {
        co_return fail(std::move(funds.error()).with_context("the ledger does not say what the sender has"));
    }
    const auto pending = co_await ports_.winners.pending(sender);
    if (!pending) {
        co_return fail(pending.error());
    }
    funds->pending = std::max(funds->pending, *pending);
    co_return std::move(*funds);
}

Task<Result<pay::SenderFunds>> Cashier::funds_of(crypto::Address sender, Deadline deadline) {
    const TimePoint now = ports_.clock.now();
    if (const auto found = known_.find(sender);
        found != known_.end() && now - found->second.asked_at <= settings_.funds_age_max) {
        found->second.used_at = now;
        co_return found->second.funds;
    }
    auto funds = co_await ask_funds(sender, deadline);
    // Who has nothing yet may have something in a moment.
    if (funds && !funds->deposit.is_zero()) {
        remember(sender, *funds, now);
    }
    co_return funds;
}

Task<Result<pay::Quote>> Cashier::quote(pay::Order order, Deadline deadline) {
    const TimePoint now = ports_.clock.now();
    const Price price = till_.prices().price(order.key.peer, order.models, now);
    const auto chain = ports_.chain.state();
    if (!chain && price.wei == 0) {
        co_return pay::Quote{price, std::nullopt};
    }
    if (!chain) {
        co_return fail(chain.error());
    }
    if (price.wei == 0) {
        co_return till_.quote(order, {}, *chain, now);  // whatever the sender has
    }
    const auto funds = co_await funds_of(order.key.peer, deadline);
    if (!funds) {
        co_return fail(unpaid(funds.error()));
    }
    auto quote = till_.quote(order, *funds, *chain, ports_.clock.now());
    if (!quote) {
        co_return fail(unpaid(std::move(quote.error())));
    }
    co_return std::move(*quote);
}

Result<void> Cashier::can_sell() const {
    if (unkept_.size() >= settings_.unkept_max) {
        return fail(unpaid(make_error(Errc::kIo, "payments cannot be recorded now: use another node")));
    }
    return {};
}

Result<void> Cashier::take_without_tickets(const pay::Order& order, const pay::Payment* payment) {
    FG_CHECK(can_sell());
    auto agreed = till_.agree(order, payment, ports_.clock.now());
    if (!agreed) {
        return fail(unpaid(std::move(agreed.error())));
    }
    return {};
}

Task<Result<void>> Cashier::take(
    pay::Order order, std::shared_ptr<const pay::Payment> payment, Deadline deadline
) {
    FG_CO_CHECK(can_sell());
    const auto chain = ports_.chain.state();
    if (!chain) {
        co_return fail(unpaid(chain.error()));
    }
    const auto checked = co_await offload(ports_.pool, [this, &payment] { return till_.check(*payment); });
    if (!checked) {
        co_return fail(unpaid(checked.error()));
    }
    const auto funds = co_await funds_of(payment->sender, deadline);
    if (!funds) {
        co_return fail(unpaid(funds.error()));
    }
    auto accepted = till_.accept(order, *payment, *checked, *funds, *chain, ports_.clock.now());
    stats_.received += accepted.credited;
    if (!accepted.winners.empty()) {
        const auto kept = co_await keep(std::move(accepted.winners));
        if (!kept) {
            co_return fail(unpaid(make_error(Errc::kIo, "the payment cannot be recorded now")));
        }
    }
    if (accepted.error) {
        co_return fail(unpaid(std::move(*accepted.error)));
    }
    co_return Result<void>{};
}

// Remembered until they are durable, also when the caller is cancelled meanwhile.
Task<Result<void>> Cashier::keep(std::vector<pay::WinningTicket> winners) {
    for (const auto& ticket : winners) {
        unkept_.push_back(ticket);
        if (const auto known = known_.find(ticket.sender); known != known_.end()) {
            known->second.funds.pending += ticket.params.face_value;
        }
    }
    const auto kept = co_await ports_.winners.keep(winners);
    if (!kept) {
        ports_.log.error(
            "orchestrator.tickets_not_kept", {{"tickets", winners.size()}, {"error", kept.error().message}}
        );
        co_return fail(kept.error());
    }
    for (const auto& ticket : winners) {
        std::erase_if(unkept_, [&](const auto& other) { return other.hash == ticket.hash; });
        ports_.log.info(
            "orchestrator.ticket_kept", {{"hash", crypto::hex(ticket.hash)},
                                         {"sender", crypto::checksum_address(ticket.sender)},
                                         {"wei", ticket.params.face_value.str()}}
        );
    }
    co_return Result<void>{};
}

Result<void> Cashier::check_paid(const pay::Order& order) {
    auto enough = till_.check_paid(order, ports_.clock.now());
    if (!enough) {
        return fail(unpaid(std::move(enough.error())));
    }
    return {};
}

Result<PaidWork> Cashier::begin(const pay::Order& order, std::int64_t units, const pay::Payment* on_credit) {
    if (on_credit != nullptr) {
        FG_CHECK(can_sell());
    }
    auto hold = till_.begin(order, units, ports_.clock.now(), on_credit);
    if (!hold) {
        return fail(unpaid(std::move(hold.error())));
    }
    return PaidWork(till_, ports_.clock, std::move(*hold));
}

Task<Result<bool>> Cashier::serve() {
    TimePoint sweep_at = ports_.clock.now() + settings_.sweep_period;
    for (;;) {
        // At once after a start: what was won before it may have little time left.
        if (!unkept_.empty()) {
            (void)co_await keep(std::exchange(unkept_, {}));
        }
        co_await refresh();
        co_await redeem_all();
        if (const TimePoint now = ports_.clock.now(); now >= sweep_at) {
            sweep_at = now + settings_.sweep_period;
            if (const auto chain = ports_.chain.state()) {
                till_.sweep(*chain, now);
            }
            std::erase_if(known_, [&](const auto& entry) {
                return now - entry.second.used_at > settings_.sender_idle_max;
            });
        }
        co_await sleep_for(ports_.clock, settings_.period);
    }
}

// So that no job waits for the ledger.
Task<void> Cashier::refresh() {
    std::vector<crypto::Address> senders;
    for (const auto& [sender, known] : known_) {
        senders.push_back(sender);
    }
    for (const auto& sender : senders) {
        const auto funds = co_await ask_funds(sender, ledger_deadline());
        const auto known = known_.find(sender);
        if (funds && known != known_.end()) {
            remember(sender, *funds, known->second.used_at);
        }
    }
}

Task<void> Cashier::redeem_all() {
    const auto senders = co_await ports_.winners.senders();
    if (!senders) {
        ports_.log.warn("orchestrator.tickets_unreadable", {{"error", senders.error().message}});
        co_return;
    }
    Wei pending = 0;
    for (std::size_t i = 0; i < senders->size(); ++i) {
        while (co_await redeem_for((*senders)[i])) {
        }
        if (const auto left = co_await ports_.winners.pending((*senders)[i])) {
            pending += *left;
        }
    }
    stats_.pending = pending;
}

// The next tickets of a sender; true when there may be more that can be redeemed now.
Task<bool> Cashier::redeem_for(crypto::Address sender) {
    const auto waiting = co_await ports_.winners.waiting(sender, settings_.redeem_max);
    if (!waiting) {
        co_return false;
    }
    const auto chain = ports_.chain.state();
    auto funds = co_await ports_.ledger.funds(sender, ports_.self, ledger_deadline());
    if (!chain || !funds) {
        co_return false;
    }
    stats_.redemption_cost = till_.redemption_cost(*chain);
    std::vector<pay::WinningTicket> due;
    std::vector<pay::WinningTicket> late;
    for (const auto& ticket : *waiting) {
        const auto step = pay::redemption_step(ticket, *funds, *chain, stats_.redemption_cost);
        if (step == pay::RedemptionStep::kDrop) {
            late.push_back(ticket);
        } else if (step == pay::RedemptionStep::kRedeem) {
            pay::take_out(*funds, pay::payout(ticket.params.face_value, *funds, *chain));
            due.push_back(ticket);
        }
    }
    const std::size_t settled = due.size() + late.size();
    const bool go_on = co_await redeem_together(std::move(due)) && co_await drop(std::move(late));
    co_return go_on&& settled > 0 && waiting->size() == settings_.redeem_max;
}

Task<bool> Cashier::redeem_together(std::vector<pay::WinningTicket> tickets) {
    for (std::size_t next = 0; next < tickets.size();) {
        const auto now =
            std::span(tickets).subspan(next, std::min(tickets.size() - next, settings_.redeem_at_once));
        next += now.size();
        Failures failures;
        TaskGroup group(co_await this_executor(), now.size(), ports_.log);
        const auto done = co_await with_group<bool>(group, redeem_each(group, now, failures));
        if (failures.count > 0) {
            count(failures);
        }
        if (!done || failures.count > 0) {
            co_return false;
        }
    }
    co_return true;
}

Task<Result<bool>> Cashier::redeem_each(
    TaskGroup& group, std::span<const pay::WinningTicket> tickets, Failures& failures
) {
    for (const auto& ticket : tickets) {
        group.spawn(redeem(ticket, failures));
    }
    co_await group.join();
    co_return true;
}

// The answer to an earlier redemption may have been lost: then the ledger has paid this one.
Task<bool> Cashier::drop(std::vector<pay::WinningTicket> tickets) {
    for (auto& ticket : tickets) {
        Result<void> settled;
        const auto used = co_await ports_.ledger.is_used(ticket.hash, ledger_deadline());
        if (!used) {
            settled = fail(used.error());
        } else if (*used) {
            settled = co_await redeem(std::move(ticket));
        } else {
            co_await give_up(std::move(ticket), "its round is over");
        }
        if (!settled) {
            count({1, settled.error().message});
            co_return false;
        }
    }
    co_return true;
}

Task<void> Cashier::give_up(pay::WinningTicket ticket, std::string why) {
    ++stats_.tickets_lost;
    ports_.log.warn(
        "orchestrator.ticket_lost",
        {{"hash", crypto::hex(ticket.hash)}, {"wei", ticket.params.face_value.str()}, {"why", why}}
    );
    (void)co_await ports_.winners.failed(ticket.hash, std::move(why));  // else it is found again
}

Task<Result<void>> Cashier::redeem(pay::WinningTicket ticket) {
    auto paid = co_await ports_.ledger.redeem(ticket, ledger_deadline());
    if (paid) {
        ++stats_.redemptions;
        stats_.redeemed += paid->used_before ? Wei(0) : paid->paid;
        ports_.log.info(
            "orchestrator.ticket_redeemed", {{"hash", crypto::hex(ticket.hash)},
                                             {"wei", paid->paid.str()},
                                             {"used_before", paid->used_before ? "yes" : "no"}}
        );
        co_return co_await ports_.winners.done(ticket.hash, std::move(*paid));
    }
    if (paid.error().code != Errc::kForbidden) {
        co_return fail(std::move(paid.error()));
    }
    co_await give_up(std::move(ticket), paid.error().message);
    co_return Result<void>{};
}

Task<void> Cashier::redeem(pay::WinningTicket ticket, Failures& failures) {
    if (auto done = co_await redeem(std::move(ticket)); !done) {
        ++failures.count;
        failures.last = std::move(done.error().message);
    }
}

void Cashier::count(const Failures& failures) {
    stats_.redemptions_failed += failures.count;
    ports_.log.warn(
        "orchestrator.redemption_failed", {{"tickets", failures.count}, {"error", failures.last}}
    );
}

CashierStats Cashier::stats() const {
    CashierStats out = stats_;
    out.till = till_.stats();
    for (const auto& entry : till_.balances().entries()) {
        (entry.balance.sign() < 0 ? out.debt : out.credit) += entry.balance;
    }
    out.unkept = unkept_.size();
    out.senders = known_.size();
    return out;
}

void dump(MetricsWriter& out, const CashierStats& stats) {
    pay::dump(out, stats.till);
    out.gauge("framegrid_orchestrator_tickets_received_wei_total", wei_of(stats.received));
    out.gauge("framegrid_orchestrator_fees_earned_wei_total", wei_of(stats.earned));
    out.gauge("framegrid_orchestrator_credit_wei", wei_of(stats.credit));
    out.gauge("framegrid_orchestrator_unpaid_work_wei", wei_of(-stats.debt));
    out.gauge("framegrid_orchestrator_float_wei", static_cast<double>(stats.pending));
    out.gauge("framegrid_orchestrator_redeemed_wei_total", static_cast<double>(stats.redeemed));
    out.gauge("framegrid_orchestrator_redemption_cost_wei", static_cast<double>(stats.redemption_cost));
    out.counter("framegrid_orchestrator_redemptions_total", stats.redemptions, {{"result", "paid"}});
    out.counter("framegrid_orchestrator_redemptions_total", stats.redemptions_failed, {{"result", "failed"}});
    out.counter("framegrid_orchestrator_redemptions_total", stats.tickets_lost, {{"result", "lost"}});
    out.gauge("framegrid_orchestrator_tickets_unkept", static_cast<double>(stats.unkept));
    out.gauge("framegrid_orchestrator_senders", static_cast<double>(stats.senders));
}

}  // namespace framegrid::orchestrator
