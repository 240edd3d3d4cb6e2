// Tickets of the probabilistic micropayments (protocol sections 5.2 to 5.5): a signed promise to pay
// face_value with the probability win_prob / (2^256 - 1). Values and pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/base/wei.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/money.hpp>

namespace framegrid::pay {

using crypto::Address;
using crypto::Hash32;

// A ticket can be redeemed in the round that it was made in and the next.
inline constexpr std::int64_t kValidRounds = 2;

struct CreationRound {
    std::int64_t round = 0;
    Hash32 block_hash{};
    friend bool operator==(const CreationRound&, const CreationRound&) = default;
};

// What a recipient asks a sender to make tickets of.
struct TicketParams {
    Address recipient{};
    Wei face_value = 0;
    Uint256 win_prob = 0;
    Hash32 recipient_rand_hash{};
    Uint256 seed = 0;
    std::uint64_t expiration_block = 0;  // of L1; not part of the ticket
    CreationRound creation{};
    friend bool operator==(const TicketParams&, const TicketParams&) = default;
};

// A nonce and the sender's signature over the ticket with it.
struct SignedNonce {
    std::uint32_t nonce = 0;
    crypto::Signature signature{};
    friend bool operator==(const SignedNonce&, const SignedNonce&) = default;
};

// What accompanies a job: the tickets of one set of params.
struct Payment {
    Address sender{};
    std::optional<TicketParams> params;
    std::vector<SignedNonce> tickets;
    std::optional<Price> expected_price;  // units is never 0
    friend bool operator==(const Payment&, const Payment&) = default;
};

// Anything that a ledger needs to pay a winning ticket.
struct WinningTicket {
    TicketParams params;
    Address sender{};
    SignedNonce ticket;
    Hash32 recipient_rand{};
    Hash32 hash{};  // the ticket's; a ledger pays each hash once
    friend bool operator==(const WinningTicket&, const WinningTicket&) = default;
};

// Minimal big-endian bytes, zero is empty; and 32 of them.
Bytes minimal_bytes(const Uint256& value);
Hash32 pad32(const Uint256& value);
// nullopt: more than 32 bytes.
std::optional<Uint256> from_bytes(BytesView big_endian);

// pad32(round) || block hash, or nothing when both are zero.
Bytes aux_data(const CreationRound& creation);
// K(recipient || sender || pad32(face_value) || pad32(win_prob) || pad32(nonce) || recipient_rand_hash || aux
// data).
Hash32 ticket_hash(const TicketParams& params, const Address& sender, std::uint32_t nonce);
// HMAC-SHA256 over what the sender echoes: whatever it changes gives another number. The price in lowest
// terms.
Hash32 recipient_rand(
    BytesView secret, const TicketParams& params, const Address& sender, const Price& price
);
// K(pad32(rand)).
Hash32 recipient_rand_hash(const Hash32& rand);
// K(signature || rand) < win_prob.
bool wins(BytesView signature, const Hash32& rand, const Uint256& win_prob);

// What one ticket is worth on average.
inline Money expected_value(const TicketParams& params) {
    return Money::tickets(params.face_value, params.win_prob);
}
// The probability that makes a ticket of this face value worth `ticket_ev`. 0 < ticket_ev <= face_value, or 0
// for a face value of 0.
Uint256 win_prob_for(const Wei& ticket_ev, const Wei& face_value);

}  // namespace framegrid::pay
