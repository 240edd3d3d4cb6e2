#include <framegrid/pay/funds.hpp>

#include <algorithm>

namespace framegrid::pay {

namespace {

// From this ratio of deposit to pending tickets on, the deposit alone pays them.
constexpr int kSafeDepositRatio = 3;

Wei minus_or_zero(const Wei& a, const Wei& b) {
    return a > b ? Wei(a - b) : Wei(0);
}

}  // namespace

Wei claimable_reserve(const SenderFunds& funds, std::uint32_t pool_size) {
    if (pool_size == 0) {
        return 0;
    }
    const BigInt share = (BigInt(funds.reserve) + BigInt(funds.reserve_claimed)) / pool_size;
    return minus_or_zero(Wei(std::min(share, win_prob_max())), funds.claimed_by_us);
}

Wei max_float(const SenderFunds& funds, std::uint32_t pool_size) {
    const Wei share = claimable_reserve(funds, pool_size);
    if (BigInt(funds.deposit) >= BigInt(funds.pending) * kSafeDepositRatio) {
        return share;
    }
    return minus_or_zero(share, funds.pending);
}

Result<void> check_locked(const SenderFunds& funds, const ChainState& chain, const Address& sender) {
    if (funds.withdraw_round != 0 && funds.withdraw_round <= chain.round + 1) {
        return fail(
            Errc::kForbidden,
            "deposit and reserve for sender " + crypto::checksum_address(sender) +
                " is set to unlock soon: cancel the unlock, then pay again",
            "payment.sender"
        );
    }
    return {};
}

CreationRound creation_round(const ChainState& chain) {
    if (chain.round_block_hash == Hash32{} && chain.previous_block_hash != Hash32{}) {
        return {chain.round - 1, chain.previous_block_hash};
    }
    return {chain.round, chain.round_block_hash};
}

Payout payout(const Wei& face_value, const SenderFunds& funds, const ChainState& chain) {
    Payout pay;
    pay.from_deposit = std::min(face_value, funds.deposit);
    if (chain.recipient_active) {
        const Wei rest = face_value - pay.from_deposit;
        pay.from_reserve = std::min({rest, claimable_reserve(funds, chain.pool_size), funds.reserve});
    }
    return pay;
}

void take_out(SenderFunds& funds, const Payout& pay) {
    funds.deposit -= pay.from_deposit;
    funds.reserve -= pay.from_reserve;
    funds.reserve_claimed += pay.from_reserve;
    funds.claimed_by_us += pay.from_reserve;
}

}  // namespace framegrid::pay
