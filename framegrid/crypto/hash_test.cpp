#include <algorithm>

#include <framegrid/crypto/hash.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::crypto {
namespace {

std::string first4(std::string_view text) {
    return hex(BytesView(keccak256(as_bytes(text))).first(4));
}

TEST(Hash, KeccakIsEthereums) {
    EXPECT_EQ(hex(keccak256({})), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    EXPECT_EQ(
        hex(keccak256(as_bytes("cow"))), "c85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4"
    );
}

TEST(Hash, ProfileNamesAbbreviateAsInVector11) {
    EXPECT_EQ(first4("P144p30fps16x9"), "fca40bf9");
    EXPECT_EQ(first4("P240p30fps16x9"), "c0a6517a");
    EXPECT_EQ(first4("P360p30fps16x9"), "93c717e7");
    EXPECT_EQ(first4("P720p30fps16x9"), "49d54ea9");
}

TEST(Hash, Sha256AndHmacMatchPublishedVectors) {
    EXPECT_EQ(
        hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    // RFC 4231 test case 2.
    EXPECT_EQ(
        hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    EXPECT_EQ(hex(hmac_sha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Hash, EqualConstantTimeComparesLengthAndContent) {
    EXPECT_TRUE(equal_constant_time({}, {}));
    EXPECT_TRUE(equal_constant_time(as_bytes("secret"), as_bytes("secret")));
    EXPECT_FALSE(equal_constant_time(as_bytes("secret"), as_bytes("secreT")));
    EXPECT_FALSE(equal_constant_time(as_bytes("secret"), as_bytes("secrets")));
}

TEST(Hex, RoundTripsAndRefusesOtherText) {
    EXPECT_EQ(hex(Bytes{0x00, 0x7f, 0xff}), "007fff");
    EXPECT_EQ(parse_hex("0x007FfF").value(), (Bytes{0x00, 0x7f, 0xff}));
    EXPECT_EQ(parse_hex("").value(), Bytes{});
    for (const auto* bad : {"0", "0x1", "zz", "0 ", "+1"}) {
        ASSERT_FALSE(parse_hex(bad)) << bad;
        EXPECT_EQ(parse_hex(bad).error().code, Errc::kInvalidArgument);
    }
}

TEST(Hex, IsReadIntoAPlaceOfItsSize) {
    std::array<std::uint8_t, 2> out{};
    EXPECT_TRUE(read_hex("09aF", out));
    EXPECT_EQ(out, (std::array<std::uint8_t, 2>{0x09, 0xaf}));
    for (const char* bad : {"", "09a", "09af0", "09af00", "0x09", "g9af", "9gaf", "09 f", "09a\xff"}) {
        EXPECT_FALSE(read_hex(bad, out)) << bad;
    }
}

TEST(Base64, MatchesRfc4648) {
    const std::vector<std::pair<std::string, std::string>> vectors{
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(base64(as_bytes(plain)), encoded);
        EXPECT_EQ(parse_base64(encoded).value(), to_bytes(plain));
    }
}

TEST(Base64, AllByteValuesSurvive) {
    Bytes all;
    for (int i = 0; i < 256; ++i) {
        all.push_back(static_cast<std::uint8_t>(i));
    }
    for (std::size_t size = 250; size <= all.size(); ++size) {
        const BytesView part(all.data(), size);
        const auto back = parse_base64(base64(part));
        ASSERT_TRUE(back);
        EXPECT_TRUE(std::ranges::equal(*back, part));
    }
}

TEST(Base64, RefusesAnythingElse) {
    for (const auto* bad :
         {"Zg", "Zg=", "Z===", "====", "Zm9v\n", "Zm 9", "Zm9-", "Zm9_", "=Zg=", "Zg==Zg=="}) {
        ASSERT_FALSE(parse_base64(bad)) << bad;
        EXPECT_EQ(parse_base64(bad).error().code, Errc::kInvalidArgument);
    }
}

TEST(BigEndian, IsMinimalAndPad32IsNot) {
    EXPECT_TRUE(big_endian(0).empty());
    EXPECT_EQ(big_endian(1), (Bytes{1}));
    EXPECT_EQ(big_endian(0x1234), (Bytes{0x12, 0x34}));
    EXPECT_EQ(hex(big_endian(UINT64_MAX)), "ffffffffffffffff");
    EXPECT_EQ(hex(pad32(1234)), "00000000000000000000000000000000000000000000000000000000000004d2");
}

}  // namespace
}  // namespace framegrid::crypto
