#include <framegrid/pay/ticket.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

namespace framegrid::pay {

namespace {

constexpr std::size_t kAuxBytes = 64;
constexpr std::size_t kTicketBytesMax = 2 * 20 + 4 * 32 + kAuxBytes;

// A byte string of bounded length that is put together without an allocation.
template <std::size_t Max>
class Packed {
  public:
    void put(BytesView bytes) {
        FG_ASSERT(bytes.size() <= Max - size_);
        std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += bytes.size();
    }
    // Without leading zeros.
    void put_minimal(BytesView big_endian) {
        const auto first = std::ranges::find_if(big_endian, [](std::uint8_t byte) { return byte != 0; });
        put(BytesView(first, big_endian.end()));
    }
    void put_minimal(std::uint64_t value) { put_minimal(BytesView(crypto::pad32(value))); }
    void put_minimal(const Uint256& value) { put_minimal(BytesView(pad32(value))); }
    void put_aux(const CreationRound& creation) {
        if (creation != CreationRound{}) {
            put(crypto::pad32(static_cast<std::uint64_t>(creation.round)));
            put(creation.block_hash);
        }
    }
    BytesView view() const { return BytesView(bytes_).first(size_); }

  private:
    std::array<std::uint8_t, Max> bytes_{};
    std::size_t size_ = 0;
};

}  // namespace

Hash32 pad32(const Uint256& value) {
    using Limb = boost::multiprecision::limb_type;
    Hash32 out{};
    const auto& limbs = value.backend();
    for (std::size_t i = 0; i < limbs.size() * sizeof(Limb); ++i) {
        out[31 - i] = static_cast<std::uint8_t>(limbs.limbs()[i / sizeof(Limb)] >> (8 * (i % sizeof(Limb))));
    }
    return out;
}

Bytes minimal_bytes(const Uint256& value) {
    const Hash32 padded = pad32(value);
    const auto first = std::ranges::find_if(padded, [](std::uint8_t byte) { return byte != 0; });
    return {first, padded.end()};
}

std::optional<Uint256> from_bytes(BytesView big_endian) {
    if (big_endian.size() > sizeof(Hash32)) {
        return std::nullopt;
    }
    Uint256 value = 0;
    for (const std::uint8_t byte : big_endian) {
        value = value << 8 | byte;
    }
    return value;
}

Bytes aux_data(const CreationRound& creation) {
    Packed<kAuxBytes> aux;
    aux.put_aux(creation);
    return {aux.view().begin(), aux.view().end()};
}

Hash32 ticket_hash(const TicketParams& params, const Address& sender, std::uint32_t nonce) {
    Packed<kTicketBytesMax> packed;
    packed.put(params.recipient);
    packed.put(sender);
    packed.put(pad32(params.face_value));
    packed.put(pad32(params.win_prob));
    packed.put(crypto::pad32(nonce));
    packed.put(params.recipient_rand_hash);
    packed.put_aux(params.creation);
    return crypto::keccak256(packed.view());
}

Hash32 recipient_rand(
    BytesView secret, const TicketParams& params, const Address& sender, const Price& price
) {
    const std::int64_t common = std::max<std::int64_t>(std::gcd(price.wei, price.units), 1);
    Packed<20 + 3 * 32 + 3 * 8 + kAuxBytes> packed;
    packed.put_minimal(params.seed);
    packed.put(sender);
    packed.put_minimal(params.face_value);
    packed.put_minimal(params.win_prob);
    packed.put_minimal(params.expiration_block);
    packed.put_minimal(static_cast<std::uint64_t>(price.wei / common));
    packed.put_minimal(static_cast<std::uint64_t>(price.units / common));
    packed.put_aux(params.creation);
    return crypto::hmac_sha256(secret, packed.view());
}

Hash32 recipient_rand_hash(const Hash32& rand) {
    return crypto::keccak256(rand);
}

bool wins(BytesView signature, const Hash32& rand, const Uint256& win_prob) {
    Packed<std::tuple_size_v<crypto::Signature> + std::tuple_size_v<Hash32>> packed;
    packed.put(signature);
    packed.put(rand);
    // Big-endian numbers of one length compare as their bytes do.
    return crypto::keccak256(packed.view()) < pad32(win_prob);
}

Uint256 win_prob_for(const Wei& ticket_ev, const Wei& face_value) {
    if (face_value.is_zero()) {
        return 0;
    }
    FG_ASSERT(ticket_ev <= face_value);
    if (ticket_ev == face_value) {
        return std::numeric_limits<Uint256>::max();
    }
    const BigInt prob = (win_prob_max() + BigInt(face_value) - 1) / BigInt(face_value) * BigInt(ticket_ev);
    return Uint256(std::min(prob, win_prob_max()));
}

}  // namespace framegrid::pay
