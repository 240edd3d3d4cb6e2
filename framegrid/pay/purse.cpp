#include <framegrid/pay/purse.hpp>

#include <algorithm>

namespace framegrid::pay {

BigInt tickets_needed(const Money& existing, const Money& fee, const Money& ticket_ev) {
    if (ticket_ev.sign() <= 0) {
        return 0;
    }
    return (std::max(fee, ticket_ev) - existing).times_ceil(ticket_ev);
}

Result<Purchase> Purse::plan(
    const BalanceKey& key, const TicketParams& params, const Money& fee, std::uint32_t tickets_max,
    TimePoint now
) {
    const Money ev = expected_value(params);
    const BigInt count = tickets_needed(balances_.balance(key), fee, ev);
    if (count > tickets_max) {
        return fail(
            Errc::kForbidden, "this job needs " + count.str() + " tickets of this orchestrator, at most " +
                                  std::to_string(tickets_max) +
                                  " are sent at once: use another orchestrator, or a smaller job"
        );
    }
    Purchase out{key, {}, ev, static_cast<std::uint32_t>(count)};
    out.reserved = std::max(fee - out.total(), Money());
    if (out.reserved.sign() > 0) {
        balances_.debit(key, out.reserved, now);
    }
    return out;
}

std::unique_ptr<const Purchase> Purse::plan_on_credit(
    BalanceKey key, const Money& ticket_ev, Money fee, TimePoint now
) {
    auto* const account = balances_.touch(key, now);
    if (account == nullptr || ticket_ev.sign() <= 0 || account->balance < fee ||
        account->balance < ticket_ev) {
        return nullptr;
    }
    if (fee.sign() > 0) {
        account->balance -= fee;
    }
    return std::make_unique<const Purchase>(std::move(key), std::move(fee), Money(), 0U);
}

void Purse::settle(const Purchase& purchase, const Money& fee, Outcome outcome, TimePoint now) {
    Money back;
    if (outcome == Outcome::kNotSent) {
        back = purchase.reserved;
    } else if (outcome == Outcome::kAnswered) {
        if (purchase.tickets == 0 && purchase.reserved == fee) {
            return;  // as foreseen: most
        }
        back = purchase.total() - fee;
    }
    if (back.sign() != 0) {
        // Without room the credit is lost, as it is when it idles too long.
        (void)balances_.credit(purchase.key, back, now);
    }
}

}  // namespace framegrid::pay
