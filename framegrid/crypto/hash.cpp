#include <framegrid/crypto/hash.hpp>

#include <memory>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace framegrid::crypto {

namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int16_t, 256> make_base64_values() {
    std::array<std::int16_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kBase64Alphabet.size(); ++i) {
        values[static_cast<std::uint8_t>(kBase64Alphabet[i])] = static_cast<std::int16_t>(i);
    }
    return values;
}
constexpr auto kBase64Values = make_base64_values();

constexpr std::array<std::int8_t, 256> make_hex_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::int8_t i = 0; i < 16; ++i) {
        values[static_cast<std::uint8_t>("0123456789abcdef"[i])] = i;
        values[static_cast<std::uint8_t>("0123456789ABCDEF"[i])] = i;
    }
    return values;
}
constexpr auto kHexValues = make_hex_values();

// Looking an algorithm up by name costs more than hashing a short message, so the handle is kept.
const EVP_MD* keccak_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "KECCAK-256", nullptr);
    FG_ASSERT(algorithm != nullptr);
    return algorithm;
}

const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    FG_ASSERT(algorithm != nullptr);
    return algorithm;
}

struct DigestDelete {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, DigestDelete>;

struct MacDelete {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, MacDelete>;

// The same for HMAC: a context that lacks only its key, to be copied.
const EVP_MAC_CTX* hmac_sha256_context() {
    static const MacContext context = [] {
        EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        FG_ASSERT(mac != nullptr);
        MacContext made(EVP_MAC_CTX_new(mac));
        EVP_MAC_free(mac);
        char name[] = "SHA256";
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()
        };
        FG_ASSERT(made && EVP_MAC_CTX_set_params(made.get(), parameters) == 1);
        return made;
    }();
    return context.get();
}

Hash32 digest(const EVP_MD* algorithm, BytesView data) {
    Hash32 out{};
    unsigned int size = 0;
    const int ok = EVP_Digest(data.data(), data.size(), out.data(), &size, algorithm, nullptr);
    FG_ASSERT(ok == 1 && size == out.size());
    return out;
}

}  // namespace

Hash32 keccak256(BytesView data) {
    return digest(keccak_algorithm(), data);
}

// Making a context takes as long as hashing 100 bytes, so each thread keeps one. It keeps nothing of the
// data: SHA-256 wipes its last block (Keccak does not).
Hash32 sha256(BytesView data) {
    thread_local const DigestContext context(EVP_MD_CTX_new());
    Hash32 out{};
    unsigned int size = 0;
    const bool ok = context != nullptr &&
                    EVP_DigestInit_ex2(context.get(), sha256_algorithm(), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
                    EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1;
    FG_ASSERT(ok && size == out.size());
    return out;
}

void Digest::Free::operator()(void* context) const {
    EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

Digest::Digest(const void* algorithm) : context_(EVP_MD_CTX_new()) {
    auto* context = static_cast<EVP_MD_CTX*>(context_.get());
    FG_ASSERT(
        context != nullptr && EVP_DigestInit_ex(context, static_cast<const EVP_MD*>(algorithm), nullptr) == 1
    );
}

Digest Digest::sha256() {
    return Digest(EVP_sha256());
}

Digest Digest::git_blob(std::int64_t bytes) {
    Digest digest(EVP_sha1());
    const std::string head = "blob " + std::to_string(bytes);
    digest.update(as_bytes({head.c_str(), head.size() + 1}));
    return digest;
}

void Digest::update(BytesView data) {
    FG_ASSERT(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), data.data(), data.size()) == 1);
}

Bytes Digest::finish() {
    Bytes out(EVP_MAX_MD_SIZE);
    unsigned size = 0;
    FG_ASSERT(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), out.data(), &size) == 1);
    out.resize(size);
    return out;
}

Hash32 hmac_sha256(BytesView key, BytesView data) {
    Hash32 out{};
    std::size_t size = 0;
    const std::uint8_t none = 0;  // OpenSSL takes a null key as "reuse the last one"
    const auto* key_data = key.empty() ? &none : key.data();
    const MacContext context(EVP_MAC_CTX_dup(hmac_sha256_context()));
    const bool ok = context && EVP_MAC_init(context.get(), key_data, key.size(), nullptr) == 1 &&
                    EVP_MAC_update(context.get(), data.data(), data.size()) == 1 &&
                    EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1;
    FG_ASSERT(ok && size == out.size());
    return out;
}

