#include <framegrid/crypto/scrypt.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <span>
#include <vector>

namespace framegrid::crypto {

namespace {

using Words = std::span<std::uint32_t>;
using Block = std::array<std::uint32_t, 16>;

void quarter(Block& x, std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    x[b] ^= std::rotl(x[a] + x[d], 7);
    x[c] ^= std::rotl(x[b] + x[a], 9);
    x[d] ^= std::rotl(x[c] + x[b], 13);
    x[a] ^= std::rotl(x[d] + x[c], 18);
}

void salsa20_8(Block& block) {
    Block x = block;
    for (int round = 0; round < 8; round += 2) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 5, 9, 13, 1);
        quarter(x, 10, 14, 2, 6);
        quarter(x, 15, 3, 7, 11);
        quarter(x, 0, 1, 2, 3);
        quarter(x, 5, 6, 7, 4);
        quarter(x, 10, 11, 8, 9);
        quarter(x, 15, 12, 13, 14);
    }
    for (std::size_t i = 0; i < block.size(); ++i) {
        block[i] += x[i];
    }
}

// BlockMix of 2r blocks of 16 words; `scratch` has the same size.
void block_mix(Words data, Words scratch, std::size_t r) {
    Block x{};
    std::copy_n(data.end() - 16, 16, x.begin());
    for (std::size_t i = 0; i < 2 * r; ++i) {
        for (std::size_t j = 0; j < 16; ++j) {
            x[j] ^= data[i * 16 + j];
        }
        salsa20_8(x);
        const std::size_t to = i % 2 == 0 ? i / 2 : r + i / 2;
        std::ranges::copy(x, scratch.begin() + static_cast<std::ptrdiff_t>(to * 16));
    }
    std::ranges::copy(scratch, data.begin());
}

void ro_mix(Words data, Words table, Words scratch, std::uint64_t n, std::size_t r) {
    const std::size_t size = data.size();
    for (std::uint64_t i = 0; i < n; ++i) {
        std::ranges::copy(data, table.begin() + static_cast<std::ptrdiff_t>(i * size));
        block_mix(data, scratch, r);
    }
    for (std::uint64_t i = 0; i < n; ++i) {
        const std::uint64_t low = data[size - 16];
        const std::uint64_t high = data[size - 15];
        const Words entry = table.subspan(((high << 32 | low) & (n - 1)) * size, size);
        for (std::size_t j = 0; j < size; ++j) {
            data[j] ^= entry[j];
        }
        block_mix(data, scratch, r);
    }
}

bool derive(std::string_view password, BytesView salt, std::span<std::uint8_t> out) {
    return PKCS5_PBKDF2_HMAC(
               password.data(), static_cast<int>(password.size()), salt.data(), static_cast<int>(salt.size()),
               1, EVP_sha256(), static_cast<int>(out.size()), out.data()
           ) == 1;
}

}  // namespace

std::optional<Hash32> scrypt_lenient(
    std::string_view password, BytesView salt, std::uint64_t n, std::uint64_t r, std::uint64_t p
) try {
    const std::size_t words = 32 * r;
    Bytes lanes(p * words * 4);
    if (!derive(password, salt, lanes)) {
        return std::nullopt;
    }
    std::vector<std::uint32_t> data(words);
    std::vector<std::uint32_t> scratch(words);
    std::vector<std::uint32_t> table(words * n);
    for (std::uint64_t lane = 0; lane < p; ++lane) {
        std::uint8_t* bytes = lanes.data() + lane * words * 4;
        for (std::size_t i = 0; i < words; ++i) {
            data[i] = static_cast<std::uint32_t>(bytes[4 * i]) |
                      static_cast<std::uint32_t>(bytes[4 * i + 1]) << 8 |
                      static_cast<std::uint32_t>(bytes[4 * i + 2]) << 16 |
                      static_cast<std::uint32_t>(bytes[4 * i + 3]) << 24;
        }
        ro_mix(data, table, scratch, n, r);
        for (std::size_t i = 0; i < words * 4; ++i) {
            bytes[i] = static_cast<std::uint8_t>(data[i / 4] >> (8 * (i % 4)));
        }
    }
    Hash32 key{};
    const bool ok = derive(password, lanes, key);
    OPENSSL_cleanse(lanes.data(), lanes.size());
    OPENSSL_cleanse(table.data(), table.size() * sizeof(std::uint32_t));
    return ok ? std::optional(key) : std::nullopt;
} catch (const std::bad_alloc&) {
    return std::nullopt;
}

}  // namespace framegrid::crypto
