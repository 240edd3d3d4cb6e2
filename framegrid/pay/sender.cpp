#include <framegrid/pay/sender.hpp>

#include <cstring>

namespace framegrid::pay {

namespace {

// Params that end this soon would be refused by the time they arrive.
constexpr std::uint64_t kExpiryMarginBlocks = 1;

std::unexpected<Error> refuse_peer(std::string message) {
    return fail(Errc::kProtocol, std::move(message), "ticket_params");
}

std::unexpected<Error> want_new_params(std::string message) {
    // It has done nothing wrong: the params have served their time.
    return fail(make_error(Errc::kUnavailable, std::move(message), "ticket_params")
                    .with_disposition(Disposition::kRetry));
}

std::string wei_text(const Money& amount) {
    return amount.floor_wei().str() + " wei";
}

Result<void> check_expiry(const TicketParams& params, std::uint64_t l1_block) {
    if (params.expiration_block == 0) {
        return refuse_peer("ticketParams expiration block is 0: the orchestrator must name one");
    }
    if (params.expiration_block <= l1_block + kExpiryMarginBlocks) {
        return want_new_params(
            "TicketParams expired: they end at block " + std::to_string(params.expiration_block) +
            ", now is " + std::to_string(l1_block) + "; ask the orchestrator for new ones"
        );
    }
    return {};
}

}  // namespace

std::size_t Sender::HashOf::operator()(const Hash32& hash) const {
    std::size_t value = 0;
    std::memcpy(&value, hash.data(), sizeof(value));
    return value;
}

Payment sign(const TicketBatch& batch, const Price& expected_price, const crypto::PrivateKey& key) {
    Payment payment{
        .sender = batch.sender, .params = batch.params, .tickets = {}, .expected_price = expected_price
    };
    payment.tickets.reserve(batch.count);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
        const std::uint32_t nonce = batch.first_nonce + i;
        payment.tickets.push_back({nonce, key.sign_message(ticket_hash(batch.params, batch.sender, nonce))});
    }
    return payment;
}

Sender::Sender(const Address& address, SenderSettings settings)
    : address_(address), settings_(std::move(settings)) {
    FG_ASSERT(settings_.deposit_multiplier > 0);
}

Result<void> Sender::validate_values(const TicketParams& params) const {
    const Money ev = expected_value(params);
    if (ev >= Money::wei(params.face_value)) {
        return refuse_peer(
            "ticket faceValue too low: " + params.face_value.str() +
            " wei is no more than the ticket's value, " + wei_text(ev) +
            "; the orchestrator must offer a face value above it"
        );
    }
    if (ev > Money::wei(settings_.ticket_ev_max)) {
        return refuse_peer(
            "ticket EV " + wei_text(ev) + " > max ticket EV " + settings_.ticket_ev_max.str() +
            ": use another orchestrator, or raise the limit"
        );
    }
    return {};
}

Result<void> Sender::validate(
    const TicketParams& params, std::uint32_t count, const SenderFunds& funds, const ChainState& chain
) const {
    FG_CHECK(check_expiry(params, chain.l1_block));
    const Money ev = expected_value(params);
    if (ev.sign() == 0) {
        return {};
    }
    FG_CHECK(validate_values(params));
    if (funds.withdraw_round != 0 && funds.withdraw_round <= chain.round + 1) {
        return fail(
            Errc::kForbidden,
            "unable to validate sender: deposit and reserve is set to unlock soon; cancel the unlock to go on"
        );
    }
    if (funds.reserve.is_zero()) {
        return fail(Errc::kForbidden, "no sender reserve: fund it before buying work");
    }
    if (funds.deposit.is_zero()) {
        return fail(Errc::kForbidden, "no sender deposit: fund it before buying work");
    }
    if (ev * count > Money::wei(settings_.payment_ev_max)) {
        return fail(
            Errc::kForbidden, "total ticket EV " + wei_text(ev * count) + " > max total ticket EV " +
                                  settings_.payment_ev_max.str() + ": buy less at once, or raise the limit"
        );
    }
    const Wei face_value_max = funds.deposit / settings_.deposit_multiplier;
    if (params.face_value > face_value_max) {
        return fail(
            Errc::kForbidden, "ticket faceValue " + params.face_value.str() + " > max faceValue " +
                                  face_value_max.str() + ": raise the deposit, or use another orchestrator"
        );
    }
    return {};
}

Result<Sender::Session*> Sender::session_for(const TicketParams& params, std::uint64_t l1_block) {
    if (const auto found = sessions_.find(params.recipient_rand_hash); found != sessions_.end()) {
        // The hash stands for all of them: with other values beside it the tickets would be worthless.
        if (found->second.params != params) {
            return refuse_peer(
                "recipientRandHash was used with other ticket params before: use another orchestrator"
            );
        }
        return &found->second;
    }
    if (sessions_.size() >= settings_.sessions_max) {
        sweep(l1_block);
    }
    if (sessions_.size() >= settings_.sessions_max) {
        return fail(Errc::kCapacity, "too many ticket sessions at once: try again in some minutes");
    }
    return &sessions_.emplace(params.recipient_rand_hash, Session{params, 0}).first->second;
}

Result<TicketBatch> Sender::take(
    const TicketParams& params, std::uint32_t count, const SenderFunds& funds, const ChainState& chain
) {
    FG_CHECK(validate(params, count, funds, chain));
    if (count > settings_.tickets_per_payment_max) {
        return fail(
            Errc::kForbidden, std::to_string(count) + " tickets for one payment, at most " +
                                  std::to_string(settings_.tickets_per_payment_max) +
                                  " are sent: buy less at once"
        );
    }
    if (count == 0) {
        return TicketBatch{address_, params, 1, 0};
    }
    FG_TRY(session, session_for(params, chain.l1_block));
    if (count > settings_.nonces_max - session->last_nonce) {
        return want_new_params(
            "these ticket params are used up, " + std::to_string(session->last_nonce) + " of " +
            std::to_string(settings_.nonces_max) + " tickets: ask the orchestrator for new ones"
        );
    }
    const std::uint32_t first = session->last_nonce + 1;
    session->last_nonce += count;
    return TicketBatch{address_, params, first, count};
}

std::uint32_t Sender::tickets_left(const TicketParams& params) const {
    const auto found = sessions_.find(params.recipient_rand_hash);
    return settings_.nonces_max - (found == sessions_.end() ? 0 : found->second.last_nonce);
}

void Sender::sweep(std::uint64_t l1_block) {
    std::erase_if(sessions_, [l1_block](const auto& entry) {
        return entry.second.params.expiration_block <= l1_block;
    });
}

}  // namespace framegrid::pay
