#include <framegrid/crypto/keys.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <framegrid/crypto/scrypt.hpp>

namespace framegrid::crypto {
namespace {

class TestRandom final : public Random {
  public:
    void fill(std::span<std::uint8_t> out) override {
        for (auto& byte : out) {
            byte = static_cast<std::uint8_t>(state_ = state_ * 1103515245 + 12345) ^ 0x5a;
        }
    }

  private:
    std::uint32_t state_ = 7;
};

// The two examples of the web3 secret storage definition.
constexpr std::string_view kPbkdf2File = R"({
  "crypto": {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    "kdf": "pbkdf2",
    "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
      "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
  },
  "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3})";
constexpr std::string_view kScryptFile = R"({
  "crypto": {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    "kdf": "scrypt",
    "kdfparams": {"dklen": 32, "n": 262144, "r": 1, "p": 8,
      "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
  },
  "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3})";
constexpr std::string_view kSecret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

Address expected_address() {
    return PrivateKey::from_bytes(parse_hex(kSecret).value())->address();
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string copy(text);
    const auto at = copy.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return copy.replace(at, from.size(), to);
}

TEST(Keystore, OpensThePublishedFiles) {
    const auto pbkdf2 = read_keystore(kPbkdf2File, "testpassword");
    ASSERT_TRUE(pbkdf2) << pbkdf2.error().message;
    EXPECT_EQ(pbkdf2->address(), expected_address());
    const auto scrypt = read_keystore(kScryptFile, "testpassword");
    ASSERT_TRUE(scrypt) << scrypt.error().message;
    EXPECT_EQ(scrypt->address(), expected_address());
    const auto capital = read_keystore(replaced(kScryptFile, "\"crypto\"", "\"Crypto\""), "testpassword");
    EXPECT_TRUE(capital);
}

TEST(Keystore, OwnScryptAgreesWithOpenSsl) {
    Hash32 expected{};
    const auto salt = as_bytes("NaCl");
    ASSERT_EQ(
        EVP_PBE_scrypt(
            "password", 8, salt.data(), salt.size(), 1024, 8, 3, 0, expected.data(), expected.size()
        ),
        1
    );
    EXPECT_EQ(scrypt_lenient("password", salt, 1024, 8, 3), expected);
}

TEST(Keystore, RoundTrip) {
    TestRandom random;
    const auto key = PrivateKey::generate(random);
    const auto file = write_keystore(key, "correct horse", random);
    ASSERT_TRUE(file);
    EXPECT_EQ(read_keystore(*file, "correct horse")->address(), key.address());
    const auto wrong = read_keystore(*file, "correct horsf");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::kForbidden);
    EXPECT_EQ(wrong.error().field, "password");
}

TEST(Keystore, MalformedFilesNameTheField) {
    struct Case {
        std::string file;
        std::string field;
    };
    const std::vector<Case> cases{
        {"", ""},
        {"[]", ""},
        {"{\"version\":3}", "Crypto"},
        {std::string(70'000, ' '), ""},
        {replaced(kScryptFile, "\"version\": 3", "\"version\": 1"), "version"},
        {replaced(kScryptFile, "\"version\": 3", "\"version\": \"3\""), "version"},
        {replaced(kScryptFile, "aes-128-ctr", "aes-128-cbc"), "crypto.cipher"},
        {replaced(kScryptFile, "\"iv\": \"83", "\"iv\": \""), "crypto"},
        {replaced(kScryptFile, "\"iv\": \"83", "\"iv\": \"zz"), "crypto.cipherparams.iv"},
        {replaced(kScryptFile, "\"kdf\": \"scrypt\"", "\"kdf\": \"argon2\""), "crypto.kdf"},
        {replaced(kScryptFile, "\"dklen\": 32", "\"dklen\": 16"), "crypto.kdfparams.dklen"},
        {replaced(kScryptFile, "\"n\": 262144", "\"n\": -1"), "crypto.kdfparams.n"},
        {replaced(kScryptFile, "\"n\": 262144", "\"n\": 262145"), "crypto.kdfparams"},
        {replaced(kScryptFile, "\"n\": 262144", "\"n\": 16777216"), "crypto.kdfparams"},
        {replaced(kScryptFile, "\"r\": 1", "\"r\": 9223372036854775807"), "crypto.kdfparams"},
        {replaced(kScryptFile, "\"p\": 8", "\"p\": 1000000"), "crypto.kdfparams"},
        {replaced(kPbkdf2File, "\"c\": 262144", "\"c\": 4294967296"), "crypto.kdfparams.c"},
        {replaced(kPbkdf2File, "\"c\": 262144", "\"c\": 0"), "crypto.kdfparams.c"},
        {replaced(kPbkdf2File, "hmac-sha256", "hmac-sha512"), "crypto.kdfparams.prf"},
    };
    for (const auto& item : cases) {
        const auto key = read_keystore(item.file, "testpassword");
        ASSERT_FALSE(key) << item.field;
        EXPECT_EQ(key.error().code, Errc::kInvalidArgument) << key.error().message;
        EXPECT_EQ(key.error().field, item.field) << key.error().message;
    }
}

}  // namespace
}  // namespace framegrid::crypto
