// What a recipient knows of the chain and of a sender's money, and the rules that follow from it (protocol
// sections 5.4, 5.5 and 5.11).
#pragma once

#include <cstdint>

#include <framegrid/base/result.hpp>
#include <framegrid/base/wei.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/ticket.hpp>

namespace framegrid::pay {

// The clock of payments, as last seen.
struct ChainState {
    std::uint64_t l1_block = 0;
    std::int64_t round = 0;        // the last one that was initialized
    Hash32 round_block_hash{};     // opaque; all zero where the chain gives none
    Hash32 previous_block_hash{};  // of the round before
    std::uint32_t pool_size = 0;   // recipients that share each reserve
    Wei gas_price = 0;             // wei per gas, at least the configured floor
    bool recipient_active = true;  // whether this orchestrator may redeem in this round
};

// What stands behind one sender's tickets.
struct SenderFunds {
    Wei deposit = 0;
    std::int64_t withdraw_round = 0;  // 0: not unlocking
    Wei reserve = 0;                  // what is left of it
    Wei reserve_claimed = 0;          // in this round, by all recipients
    Wei claimed_by_us = 0;            // in this round
    Wei pending = 0;                  // face values of our winning tickets that are not paid yet
    friend bool operator==(const SenderFunds&, const SenderFunds&) = default;
};

// Of the reserve, for one recipient in this round: never below zero, even when the pool has grown since.
Wei claimable_reserve(const SenderFunds& funds, std::uint32_t pool_size);
// The most that a ticket of this sender may pay: our share of its reserve, less what it owes us already
// unless its deposit is three times that.
Wei max_float(const SenderFunds& funds, std::uint32_t pool_size);
// kForbidden: the sender may take its money away before its tickets are paid.
Result<void> check_locked(const SenderFunds& funds, const ChainState& chain, const Address& sender);
// The round that new tickets are made in: the one before where the chain gave no hash for the last.
CreationRound creation_round(const ChainState& chain);

// Where the money for a winning ticket comes from. A part is final: the rest is lost.
struct Payout {
    Wei from_deposit = 0;
    Wei from_reserve = 0;
    Wei total() const { return from_deposit + from_reserve; }
};
Payout payout(const Wei& face_value, const SenderFunds& funds, const ChainState& chain);
// What it leaves, where it is paid to us.
void take_out(SenderFunds& funds, const Payout& pay);

}  // namespace framegrid::pay
