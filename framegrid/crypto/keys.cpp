#include <framegrid/crypto/keys.hpp>

#include <openssl/crypto.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace framegrid::crypto {

namespace {

// Signing needs a context with its tables built; it is never changed afterwards, so threads may share it.
const secp256k1_context* signing_context() {
    static const secp256k1_context* const context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    FG_ASSERT(context != nullptr);
    return context;
}

// The digest of an EIP-191 personal message.
Hash32 personal_digest(BytesView message) {
    Bytes text = to_bytes(
        "\x19"
        "Ethereum Signed Message:\n" +
        std::to_string(message.size())
    );
    text.insert(text.end(), message.begin(), message.end());
    return keccak256(text);
}

Address address_of(const secp256k1_pubkey& key) {
    std::array<std::uint8_t, 65> point{};
    std::size_t size = point.size();
    secp256k1_ec_pubkey_serialize(
        secp256k1_context_static, point.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED
    );
    const Hash32 hash = keccak256(BytesView(point).subspan(1));
    Address address{};
    std::copy(hash.begin() + 12, hash.end(), address.begin());
    return address;
}

std::unexpected<Error> bad_signature(const char* why) {
    return fail(Errc::kForbidden, std::string("invalid signature: ") + why, "sig");
}

}  // namespace

std::string checksum_address(const Address& address) {
    std::string text = hex(address);
    const Hash32 hash = keccak256(as_bytes(text));
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int nibble = hash[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
        if (nibble >= 8) {
            text[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
        }
    }
    return "0x" + text;
}

Result<Address> parse_address(std::string_view text) {
    FG_TRY(bytes, parse_hex(text));
    Address address{};
    if (bytes.size() != address.size()) {
        return fail(Errc::kInvalidArgument, "an address has 40 hex digits");
    }
    std::copy(bytes.begin(), bytes.end(), address.begin());
    return address;
}

Result<PrivateKey> PrivateKey::from_bytes(BytesView raw) {
    PrivateKey key;
    if (raw.size() != key.secret_.size()) {
        return fail(Errc::kInvalidArgument, "a private key has 32 bytes");
    }
    std::copy(raw.begin(), raw.end(), key.secret_.begin());
    if (secp256k1_ec_seckey_verify(secp256k1_context_static, key.secret_.data()) != 1) {
        return fail(Errc::kInvalidArgument, "the private key is outside the curve's range");
    }
    key.derive_address();
    return key;
}

PrivateKey PrivateKey::generate(Random& random) {
    PrivateKey key;
    do {
        random.fill(key.secret_);
    } while (secp256k1_ec_seckey_verify(secp256k1_context_static, key.secret_.data()) != 1);
    key.derive_address();
    return key;
}

PrivateKey::PrivateKey(PrivateKey&& other) noexcept
    : secret_(other.secret_), address_(std::exchange(other.address_, {})) {
    OPENSSL_cleanse(other.secret_.data(), other.secret_.size());
}

PrivateKey& PrivateKey::operator=(PrivateKey&& other) noexcept {
    if (this != &other) {
        secret_ = other.secret_;
        address_ = std::exchange(other.address_, {});
        OPENSSL_cleanse(other.secret_.data(), other.secret_.size());
    }
    return *this;
}

PrivateKey::~PrivateKey() {
    OPENSSL_cleanse(secret_.data(), secret_.size());
}

void PrivateKey::derive_address() {
    secp256k1_pubkey key;
    FG_ASSERT(secp256k1_ec_pubkey_create(signing_context(), &key, secret_.data()) == 1);
    address_ = address_of(key);
}

Signature PrivateKey::sign_message(BytesView message) const {
    const Hash32 digest = personal_digest(message);
    secp256k1_ecdsa_recoverable_signature raw;
    const int ok = secp256k1_ecdsa_sign_recoverable(
        signing_context(), &raw, digest.data(), secret_.data(), secp256k1_nonce_function_rfc6979, nullptr
    );
    FG_ASSERT(ok == 1);
    Signature signature{};
    int recovery = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(
        secp256k1_context_static, signature.data(), &recovery, &raw
    );
    // Recovery ids 2 and 3 mean r overflowed the group order, which nobody has ever seen happen.
    FG_ASSERT(recovery == 0 || recovery == 1);
    signature[64] = static_cast<std::uint8_t>(27 + recovery);
    return signature;
}

Result<Address> recover_message(BytesView message, BytesView signature) {
    if (signature.size() != std::tuple_size_v<Signature>) {
        return bad_signature("it must have 65 bytes");
    }
    const int v = signature[64];
    if (v != 27 && v != 28) {
        return bad_signature("v must be 27 or 28");
    }
    const auto* context = secp256k1_context_static;
    secp256k1_ecdsa_recoverable_signature raw;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(context, &raw, signature.data(), v - 27) != 1) {
        return bad_signature("r or s is out of range");
    }
    secp256k1_ecdsa_signature plain;
    secp256k1_ecdsa_recoverable_signature_convert(context, &plain, &raw);
    // normalize() reports whether s was in the upper half of the range.
    if (secp256k1_ecdsa_signature_normalize(context, nullptr, &plain) == 1) {
        return bad_signature("s is too high");
    }
    const Hash32 digest = personal_digest(message);
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recover(context, &key, &raw, digest.data()) != 1) {
        return bad_signature("no key recovers from it");
    }
    return address_of(key);
}

bool verify_message(const Address& signer, BytesView message, BytesView signature) {
    const auto recovered = recover_message(message, signature);
    return recovered && *recovered == signer;
}

}  // namespace framegrid::crypto
