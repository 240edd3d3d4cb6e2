#include <framegrid/crypto/segment_signature.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace framegrid::crypto {
namespace {

const std::vector<std::string> kProfiles{"P144p30fps16x9", "P240p30fps16x9"};

PrivateKey cow_key() {
    return PrivateKey::from_bytes(keccak256(as_bytes("cow"))).value();
}

Hash32 browns() {
    Hash32 hash{};
    std::ranges::copy(std::string_view("browns"), hash.begin());
    return hash;
}

TEST(SegmentSignature, Vector12) {
    EXPECT_EQ(flatten_segment("abcdef", 1234, browns(), kProfiles).size(), 86U);
    EXPECT_EQ(
        hex(segment_message("abcdef", 1234, browns(), kProfiles)),
        "08a398e7e7a5a545b0b07d9e7e1eab52b4131e0df1621bd53ee6e7550a15465b"
    );
}

TEST(SegmentSignature, Vector13) {
    const auto signature = cow_key().sign_message(segment_message("abcdef", 1234, browns(), kProfiles));
    EXPECT_EQ(
        hex(signature),
        "0354ef09062347230266d23d52f162ad48c5b3358633d099b91db0ec37470023"
        "149e91d6304f22479b64412df50204d49a7c85fe8ed0842cd735dffc359607021b"
    );
}

TEST(SegmentSignature, Vector14) {
    const auto key = cow_key();
    const auto message = info_request_message(key.address());
    EXPECT_EQ(hex(message), "82d1147967d4d1aaa24c01b1779610c15a91166e2f2730b1d4144c99f9707abc");
    Bytes personal = to_bytes(
        "\x19"
        "Ethereum Signed Message:\n32"
    );
    personal.insert(personal.end(), message.begin(), message.end());
    EXPECT_EQ(hex(keccak256(personal)), "27a0a275fb777717da85de66751d1ea8fa5962c9b194576cb45e0e7323815b08");
    EXPECT_EQ(
        hex(key.sign_message(message)),
        "5a009179833daf1444e496868513e85f7cd103e5bf49890f48d424bfed19ec38"
        "4a45c8fa952772ad92273232504ee7346d105aaddb226be788ed80ec70458ccb1b"
    );
}

TEST(SegmentSignature, Vector15) {
    EXPECT_EQ(
        hex(segment_message("27_stabilityai/sdxl-turbo", 0, keccak256({}), {})),
        "2c573d58a1d9cf460f70d6a90dede7cc9b16dd000b66c184eda70c70d1583f85"
    );
}

TEST(SegmentSignature, Vector21) {
    Bytes secret(32);
    std::iota(secret.begin(), secret.end(), 0);
    EXPECT_EQ(
        hex(auth_token(secret, "f1405ced", 1'700'000'000)),
        "d3f400be67f7a713a37b0e77894867669282c317283c3f258ea528e52011804d"
    );
}

TEST(SegmentSignature, TranscodeMessageHashesTheHashes) {
    const Hash32 a = keccak256(as_bytes("one"));
    const Hash32 b = keccak256(as_bytes("two"));
    Bytes both(a.begin(), a.end());
    both.insert(both.end(), b.begin(), b.end());
    EXPECT_EQ(transcode_message({a, b}), keccak256(both));
    EXPECT_NE(transcode_message({a, b}), transcode_message({b, a}));
    EXPECT_EQ(transcode_message({}), keccak256({}));
}

}  // namespace
}  // namespace framegrid::crypto
