#include <framegrid/pay/recipient.hpp>

#include <algorithm>
#include <cstring>

#include <openssl/crypto.h>

namespace framegrid::pay {

namespace {

// Params without a value get this face value, in units of the ticket's.
constexpr int kFaceValuePerEv = 100;

std::unexpected<Error> refuse(Errc code, std::string message, std::string field) {
    return fail(code, std::move(message), std::move(field));
}
// Refused, but the sender can go on with other params.
std::unexpected<Error> refuse_for_now(std::string message, std::string field) {
    return fail(make_error(Errc::kInvalidArgument, std::move(message), std::move(field))
                    .with_disposition(Disposition::kRetry));
}

std::unexpected<Error> no_room() {
    return fail(
        Errc::kCapacity, "too many ticket params are in use: use each set for more tickets, or try later",
        "ticket_params"
    );
}

// False: it was there.
bool insert_sorted(std::vector<std::uint32_t>& values, std::uint32_t value) {
    const auto at = std::ranges::lower_bound(values, value);
    if (at != values.end() && *at == value) {
        return false;
    }
    values.insert(at, value);
    return true;
}

bool redeemable(const CheckedPayment& payment, const ChainState& chain) {
    return payment.params.creation.round + kValidRounds > chain.round &&
           payment.params.creation.round <= chain.round;
}

}  // namespace

void dump(MetricsWriter& out, const RecipientStats& stats) {
    out.counter("framegrid_pay_tickets_total", stats.tickets_credited, {{"outcome", "credited"}});
    out.counter("framegrid_pay_tickets_total", stats.tickets_refused, {{"outcome", "refused"}});
    out.counter("framegrid_pay_tickets_won_total", stats.tickets_won);
    out.gauge("framegrid_pay_recipient_rands", static_cast<double>(stats.rands));
}

template <std::size_t Size>
std::size_t Recipient::HashOf<Size>::operator()(const std::array<std::uint8_t, Size>& bytes) const {
    std::size_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
}

Recipient::Recipient(const Address& address, RecipientSettings settings, Random& random)
    : address_(address), settings_(std::move(settings)), random_(random) {
    FG_ASSERT(settings_.ticket_ev > 0);
    random_.fill(secret_);
}

Recipient::~Recipient() {
    OPENSSL_cleanse(secret_.data(), secret_.size());
}

Wei Recipient::redemption_cost(const ChainState& chain) const {
    return Wei(std::min(BigInt(chain.gas_price) * settings_.redeem_gas, win_prob_max()));
}

Result<Wei> Recipient::face_value(const SenderFunds& funds, const ChainState& chain) const {
    const BigInt ev(settings_.ticket_ev);
    const BigInt cost(redemption_cost(chain));
    BigInt value = cost * settings_.tx_cost_multiplier;
    if (value < ev) {
        value = ev * kFaceValuePerEv;
    }
    value = std::min(value, BigInt(max_float(funds, chain.pool_size)));
    if (!settings_.face_value_max.is_zero()) {
        value = std::min(value, BigInt(settings_.face_value_max));
    }
    const BigInt usual_cost = BigInt(settings_.average_gas_price) * settings_.redeem_gas;
    if (value < ev || (value < cost && value < usual_cost)) {
        return fail(
            Errc::kForbidden,
            "insufficient sender reserve: it carries tickets of at most " + value.str() +
                " wei here; raise the reserve",
            "sender"
        );
    }
    return Wei(value);
}

Result<TicketParams> Recipient::params(
    const Address& sender, const Price& price, const SenderFunds& funds, const ChainState& chain
) {
    TicketParams params;
    params.recipient = address_;
    if (price.wei > 0) {
        FG_TRY(face, face_value(funds, chain));
        params.face_value = face;
        params.win_prob = win_prob_for(settings_.ticket_ev, face);
    }
    Hash32 seed{};
    random_.fill(seed);
    params.seed = *from_bytes(seed);
    params.expiration_block = block(chain) + settings_.lifetime_blocks;
    params.creation = creation_round(chain);
    params.recipient_rand_hash = recipient_rand_hash(recipient_rand(secret_, params, sender, price));
    return params;
}

Result<CheckedPayment> Recipient::check(const Payment& payment) const {
    if (!payment.params) {
        return refuse(Errc::kInvalidArgument, "payment has no ticket params: send tickets", "payment");
    }
    const TicketParams& params = *payment.params;
    if (payment.sender == Address{}) {
        return refuse(Errc::kInvalidArgument, "invalid ticket sender: name the address that pays", "sender");
    }
    if (!payment.expected_price) {
        return refuse(Errc::kInvalidArgument, "payment has no expected price: name it", "expected_price");
    }
    if (params.recipient != address_) {
        return refuse(
            Errc::kInvalidArgument,
            "invalid ticket recipient: these tickets pay " + crypto::checksum_address(params.recipient) +
                ", this is " + crypto::checksum_address(address_),
            "ticket_params.recipient"
        );
    }
    if (payment.tickets.size() > settings_.tickets_per_payment_max) {
        return refuse(
            Errc::kTooLarge,
            std::to_string(payment.tickets.size()) + " tickets in a payment, at most " +
                std::to_string(settings_.tickets_per_payment_max) + " are taken: send fewer",
            "ticket_sender_params"
        );
    }
    CheckedPayment checked{payment.sender, params, *payment.expected_price, {}, {}};
    checked.rand = recipient_rand(secret_, params, payment.sender, checked.price);
    if (!crypto::equal_constant_time(recipient_rand_hash(checked.rand), params.recipient_rand_hash)) {
        return refuse_for_now(
            "invalid recipientRand for ticket recipientRandHash: these are not params that this orchestrator "
            "issued to this sender at this price since it started; ask for new ones",
            "ticket_params.recipient_rand_hash"
        );
    }
    checked.tickets.reserve(payment.tickets.size());
    for (const SignedNonce& ticket : payment.tickets) {
        auto& out = checked.tickets.emplace_back(ticket);
        out.hash = ticket_hash(params, payment.sender, ticket.nonce);
        out.signature_valid = crypto::verify_message(payment.sender, out.hash, ticket.signature);
        out.wins = out.signature_valid && wins(ticket.signature, checked.rand, params.win_prob);
    }
    return checked;
}

Result<void> Recipient::may_credit(
    const CheckedPayment& payment, const SenderFunds& funds, const ChainState& chain
) const {
    FG_CHECK(check_locked(funds, chain, payment.sender));
    if (!chain.recipient_active) {
        return refuse(
            Errc::kUnavailable,
            "orchestrator " + crypto::checksum_address(address_) + " is inactive in round " +
                std::to_string(chain.round) + ": use another one",
            "ticket_params.recipient"
        );
    }
    if (payment.params.expiration_block <= chain.l1_block) {
        return refuse_for_now(
            "TicketParams expired: they ended at block " + std::to_string(payment.params.expiration_block) +
                ", now is " + std::to_string(chain.l1_block) + "; ask for new ones",
            "ticket_params.expiration_block"
        );
    }
    if (!redeemable(payment, chain)) {
        return refuse_for_now(
            "ticket is expired: it was made in round " + std::to_string(payment.params.creation.round) +
                ", now is " + std::to_string(chain.round) + "; ask for new params",
            "expiration_params.creation_round"
        );
    }
    if (const Wei most = max_float(funds, chain.pool_size); payment.params.face_value > most) {
        return refuse_for_now(
            "ticket faceValue " + payment.params.face_value.str() + " > max float " + most.str() +
                ": the sender's funds have shrunk; raise them, then ask for new params",
            "ticket_params.face_value"
        );
    }
    return {};
}

Result<Recipient::Used*> Recipient::used_for(const CheckedPayment& payment, std::uint64_t l1_block) {
    const Hash32& key = payment.params.recipient_rand_hash;
    if (const auto found = used_.find(key); found != used_.end()) {
        return &found->second;
    }
    const auto is_full = [&] {
        const auto count = rands_of_.find(payment.sender);
        const bool sender_full = count != rands_of_.end() && count->second >= settings_.rands_per_sender_max;
        return sender_full || used_.size() >= settings_.rands_max;
    };
    if (is_full() && l1_block > swept_to_block_) {
        sweep(l1_block);
    }
    if (is_full()) {
        return no_room();
    }
    ++rands_of_[payment.sender];
    auto& used = used_[key];
    used.sender = payment.sender;
    used.expiration_block = payment.params.expiration_block;
    return &used;
}

Result<void> Recipient::use_nonce(Used& used, std::uint32_t nonce) {
    if (std::ranges::binary_search(used.nonces, nonce)) {
        return refuse(
            Errc::kInvalidArgument,
            "invalid ticket senderNonce: already seen " + std::to_string(nonce) +
                "; count on from the last one",
            "sender_nonce"
        );
    }
    if (used.nonces.size() >= settings_.nonces_max) {
        return refuse_for_now(
            "invalid ticket senderNonce: too many values, " + std::to_string(settings_.nonces_max) +
                " tickets were made of these params; ask for new ones",
            "sender_nonce"
        );
    }
    if (nonces_ >= settings_.nonces_total_max) {
        return no_room();
    }
    insert_sorted(used.nonces, nonce);
    ++nonces_;
    return {};
}

Credited Recipient::credit(const CheckedPayment& payment, const SenderFunds& funds, const ChainState& seen) {
    Credited out;
    ChainState chain = seen;
    chain.l1_block = block(seen);
    const bool expired = payment.params.expiration_block <= chain.l1_block;
    // For a second lifetime a winning ticket that comes late is still taken, and told once.
    const bool forgotten = payment.params.expiration_block + settings_.lifetime_blocks <= chain.l1_block;
    if (auto may = may_credit(payment, funds, chain); !may) {
        out.error = std::move(may).error();
    }
    const bool any_counts =
        std::ranges::any_of(payment.tickets, [expired](const CheckedPayment::Ticket& ticket) {
            return expired ? ticket.wins : ticket.signature_valid;
        });
    Used* used = nullptr;
    Used nowhere;  // of this payment alone, when there is no room
    if (any_counts && !forgotten) {
        if (auto found = used_for(payment, chain.l1_block)) {
            used = *found;
        } else if (!out.error) {
            out.error = std::move(found).error();
        }
    }
    for (const auto& ticket : payment.tickets) {
        const std::uint32_t nonce = ticket.signed_nonce.nonce;
        if (!ticket.signature_valid) {
            out.error = make_error(
                Errc::kInvalidArgument,
                "invalid ticket signature: ticket " + std::to_string(nonce) +
                    " is not signed by its sender " + crypto::checksum_address(payment.sender),
                "ticket_sender_params.sig"
            );
            continue;
        }
        if (forgotten) {
            continue;
        }
        // The same ticket can win with several signatures, and is paid once.
        auto& won = used == nullptr ? nowhere.won : used->won;
        if (ticket.wins && redeemable(payment, chain) && won.size() < settings_.nonces_max &&
            insert_sorted(won, nonce)) {
            out.winners.push_back(
                {payment.params, payment.sender, ticket.signed_nonce, payment.rand, ticket.hash}
            );
        }
        if (expired || used == nullptr) {
            continue;
        }
        if (auto fresh = use_nonce(*used, nonce); !fresh) {
            out.error = std::move(fresh).error();
        } else if (!out.error) {
            ++out.tickets;
        }
    }
    out.value = Money::tickets(payment.params.face_value, payment.params.win_prob, out.tickets);
    stats_.tickets_credited += out.tickets;
    stats_.tickets_refused += payment.tickets.size() - out.tickets;
    stats_.tickets_won += out.winners.size();
    return out;
}

bool Recipient::is_over(const Used& used, std::uint64_t l1_block) const {
    const std::uint64_t end = used.expiration_block + (used.won.empty() ? 0 : settings_.lifetime_blocks);
    return end <= l1_block;
}

void Recipient::sweep(std::uint64_t l1_block) {
    swept_to_block_ = std::max(swept_to_block_, l1_block);
    std::erase_if(used_, [&](const auto& entry) {
        if (!is_over(entry.second, l1_block)) {
            return false;
        }
        nonces_ -= entry.second.nonces.size();
        const auto count = rands_of_.find(entry.second.sender);
        if (--count->second == 0) {
            rands_of_.erase(count);
        }
        return true;
    });
}

RecipientStats Recipient::stats() const {
    RecipientStats stats = stats_;
    stats.rands = used_.size();
    return stats;
}

}  // namespace framegrid::pay
