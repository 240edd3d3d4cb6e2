// When a winning ticket is redeemed, and what a ledger checks before it pays one (settlement rules of the
// TicketBroker contract).
#pragma once

#include <cstdint>

#include <framegrid/pay/funds.hpp>
#include <framegrid/pay/ticket.hpp>

namespace framegrid::pay {

enum class RedemptionStep : std::uint8_t {
    kWait,    // not yet, or not worth its cost now
    kRedeem,  // now
    kDrop,    // never: its round is over
};

// `cost`: of redeeming, in wei. A ticket waits until its params have expired, because redeeming it reveals
// their recipientRand.
RedemptionStep redemption_step(
    const WinningTicket& ticket, const SenderFunds& funds, const ChainState& chain, const Wei& cost
);

// What every ledger refuses: in the contract's order and words. `round_block_hash`: of the ticket's creation
// round, zero when it has none. Not checked here: whether the hash was paid before, and the sender's funds.
Result<void> check_redeemable(
    const WinningTicket& ticket, const Hash32& round_block_hash, std::int64_t current_round
);

}  // namespace framegrid::pay
