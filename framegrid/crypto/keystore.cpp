// Web3 secret storage version 3.
#include <framegrid/crypto/keys.hpp>
#include <framegrid/crypto/scrypt.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <boost/json.hpp>

#include <bit>
#include <limits>

namespace framegrid::crypto {

namespace {

namespace json = boost::json;

constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr std::uint64_t kScryptBytesMax = 1ULL << 30;
constexpr std::uint64_t kScryptLanesMax = 64;
constexpr std::uint64_t kIterationsMax = 1ULL << 24;
constexpr std::uint64_t kWriteN = 1ULL << 14;
constexpr std::uint64_t kWriteR = 8;
constexpr std::uint64_t kWriteP = 1;

using DerivedKey = std::array<std::uint8_t, 32>;

std::unexpected<Error> malformed(std::string field, std::string what) {
    return fail(Errc::kInvalidArgument, "keystore: " + std::move(what), std::move(field));
}

// Members of one JSON object, with errors that name them.
class Members {
  public:
    Members(const json::object& object, std::string path) : object_(object), path_(std::move(path)) {}

    Result<Members> object(std::string_view name) const {
        const auto* value = object_.if_contains(name);
        if (value == nullptr || !value->is_object()) {
            return malformed(path_ + std::string(name), "an object is missing");
        }
        return Members(value->get_object(), path_ + std::string(name) + ".");
    }
    Result<std::string> text(std::string_view name) const {
        const auto* value = object_.if_contains(name);
        if (value == nullptr || !value->is_string()) {
            return malformed(path_ + std::string(name), "a text is missing");
        }
        return std::string(value->get_string());
    }
    Result<Bytes> hex_bytes(std::string_view name) const {
        FG_TRY(digits, text(name));
        auto bytes = parse_hex(digits);
        if (!bytes) {
            return malformed(path_ + std::string(name), bytes.error().message);
        }
        return bytes;
    }
    Result<std::uint64_t> number(std::string_view name) const {
        const auto* value = object_.if_contains(name);
        if (value != nullptr && value->is_int64() && value->get_int64() >= 0) {
            return static_cast<std::uint64_t>(value->get_int64());
        }
        return malformed(path_ + std::string(name), "a whole number is missing");
    }

  private:
    const json::object& object_;
    std::string path_;
};

Result<DerivedKey> scrypt(
    std::string_view password, BytesView salt, std::uint64_t n, std::uint64_t r, std::uint64_t p
) {
    if (n < 2 || n > kScryptBytesMax || !std::has_single_bit(n) || r == 0 || r > kScryptBytesMax || p == 0 ||
        p > kScryptLanesMax || 128 * r > kScryptBytesMax / n) {
        return malformed("crypto.kdfparams", "the scrypt parameters are out of range");
    }
    if (16 * r < 64 && n >= 1ULL << (16 * r)) {
        const auto key = scrypt_lenient(password, salt, n, r, p);
        return key ? Result<DerivedKey>(*key) : fail(Errc::kIo, "keystore: not enough memory for scrypt");
    }
    DerivedKey key{};
    const std::uint64_t memory_max = kScryptBytesMax + kScryptBytesMax / 4;
    if (EVP_PBE_scrypt(
            password.data(), password.size(), salt.data(), salt.size(), n, r, p, memory_max, key.data(),
            key.size()
        ) != 1) {
        return malformed("crypto.kdfparams", "scrypt refused its parameters");
    }
    return key;
}

Result<DerivedKey> pbkdf2(std::string_view password, BytesView salt, std::uint64_t iterations) {
    if (iterations == 0 || iterations > kIterationsMax) {
        return malformed("crypto.kdfparams.c", "the iteration count is out of range");
    }
    DerivedKey key{};
    if (PKCS5_PBKDF2_HMAC(
            password.data(), static_cast<int>(password.size()), salt.data(), static_cast<int>(salt.size()),
            static_cast<int>(iterations), EVP_sha256(), static_cast<int>(key.size()), key.data()
        ) != 1) {
        return malformed("crypto.kdfparams", "pbkdf2 refused its parameters");
    }
    return key;
}

Result<DerivedKey> derive(const Members& crypto, std::string_view password) {
    FG_TRY(kdf, crypto.text("kdf"));
    FG_TRY(params, crypto.object("kdfparams"));
    FG_TRY(salt, params.hex_bytes("salt"));
    FG_TRY(length, params.number("dklen"));
    if (length != std::tuple_size_v<DerivedKey>) {
        return malformed("crypto.kdfparams.dklen", "only 32 is supported");
    }
    if (kdf == "scrypt") {
        FG_TRY(n, params.number("n"));
        FG_TRY(r, params.number("r"));
        FG_TRY(p, params.number("p"));
        return scrypt(password, salt, n, r, p);
    }
    if (kdf == "pbkdf2") {
        FG_TRY(prf, params.text("prf"));
        if (prf != "hmac-sha256") {
            return malformed("crypto.kdfparams.prf", "only hmac-sha256 is supported");
        }
        FG_TRY(iterations, params.number("c"));
        return pbkdf2(password, salt, iterations);
    }
    return malformed("crypto.kdf", "only scrypt and pbkdf2 are supported");
}

// AES-128-CTR; the same operation encrypts and decrypts.
Hash32 apply_cipher(BytesView key, BytesView iv, BytesView input) {
    FG_ASSERT(key.size() == 16 && iv.size() == 16 && input.size() == 32);
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
        EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free
    );
    Hash32 out{};
    int size = 0;
    const bool ok =
        context &&
        EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, key.data(), iv.data()) == 1 &&
        EVP_EncryptUpdate(context.get(), out.data(), &size, input.data(), static_cast<int>(input.size())) ==
            1;
    FG_ASSERT(ok && size == static_cast<int>(out.size()));
    return out;
}