bool equal_constant_time(BytesView a, BytesView b) {
    return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string hex(BytesView data) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text(data.size() * 2, '\0');
    char* at = text.data();
    for (const std::uint8_t byte : data) {
        *at++ = kDigits[byte >> 4];
        *at++ = kDigits[byte & 15];
    }
    return text;
}

bool read_hex(std::string_view text, std::span<std::uint8_t> out) {
    if (text.size() != 2 * out.size()) {
        return false;
    }
    int all = 0;  // negative as soon as one is
    for (std::size_t i = 0; i < out.size(); ++i) {
        const int value = kHexValues[static_cast<std::uint8_t>(text[2 * i])] * 16 |
                          kHexValues[static_cast<std::uint8_t>(text[2 * i + 1])];
        out[i] = static_cast<std::uint8_t>(value);
        all |= value;
    }
    return all >= 0;
}

Result<Bytes> parse_hex(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
    }
    if (text.size() % 2 != 0) {
        return fail(Errc::kInvalidArgument, "hex text has an odd number of digits");
    }
    Bytes bytes(text.size() / 2);
    if (!read_hex(text, bytes)) {
        return fail(Errc::kInvalidArgument, "hex text has a character that is not a hex digit");
    }
    return bytes;
}

std::string base64(BytesView data) {
    std::string text;
    text.resize_and_overwrite((data.size() + 2) / 3 * 4, [&](char* out, std::size_t size) {
        std::size_t i = 0;
        for (; i + 3 <= data.size(); i += 3) {
            const std::uint32_t group = data[i] << 16 | data[i + 1] << 8 | data[i + 2];
            *out++ = kBase64Alphabet[group >> 18];
            *out++ = kBase64Alphabet[group >> 12 & 63];
            *out++ = kBase64Alphabet[group >> 6 & 63];
            *out++ = kBase64Alphabet[group & 63];
        }
        if (const std::size_t rest = data.size() - i; rest > 0) {
            const std::uint32_t group = data[i] << 16 | (rest == 2 ? data[i + 1] << 8 : 0);
            *out++ = kBase64Alphabet[group >> 18];
            *out++ = kBase64Alphabet[group >> 12 & 63];
            *out++ = rest == 2 ? kBase64Alphabet[group >> 6 & 63] : '=';
            *out++ = '=';
        }
        return size;
    });
    return text;
}

Result<Bytes> parse_base64(std::string_view text) {
    if (text.size() % 4 != 0) {
        return fail(Errc::kInvalidArgument, "base64 text is not a multiple of four characters");
    }
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
        ++padding;
    }
    const auto value = [&](std::size_t i) -> std::int32_t {
        return i < text.size() - padding ? kBase64Values[static_cast<std::uint8_t>(text[i])] : 0;
    };
    Bytes bytes(text.size() / 4 * 3);
    auto out = bytes.begin();
    std::int32_t bad = 0;
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const std::int32_t a = value(i);
        const std::int32_t b = value(i + 1);
        const std::int32_t c = value(i + 2);
        const std::int32_t d = value(i + 3);
        bad |= a | b | c | d;  // negative ones stay negative
        *out++ = static_cast<std::uint8_t>(a << 2 | b >> 4);
        *out++ = static_cast<std::uint8_t>(b << 4 | c >> 2);
        *out++ = static_cast<std::uint8_t>(c << 6 | d);
    }
    if (bad < 0) {
        return fail(Errc::kInvalidArgument, "base64 text has a character outside the alphabet");
    }
    bytes.resize(bytes.size() - padding);
    return bytes;
}

Bytes big_endian(std::uint64_t value) {
    Bytes bytes;
    for (int shift = 56; shift >= 0; shift -= 8) {
        const auto byte = static_cast<std::uint8_t>(value >> shift);
        if (byte != 0 || !bytes.empty()) {
            bytes.push_back(byte);
        }
    }
    return bytes;
}

Hash32 pad32(std::uint64_t value) {
    Hash32 out{};
    for (std::size_t i = 0; i < 8; ++i) {
        out[31 - i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    return out;
}

}  // namespace framegrid::crypto
