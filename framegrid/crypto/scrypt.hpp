// scrypt for the parameters that OpenSSL refuses.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <framegrid/crypto/hash.hpp>

namespace framegrid::crypto {

// RFC 7914 without its rule n < 2^(16 r), which OpenSSL enforces and early key files (n 2^18, r 1, p 8)
// break. n is a power of two over 1; uses 128 n r bytes. nullopt when there is not enough memory.
std::optional<Hash32> scrypt_lenient(
    std::string_view password, BytesView salt, std::uint64_t n, std::uint64_t r, std::uint64_t p
);

}  // namespace framegrid::crypto
