// Rounds and blocks that follow from the clock: no chain has to make them, and every process that shares the
// file sees the same ones.
#pragma once

#include <cstdint>

#include <framegrid/pay/ticket.hpp>

namespace framegrid::ledger_sqlite {

// As many as are enough for params to expire, and to be redeemed, within the round that they were made in.
inline constexpr std::int64_t kBlocksPerRound = 300;
inline constexpr std::int64_t kRoundMsMin = kBlocksPerRound;

// Where a file begins. Never changed.
struct Genesis {
    pay::Hash32 seed{};  // of this file only: tickets of another one have other round hashes
    std::int64_t start_unix_ms = 0;
    std::int64_t round_ms = 0;  // at least kRoundMsMin
    friend bool operator==(const Genesis&, const Genesis&) = default;
};

// From 1 on; a clock from before the beginning counts as the beginning.
std::int64_t round_at(const Genesis& genesis, std::int64_t unix_ms);
std::uint64_t block_at(const Genesis& genesis, std::int64_t unix_ms);
// K(seed || pad32(round)); zero before the first round.
pay::Hash32 round_hash(const Genesis& genesis, std::int64_t round);

}  // namespace framegrid::ledger_sqlite
