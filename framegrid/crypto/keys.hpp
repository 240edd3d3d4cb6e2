// secp256k1 keys, addresses and the network's personal-message signatures (protocol section 3.2).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::crypto {

using Address = std::array<std::uint8_t, 20>;
using Signature = std::array<std::uint8_t, 65>;  // r || s || v, v in {27, 28}

// EIP-55 mixed-case text, with 0x.
std::string checksum_address(const Address& address);
// 40 hex digits with or without 0x, any case.
Result<Address> parse_address(std::string_view text);

// A private key. Wiped on destruction, never logged; cannot be copied.
class PrivateKey {
  public:
    static Result<PrivateKey> from_bytes(BytesView raw);  // 32 bytes, in 1..n-1
    static PrivateKey generate(Random& random);
    PrivateKey(PrivateKey&& other) noexcept;
    PrivateKey& operator=(PrivateKey&& other) noexcept;
    ~PrivateKey();

    const Address& address() const { return address_; }
    // Sign(m): EIP-191 personal message over `message`, RFC 6979, low s.
    Signature sign_message(BytesView message) const;

  private:
    friend Result<std::string> write_keystore(const PrivateKey&, std::string_view, Random&);
    PrivateKey() = default;
    void derive_address();
    Hash32 secret_{};
    Address address_{};  // derived once: it takes longer than a whole job that does nothing
};

// Verify(addr, m, sig): 65 bytes, low s, v exactly 27 or 28, recovered address equal.
bool verify_message(const Address& signer, BytesView message, BytesView signature);
// The signer of a valid signature. kForbidden when it is malformed or does not recover.
Result<Address> recover_message(BytesView message, BytesView signature);

// Web3 secret storage v3 (scrypt or pbkdf2, aes-128-ctr). kForbidden: wrong password; kInvalidArgument:
// malformed or work factors beyond 1 GiB / 2^24 iterations.
Result<PrivateKey> read_keystore(std::string_view json, std::string_view password);
// A v3 file (scrypt n = 2^14, r 8, p 1) holding the key.
Result<std::string> write_keystore(const PrivateKey& key, std::string_view password, Random& random);

}  // namespace framegrid::crypto
