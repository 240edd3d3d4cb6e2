#include <framegrid/crypto/keys.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace framegrid::crypto {
namespace {

class CountingRandom final : public Random {
  public:
    void fill(std::span<std::uint8_t> out) override { std::iota(out.begin(), out.end(), next_++); }

  private:
    std::uint8_t next_ = 1;
};

PrivateKey cow() {
    return PrivateKey::from_bytes(keccak256(as_bytes("cow"))).value();
}

constexpr std::string_view kMessage9 = "b7da355477356fc4c47fcabcf232dc77a6db9b07b7e48b76261cc55cc8fbabb3";
constexpr std::string_view kSignature9 =
    "206443228e8f784bc3a122de0d85eb3ebff82d6a79cca26c7eeb907099a6404f"
    "6dff57bc6828f28bd6cd073c89d94cf3364204679ed8365fa45b5ee6af19a9841c";

TEST(Keys, AddressOfTheExampleKey) {
    EXPECT_EQ(checksum_address(cow().address()), "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
}

// Deriving it takes 25 us, a job that does nothing 10.
TEST(Keys, AnAddressIsDerivedOnce) {
    auto key = cow();
    const Address expected = key.address();
    EXPECT_EQ(&key.address(), &key.address());
    const auto moved = std::move(key);
    EXPECT_EQ(moved.address(), expected);
    auto other = PrivateKey::from_bytes(keccak256(as_bytes("dog"))).value();
    EXPECT_NE(other.address(), expected);
    other = cow();
    EXPECT_EQ(other.address(), expected);
    CountingRandom random;
    const auto made = PrivateKey::generate(random);
    EXPECT_TRUE(verify_message(made.address(), as_bytes("x"), made.sign_message(as_bytes("x"))));
}

TEST(Keys, AddressesParseInAnyCase) {
    const auto address = cow().address();
    EXPECT_EQ(parse_address("cd2a3d9f938e13cd947ec05abc7fe734df8dd826").value(), address);
    EXPECT_EQ(parse_address("0xCD2A3D9F938E13CD947EC05ABC7FE734DF8DD826").value(), address);
    EXPECT_FALSE(parse_address("0xCD2A"));
    EXPECT_FALSE(parse_address("not an address at all, but forty signs .."));
}

TEST(Keys, Vector9Verifies) {
    const auto signer = parse_address("0x3BadDb1eeE2105893136A3F96c8a963E9C6309d6").value();
    const auto message = parse_hex(kMessage9).value();
    const auto signature = parse_hex(kSignature9).value();
    EXPECT_TRUE(verify_message(signer, message, signature));
    EXPECT_FALSE(verify_message(cow().address(), message, signature));
    EXPECT_FALSE(verify_message(signer, as_bytes("another message"), signature));
}

TEST(Keys, Vector10HasHighSAndIsRefused) {
    const auto signature = parse_hex(
        "e742ff452d41413616a5bf43fe15dd88294e983d3d36206c2712f39083d638bd"
        "e0a0fc89be718fbc1033e1d30d78be1c68081562ed2e97af876f286f3453231d1b"
    );
    const auto recovered = recover_message(parse_hex(kMessage9).value(), signature.value());
    ASSERT_FALSE(recovered);
    EXPECT_EQ(recovered.error().code, Errc::kForbidden);
    EXPECT_THAT(recovered.error().message, testing::HasSubstr("s is too high"));
}

TEST(Keys, MalformedSignaturesAreRefused) {
    const auto message = parse_hex(kMessage9).value();
    const auto good = parse_hex(kSignature9).value();
    auto changed = [&](auto change) {
        Bytes copy = good;
        change(copy);
        return recover_message(message, copy).has_value();
    };
    EXPECT_FALSE(changed([](Bytes& s) { s.pop_back(); }));
    EXPECT_FALSE(changed([](Bytes& s) { s.push_back(0); }));
    EXPECT_FALSE(changed([](Bytes& s) { s.clear(); }));
    for (const int v : {0, 1, 26, 29, 37, 255}) {
        EXPECT_FALSE(changed([v](Bytes& s) { s[64] = static_cast<std::uint8_t>(v); })) << v;
    }
    EXPECT_FALSE(changed([](Bytes& s) { std::fill(s.begin(), s.begin() + 32, 0); }));
    EXPECT_FALSE(changed([](Bytes& s) { std::fill(s.begin(), s.begin() + 32, 0xff); }));
    EXPECT_FALSE(changed([](Bytes& s) { std::fill(s.begin() + 32, s.end() - 1, 0); }));
}

TEST(Keys, SignaturesAreDeterministicAndVerify) {
    const auto key = cow();
    const auto signature = key.sign_message(as_bytes("hello"));
    EXPECT_EQ(signature, key.sign_message(as_bytes("hello")));
    EXPECT_TRUE(verify_message(key.address(), as_bytes("hello"), signature));
    EXPECT_TRUE(verify_message(key.address(), {}, key.sign_message({})));
}

TEST(Keys, RangeIsChecked) {
    EXPECT_FALSE(PrivateKey::from_bytes(Bytes(32, 0)));
    EXPECT_FALSE(PrivateKey::from_bytes(Bytes(32, 0xff)));
    EXPECT_FALSE(PrivateKey::from_bytes(Bytes(31, 1)));
    EXPECT_TRUE(PrivateKey::from_bytes(Bytes(32, 1)));
}

TEST(Keys, GeneratedKeysDifferAndMoveWipes) {
    CountingRandom random;
    auto a = PrivateKey::generate(random);
    const auto b = PrivateKey::generate(random);
    EXPECT_NE(a.address(), b.address());
    const auto address = a.address();
    const auto moved = std::move(a);
    EXPECT_EQ(moved.address(), address);
}

}  // namespace
}  // namespace framegrid::crypto
