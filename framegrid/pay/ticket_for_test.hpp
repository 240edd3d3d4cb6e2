// Two sides of payments with money behind them, for tests.
#pragma once

#include <algorithm>
#include <limits>
#include <string_view>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/pay/funds.hpp>
#include <framegrid/pay/recipient.hpp>
#include <framegrid/pay/sender.hpp>
#include <framegrid/runtime/seeded_random.hpp>

namespace framegrid::pay {

inline const Uint256 kAlwaysWins = std::numeric_limits<Uint256>::max();

inline Hash32 hash_of(std::string_view hex) {
    const Bytes bytes = crypto::parse_hex(hex).value();
    Hash32 hash{};
    std::ranges::copy(bytes, hash.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    return hash;
}
inline crypto::PrivateKey key_of(std::string_view text) {
    return crypto::PrivateKey::from_bytes(crypto::keccak256(as_bytes(text))).value();
}
inline Uint256 number_of(std::string_view hex) {
    return *from_bytes(crypto::parse_hex(hex).value());
}

// The round hash of the published vectors.
inline const Hash32 kRoundHash = hash_of("41b1a0649752af1b28b3dc29a1556eee781e4a4c3a1f7f53f90fa834de098c4d");

inline Wei ether(std::uint64_t amount) {
    return Wei(amount) * 1'000'000'000'000'000'000U;
}

// A sender with a deposit, a recipient, and a chain that stands still.
struct Market {
    SeededRandom random{7};
    crypto::PrivateKey key = key_of("cow");
    crypto::PrivateKey recipient_key = key_of("recipient");
    Address sender = key.address();
    Address recipient_address = recipient_key.address();
    Price price{3, 2};
    ChainState chain{
        .l1_block = 1000,
        .round = 10,
        .round_block_hash = kRoundHash,
        .previous_block_hash = {},
        .pool_size = 2,
        .gas_price = 100'000'000
    };
    SenderFunds funds{.deposit = ether(10), .reserve = ether(2)};

    Recipient make_recipient(RecipientSettings settings = {}) {
        return Recipient(recipient_address, settings, random);
    }
    // `count` tickets of these params, signed by the sender.
    Payment pay(const TicketParams& params, std::uint32_t count, std::uint32_t first = 1) {
        return sign({sender, params, first, count}, price, key);
    }
};

}  // namespace framegrid::pay
