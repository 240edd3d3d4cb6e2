#include <framegrid/pay/till.hpp>

#include <algorithm>

namespace framegrid::pay {

namespace {

std::string price_text(const Price& price) {
    return std::to_string(price.wei) + " wei per " + std::to_string(price.units) + " units";
}

Error other_sender() {
    return make_error(
        Errc::kInvalidArgument, "the payment is not from who sent the order: pay with the same address",
        "sender"
    );
}

bool is_fixed(const std::optional<Price>& price) {
    return price && price->wei > 0;
}

// Whether each of its payments has a price of its own. A stream keeps the first one.
bool is_priced_anew(const Order& order) {
    return !order.models.empty();
}

// Another payment may go through.
std::unexpected<Error> want_payment(std::string message, std::string field) {
    return fail(make_error(Errc::kInvalidArgument, std::move(message), std::move(field))
                    .with_disposition(Disposition::kRetry));
}

}  // namespace

void dump(MetricsWriter& out, const TillStats& stats) {
    dump(out, stats.recipient);
    out.gauge("framegrid_pay_balances", static_cast<double>(stats.balances));
    out.counter("framegrid_pay_orders_refused_total", stats.refused_unpaid, {{"why", "unpaid"}});
    out.counter("framegrid_pay_orders_refused_total", stats.refused_price, {{"why", "price"}});
    out.counter("framegrid_pay_jobs_in_debt_total", stats.jobs_in_debt);
}

Till::Till(const Address& address, TillSettings settings, PriceTable prices, Random& random)
    : settings_(std::move(settings)),
      ticket_ev_(Money::wei(settings_.recipient.ticket_ev)),
      recipient_(address, settings_.recipient, random),
      prices_(std::move(prices)),
      balances_(settings_.balances) {}

Result<Quote> Till::quote(
    const Order& order, const SenderFunds& funds, const ChainState& chain, TimePoint now
) {
    Price price = prices_.price(order.key.peer, order.models, now);
    if (price.wei == 0) {
        // The network's gateways leave out an orchestrator that names no params.
        FG_TRY(worthless, recipient_.params(order.key.peer, price, funds, chain));
        return Quote{price, worthless};
    }
    const auto fixed = is_priced_anew(order) ? std::nullopt : balances_.price(order.key);
    if (is_fixed(fixed)) {
        price = *fixed;
    } else if (settings_.adjust_for_redemption) {
        FG_TRY(face_value, recipient_.face_value(funds, chain));
        price = with_redemption_cost(price, face_value, recipient_.redemption_cost(chain));
    }
    FG_TRY(params, recipient_.params(order.key.peer, price, funds, chain));
    return Quote{price, params};
}

Accepted Till::accept(
    const Order& order, const Payment& payment, const CheckedPayment& checked, const SenderFunds& funds,
    const ChainState& chain, TimePoint now
) {
    Accepted out;
    Credited credited = recipient_.credit(checked, funds, chain);
    out.winners = std::move(credited.winners);
    out.error = std::move(credited.error);
    out.credited = credited.value;
    // To whom the tickets belong, whoever the order is from.
    const BalanceKey key{checked.sender, order.key.id};
    if (credited.tickets > 0) {
        if (auto added = balances_.credit(key, credited.value, now); !added) {
            out.error = std::move(added).error();
        }
    }
    if (!out.error && (payment.sender != order.key.peer || checked.sender != payment.sender)) {
        out.error = other_sender();
    }
    const Price asked = prices_.lowest_recent(order.key.peer, order.models, now);
    const bool anew = is_priced_anew(order);
    if (!out.error && asked.wei != 0 && (anew || !is_fixed(balances_.price(order.key)))) {
        auto agreed = check_expected(order, asked, checked.price, now);
        // Who has paid nothing yet gets no entry: anybody could fill the table.
        if (agreed && out.credited.sign() > 0) {
            agreed = anew ? balances_.set_price(order.key, checked.price, now)
                          : balances_.fix_price(order.key, checked.price, now);
        }
        if (!agreed) {
            out.error = std::move(agreed).error();
        }
    }
    return out;
}

Result<void> Till::agree(const Order& order, const Payment* payment, TimePoint now) {
    const Price asked = prices_.lowest_recent(order.key.peer, order.models, now);
    if (asked.wei == 0) {
        return {};
    }
    const auto* account = balances_.find(order.key);
    FG_CHECK(check_payment(order, payment, asked, account, now));
    return check_funds(account, {});
}

// Of a payment without tickets, or none.
Result<void> Till::check_payment(
    const Order& order, const Payment* payment, const Price& asked, const Balances::Account* account,
    TimePoint now
) {
    if (payment != nullptr && payment->sender != order.key.peer) {
        return fail(other_sender());
    }
    const bool anew = payment != nullptr && is_priced_anew(order);
    if (account == nullptr || !is_fixed(account->price) || anew) {
        const auto expected = payment != nullptr ? payment->expected_price : std::nullopt;
        return check_expected(order, asked, expected, now);
    }
    return {};
}

Result<void> Till::check_expected(
    const Order& order, const Price& asked, const std::optional<Price>& expected, TimePoint now
) {
    if (!expected || expected->wei <= 0 || *expected < asked) {
        ++stats_.refused_price;
        return want_payment(
            "the payment expects " + (expected ? price_text(*expected) : "no price") + ", this costs " +
                price_text(prices_.price(order.key.peer, order.models, now)) +
                ": ask for the price of this work and pay that",
            "expected_price"
        );
    }
    return {};
}

Result<void> Till::check_funds(const Balances::Account* account, const Money& amount) {
    const Money& least = std::max(amount, ticket_ev_);
    if (account == nullptr || !is_fixed(account->price) || !account->covers(least)) {
        ++stats_.refused_unpaid;
        const Money there = account == nullptr ? Money() : account->available();
        return want_payment(
            "Insufficient balance: " + there.floor_wei().str() + " wei are there, this work needs " +
                least.ceil_wei().str() + " before it begins; send tickets for the rest",
            "payment"
        );
    }
    return {};
}

Result<void> Till::check_paid(const Order& order, TimePoint now) {
    const Price asked = prices_.lowest_recent(order.key.peer, order.models, now);
    return asked.wei == 0 ? Result<void>() : check_funds(balances_.find(order.key), {});
}

Result<Hold> Till::begin(
    const Order& order, std::int64_t estimated_units, TimePoint now, const Payment* on_credit
) {
    const Price asked = prices_.lowest_recent(order.key.peer, order.models, now);
    if (asked.wei == 0) {
        return Hold{order.key, {}, {}};
    }
    auto* account = balances_.touch(order.key, now);
    if (on_credit != nullptr) {
        FG_CHECK(check_payment(order, on_credit, asked, account, now));
    }
    Price price = account == nullptr ? asked : account->price.value_or(asked);
    if (is_priced_anew(order) && is_fixed(order.agreed)) {
        price = *order.agreed;
    }
    Money amount = Money::of_units(std::max<std::int64_t>(estimated_units, 0), price);
    FG_CHECK(check_funds(account, amount));
    account->hold(amount);
    return Hold{order.key, std::move(amount), price};
}

Money Till::finish(const Hold& hold, std::int64_t units, TimePoint now) {
    if (hold.price.wei == 0) {
        return {};
    }
    const Money fee = Money::of_units(std::max<std::int64_t>(units, 0), hold.price);
    if (auto* account = balances_.touch(hold.key, now)) {  // there, because of the hold
        account->release(hold.amount);
        account->balance -= fee;
        stats_.jobs_in_debt += account->balance.sign() < 0 ? 1 : 0;
    }
    return fee;
}

void Till::abandon(const Hold& hold, TimePoint now) {
    if (auto* account = hold.price.wei != 0 ? balances_.touch(hold.key, now) : nullptr) {
        account->release(hold.amount);
    }
}

void Till::sweep(const ChainState& chain, TimePoint now) {
    balances_.sweep(now);
    recipient_.sweep(chain.l1_block);
}

TillStats Till::stats() const {
    TillStats stats = stats_;
    stats.recipient = recipient_.stats();
    stats.balances = balances_.size();
    return stats;
}

}  // namespace framegrid::pay
