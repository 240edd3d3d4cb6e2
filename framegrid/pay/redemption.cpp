#include <framegrid/pay/redemption.hpp>

namespace framegrid::pay {

RedemptionStep redemption_step(
    const WinningTicket& ticket, const SenderFunds& funds, const ChainState& chain, const Wei& cost
) {
    if (ticket.params.creation.round + kValidRounds <= chain.round) {
        return RedemptionStep::kDrop;
    }
    const Wei payable = payout(ticket.params.face_value, funds, chain).total();
    const bool now = chain.recipient_active && ticket.params.expiration_block <= chain.l1_block;
    return now && payable > cost ? RedemptionStep::kRedeem : RedemptionStep::kWait;
}

Result<void> check_redeemable(
    const WinningTicket& ticket, const Hash32& round_block_hash, std::int64_t current_round
) {
    const TicketParams& params = ticket.params;
    const auto refuse = [](const char* text) { return fail(Errc::kForbidden, text, "ticket"); };
    if (params.recipient == Address{}) {
        return refuse("ticket recipient is null address");
    }
    if (ticket.sender == Address{}) {
        return refuse("ticket sender is null address");
    }
    if (params.creation == CreationRound{}) {
        return refuse("invalid length for ticket auxData: must be 64 bytes");
    }
    if (round_block_hash == Hash32{}) {
        return refuse("ticket creationRound does not have a block hash");
    }
    if (params.creation.block_hash != round_block_hash) {
        return refuse("ticket creationRoundBlockHash invalid for creationRound");
    }
    if (params.creation.round + kValidRounds <= current_round) {
        return refuse("ticket is expired");
    }
    if (recipient_rand_hash(ticket.recipient_rand) != params.recipient_rand_hash) {
        return refuse("recipientRand does not match recipientRandHash");
    }
    const Hash32 hash = ticket_hash(params, ticket.sender, ticket.ticket.nonce);
    if (!crypto::verify_message(ticket.sender, hash, ticket.ticket.signature)) {
        return refuse("invalid signature over ticket hash");
    }
    if (!wins(ticket.ticket.signature, ticket.recipient_rand, params.win_prob)) {
        return refuse("ticket did not win");
    }
    return {};
}

}  // namespace framegrid::pay
