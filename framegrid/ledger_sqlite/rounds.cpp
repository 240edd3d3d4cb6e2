#include <framegrid/ledger_sqlite/rounds.hpp>

#include <algorithm>

namespace framegrid::ledger_sqlite {

namespace {

std::int64_t age_ms(const Genesis& genesis, std::int64_t unix_ms) {
    return std::max<std::int64_t>(unix_ms - genesis.start_unix_ms, 0);
}

}  // namespace

std::int64_t round_at(const Genesis& genesis, std::int64_t unix_ms) {
    return 1 + age_ms(genesis, unix_ms) / genesis.round_ms;
}

std::uint64_t block_at(const Genesis& genesis, std::int64_t unix_ms) {
    const std::int64_t age = age_ms(genesis, unix_ms);
    const std::int64_t in_round = age % genesis.round_ms * kBlocksPerRound / genesis.round_ms;
    return static_cast<std::uint64_t>(age / genesis.round_ms * kBlocksPerRound + in_round + 1);
}

pay::Hash32 round_hash(const Genesis& genesis, std::int64_t round) {
    if (round < 1) {
        return {};
    }
    Bytes text(genesis.seed.begin(), genesis.seed.end());
    const auto number = crypto::pad32(static_cast<std::uint64_t>(round));
    text.insert(text.end(), number.begin(), number.end());
    return crypto::keccak256(text);
}

}  // namespace framegrid::ledger_sqlite