Hash32 mac_of(BytesView derived, BytesView ciphertext) {
    Bytes text(derived.begin() + 16, derived.end());
    text.insert(text.end(), ciphertext.begin(), ciphertext.end());
    const Hash32 mac = keccak256(text);
    OPENSSL_cleanse(text.data(), text.size());
    return mac;
}

Result<PrivateKey> open_keystore(const json::object& root, std::string_view password) {
    const Members file(root, "");
    FG_TRY(version, file.number("version"));
    if (version != 3) {
        return malformed("version", "only version 3 is supported");
    }
    FG_TRY(crypto, file.object(root.contains("crypto") ? "crypto" : "Crypto"));
    FG_TRY(cipher, crypto.text("cipher"));
    if (cipher != "aes-128-ctr") {
        return malformed("crypto.cipher", "only aes-128-ctr is supported");
    }
    FG_TRY(cipher_params, crypto.object("cipherparams"));
    FG_TRY(iv, cipher_params.hex_bytes("iv"));
    FG_TRY(ciphertext, crypto.hex_bytes("ciphertext"));
    FG_TRY(mac, crypto.hex_bytes("mac"));
    if (iv.size() != 16 || ciphertext.size() != 32 || mac.size() != 32) {
        return malformed("crypto", "iv, ciphertext or mac has a wrong length");
    }
    FG_TRY(derived, derive(crypto, password));
    const bool correct = equal_constant_time(mac_of(derived, ciphertext), mac);
    Hash32 secret{};
    if (correct) {
        secret = apply_cipher(BytesView(derived).first(16), iv, ciphertext);
    }
    OPENSSL_cleanse(derived.data(), derived.size());
    if (!correct) {
        return fail(Errc::kForbidden, "keystore: wrong password", "password");
    }
    auto key = PrivateKey::from_bytes(secret);
    OPENSSL_cleanse(secret.data(), secret.size());
    return key;
}

std::string random_uuid(Random& random) {
    std::array<std::uint8_t, 16> raw{};
    random.fill(raw);
    raw[6] = static_cast<std::uint8_t>((raw[6] & 0x0f) | 0x40);
    raw[8] = static_cast<std::uint8_t>((raw[8] & 0x3f) | 0x80);
    std::string text = hex(raw);
    for (const std::size_t at : {8U, 13U, 18U, 23U}) {
        text.insert(at, "-");
    }
    return text;
}

}  // namespace

Result<PrivateKey> read_keystore(std::string_view text, std::string_view password) {
    if (text.size() > kFileBytesMax) {
        return malformed("", "the file is too large");
    }
    if (password.size() > std::numeric_limits<std::int16_t>::max()) {
        return fail(Errc::kInvalidArgument, "keystore: the password is too long", "password");
    }
    boost::system::error_code error;
    const json::value root = json::parse(text, error);
    if (error || !root.is_object()) {
        return malformed("", "the file is not a JSON object");
    }
    return open_keystore(root.get_object(), password);
}

Result<std::string> write_keystore(const PrivateKey& key, std::string_view password, Random& random) {
    Hash32 salt{};
    std::array<std::uint8_t, 16> iv{};
    random.fill(salt);
    random.fill(iv);
    FG_TRY(derived, scrypt(password, salt, kWriteN, kWriteR, kWriteP));
    const Hash32 ciphertext = apply_cipher(BytesView(derived).first(16), iv, key.secret_);
    const Hash32 mac = mac_of(derived, ciphertext);
    OPENSSL_cleanse(derived.data(), derived.size());
    const json::object file{
        {"address", hex(key.address())},
        {"crypto",
         {{"cipher", "aes-128-ctr"},
          {"ciphertext", hex(ciphertext)},
          {"cipherparams", {{"iv", hex(iv)}}},
          {"kdf", "scrypt"},
          {"kdfparams", {{"dklen", 32}, {"n", kWriteN}, {"p", kWriteP}, {"r", kWriteR}, {"salt", hex(salt)}}},
          {"mac", hex(mac)}}},
        {"id", random_uuid(random)},
        {"version", 3},
    };
    return json::serialize(file);
}

}  // namespace framegrid::crypto
