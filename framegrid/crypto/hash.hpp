// Hashes, MACs and text encodings over OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::crypto {

using Hash32 = std::array<std::uint8_t, 32>;

// Keccak-256 as Ethereum uses it (not SHA3-256).
Hash32 keccak256(BytesView data);
Hash32 sha256(BytesView data);
Hash32 hmac_sha256(BytesView key, BytesView data);

// A digest of bytes that come piece by piece.
class Digest {
  public:
    static Digest sha256();
    // SHA-1 of a file as git names it; `bytes` is the file's size.
    static Digest git_blob(std::int64_t bytes);
    void update(BytesView data);
    // Once, at the end.
    Bytes finish();

  private:
    struct Free {
        void operator()(void* context) const;
    };
    explicit Digest(const void* algorithm);
    std::unique_ptr<void, Free> context_;
};

// Compares in time that depends only on the lengths.
bool equal_constant_time(BytesView a, BytesView b);

std::string hex(BytesView data);  // lower case, no 0x
// Exactly two hex digits for each byte of `out`, without 0x. False: `out` is not to be used.
bool read_hex(std::string_view text, std::span<std::uint8_t> out);
// Accepts an optional 0x. kInvalidArgument on odd length or other characters.
Result<Bytes> parse_hex(std::string_view text);
std::string base64(BytesView data);  // standard alphabet, padded
// kInvalidArgument on anything but padded standard base64.
Result<Bytes> parse_base64(std::string_view text);

// Minimal big-endian bytes; zero is empty. pad32: 32 bytes big-endian.
Bytes big_endian(std::uint64_t value);
Hash32 pad32(std::uint64_t value);

}  // namespace framegrid::crypto
