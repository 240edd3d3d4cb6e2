#include <framegrid/pay/ticket.hpp>

#include <gtest/gtest.h>

#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

std::string hash_text(const TicketParams& params, std::uint32_t nonce, const Address& sender = {}) {
    return crypto::hex(ticket_hash(params, sender, nonce));
}

// Protocol vectors 1 to 7; settlement vectors 7.1.
TEST(Ticket, HashVectors) {
    EXPECT_EQ(hash_text({}, 4294967295), "e1393fc7f6de093780674022f96cb8e3872235167d037c04d554e58c0e63d280");
    EXPECT_EQ(hash_text({}, 1), "ce0918ba94518293e9712effbe5fca4f1f431089833a5b8c257cb1e024595f68");
    EXPECT_EQ(
        hash_text({.face_value = 1, .win_prob = 500}, 0),
        "87ef13f2d37e4d5352a01d3c77b8179d80e0887f1953bfabfd0bfd7b0f689ddd"
    );
    EXPECT_EQ(
        hash_text({.face_value = 500, .win_prob = 1}, 0),
        "aa4b35071043587992ac8b9dd1b2cf1d8311130e6458cf0b2342484e21af5f5b"
    );
    const auto recipient = crypto::parse_address("73AEd7b5dEb30222fa896f399d46cC99c7BEe57F").value();
    EXPECT_EQ(
        hash_text({.recipient = recipient}, 0),
        "81e353ae39046e2b77b9f996abbaeed527fda559b61ef90f299c4499dd508ccc"
    );
    EXPECT_EQ(
        hash_text({.recipient_rand_hash = kRoundHash}, 0),
        "be5eaf9a49a39540b9bb02f1a21904f61324a29819e2c032824bfaa10c100b17"
    );
    EXPECT_EQ(
        hash_text({.creation = {10, kRoundHash}}, 0),
        "e502907c16036ab3d11b78c5a2e93c20f3d6415c67f91de4ed01348182b3b2e2"
    );
}

// Protocol vector 8.
TEST(Ticket, AuxData) {
    EXPECT_TRUE(aux_data({}).empty());
    EXPECT_EQ(crypto::hex(aux_data({5, {}})), std::string(63, '0') + "5" + std::string(64, '0'));
    EXPECT_EQ(crypto::hex(aux_data({0, kRoundHash})), std::string(64, '0') + crypto::hex(kRoundHash));
}

TEST(Ticket, NumbersAsBytes) {
    EXPECT_TRUE(minimal_bytes(0).empty());
    EXPECT_EQ(crypto::hex(minimal_bytes(0x0102)), "0102");
    EXPECT_EQ(crypto::hex(pad32(Uint256(1) << 64)), std::string(46, '0') + "01" + std::string(16, '0'));
    EXPECT_EQ(minimal_bytes(kAlwaysWins), Bytes(32, 0xff));
    EXPECT_EQ(from_bytes(Bytes(32, 0xff)), kAlwaysWins);
    EXPECT_EQ(from_bytes(Bytes(33, 0)), std::nullopt);
    EXPECT_EQ(from_bytes({}), Uint256(0));
}

// Protocol vectors 9 and 10.
TEST(Ticket, SignatureVectors) {
    const Hash32 message = hash_of("b7da355477356fc4c47fcabcf232dc77a6db9b07b7e48b76261cc55cc8fbabb3");
    const auto signer = crypto::parse_address("0x3BadDb1eeE2105893136A3F96c8a963E9C6309d6").value();
    const auto good = crypto::parse_hex(
        "206443228e8f784bc3a122de0d85eb3ebff82d6a79cca26c7eeb907099a6404f6dff57bc6828f28bd6cd073c89d94cf33642"
        "04"
        "679ed8365fa45b5ee6af19a9841c"
    );
    EXPECT_TRUE(crypto::verify_message(signer, message, *good));
    const auto high = crypto::parse_hex(
        "e742ff452d41413616a5bf43fe15dd88294e983d3d36206c2712f39083d638bde0a0fc89be718fbc1033e1d30d78be1c6808"
        "15"
        "62ed2e97af876f286f3453231d1b"
    );
    EXPECT_FALSE(crypto::verify_message(signer, message, *high));
}

// Protocol vector 16.
TEST(Ticket, WinProbVectors) {
    EXPECT_EQ(
        win_prob_for(5, 100'000'000).str(),
        "5789604461865809771178549250434395392663499233282028201972879200395660"
    );
    EXPECT_EQ(
        win_prob_for(5, 777'000'000).str(),
        "745122839364969082519761808292714979750772102095499125093034646125570"
    );
    EXPECT_EQ(
        win_prob_for(5, 10'001).str(),
        "57890255593098787833002192285115442382396752657554526567072084795477017120"
    );
    EXPECT_EQ(win_prob_for(0, 0), 0);
    EXPECT_EQ(win_prob_for(5, 5), kAlwaysWins);
    EXPECT_GE(expected_value({.face_value = 10'001, .win_prob = win_prob_for(5, 10'001)}), Money::wei(5));
}

// Protocol vectors 18 and 19.
TEST(Ticket, WholeTicketOfTheProtocol) {
    const auto key = key_of("cow");
    ASSERT_EQ(crypto::checksum_address(key.address()), "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
    Hash32 secret{};
    secret[0] = 3;
    TicketParams params{
        .recipient = crypto::parse_address("73AEd7b5dEb30222fa896f399d46cC99c7BEe57F").value(),
        .face_value = 100'000'000,
        .win_prob = win_prob_for(5, 100'000'000),
        .seed = number_of("66a80b61b29ec044d14c4c8c613e762ba1fb8eeb0c454d1ee00ed6dedaa5b5c5"),
        .expiration_block = 41,
        .creation = {10, kRoundHash}
    };
    const Hash32 rand = recipient_rand(secret, params, key.address(), {1, 1});
    EXPECT_EQ(crypto::hex(rand), "7883e98da1775953ea76a6a7d6f31dfec8aebefeef26a7a95f31c11b1a170250");
    params.recipient_rand_hash = recipient_rand_hash(rand);
    EXPECT_EQ(
        crypto::hex(params.recipient_rand_hash),
        "6f0d74a2b5f9e5aaf2538c327c096f5d6adfd30ba34b01aa2e8ee21e1294e1fb"
    );
    // The price counts in lowest terms.
    EXPECT_EQ(recipient_rand(secret, params, key.address(), {6, 6}), rand);
    const Hash32 hash = ticket_hash(params, key.address(), 1);
    EXPECT_EQ(crypto::hex(hash), "646ac5e100d99957689a74a967039998341b5ed5107236388dcf5a7f96e31e4c");
    const auto signature = key.sign_message(hash);
    EXPECT_EQ(
        crypto::hex(signature),
        "f1a7ab9d7cf011caf941cae24640d9fb8c7e19dbee457129d0b621291001b1272e6d016fbd30ba7d8abd"
        "26b0a452f3b43ee10ce2ed0c19b5c31952965a9e5c4e1c"
    );
    const Uint256 draw = number_of("5e10c35cb84d5c7930b7192c0f8fb982bffb6317564e7c9c2e0327782c4f11c4");
    EXPECT_FALSE(wins(signature, rand, params.win_prob));
    EXPECT_FALSE(wins(signature, rand, draw));
    EXPECT_TRUE(wins(signature, rand, draw + 1));
}

// Protocol vector 20.
TEST(Ticket, DrawVector) {
    const Hash32 rand = crypto::pad32(10);
    const Uint256 draw = number_of("212117bf5ec66d480ab4d362ce2f1ae19d6b5df92c5f8633bcecf62bfaea6810");
    EXPECT_FALSE(wins(as_bytes("foo"), rand, 0));
    EXPECT_FALSE(wins(as_bytes("foo"), rand, draw));
    EXPECT_TRUE(wins(as_bytes("foo"), rand, draw + 1));
    EXPECT_TRUE(wins(as_bytes("foo"), rand, kAlwaysWins));
}

// Settlement vectors 7.2.
TEST(Ticket, WholeTicketsOfTheLedger) {
    // The first account of the well-known development mnemonic; never use it for money.
    const auto key =
        crypto::PrivateKey::from_bytes(
            crypto::parse_hex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").value()
        )
            .value();
    ASSERT_EQ(crypto::checksum_address(key.address()), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    const Hash32 rand = hash_of("0d76ab965f304d145e41a6ac44355873861cd9a2b3d0a5b259765d4b205c329e");
    const TicketParams params{
        .recipient = crypto::parse_address("70997970C51812dc3A010C7d01b50e0d17dc79C8").value(),
        .face_value = ether(1) / 10,
        .win_prob = kAlwaysWins / 10,
        .recipient_rand_hash = recipient_rand_hash(rand),
        .creation = {3000, kRoundHash}
    };
    EXPECT_EQ(
        crypto::hex(params.recipient_rand_hash),
        "8f35cfb2d9290646dfc24c7179b1e3a9a8da30b37a9db0daad03f76ea71f33fc"
    );
    const auto sign_nonce = [&](std::uint32_t nonce) {
        return key.sign_message(ticket_hash(params, key.address(), nonce));
    };
    EXPECT_EQ(
        hash_text(params, 1, key.address()),
        "b0ed571cad3db2a55855cbf40b52fc1a0f0cc63f8c56275c7c29ac4563c0aa12"
    );
    EXPECT_EQ(
        crypto::hex(sign_nonce(1)),
        "8c847d74f05305a034cd58573cde8cc6119874be8af57f7f360fbade8e6cdd931f663919a61e0f9d"
        "9a2dc06d044fa478bcdd621497dce52ead01be484d70c5931c"
    );
    Bytes signed_text = to_bytes(
        "\x19"
        "Ethereum Signed Message:\n32"
    );
    const Hash32 first = ticket_hash(params, key.address(), 1);
    signed_text.insert(signed_text.end(), first.begin(), first.end());
    EXPECT_EQ(
        crypto::keccak256(signed_text),
        hash_of("3372e103f653695bee47872ca2741280003aef967aadced4c1ae91ce0b48b19d")
    );
    const Uint256 draw = number_of("c92cf855aa01dbbd03205555d65014b0abcf1fce8499e504fdcdb05891ce97c1");
    EXPECT_FALSE(wins(sign_nonce(1), rand, draw));
    EXPECT_TRUE(wins(sign_nonce(1), rand, draw + 1));
    for (std::uint32_t nonce = 1; nonce < 8; ++nonce) {
        EXPECT_FALSE(wins(sign_nonce(nonce), rand, params.win_prob)) << nonce;
    }
    EXPECT_EQ(
        hash_text(params, 8, key.address()),
        "efee21be4615f5a4d55f7fdbfa134087513d3d265dd1cf6c94b727ff060df4a3"
    );
    EXPECT_EQ(
        crypto::hex(sign_nonce(8)),
        "9cf92758a976b31af19e8de6ae41d0b95eaf2c696ff1745c1e680d248a45626b4bb637627599d9b9"
        "596573c9a27676c09b8e7e6b4af061839b77a81dd28c34291b"
    );
    const Uint256 second = number_of("0445f4763172cf04d4c9652939f6df473e9b3bd689915e939691b982014ca2d3");
    EXPECT_FALSE(wins(sign_nonce(8), rand, second));
    EXPECT_TRUE(wins(sign_nonce(8), rand, second + 1));
    EXPECT_TRUE(wins(sign_nonce(8), rand, params.win_prob));
}

TEST(Ticket, RecipientRandVectorOfTheLedger) {
    Hash32 secret{};
    for (std::size_t i = 0; i < secret.size(); ++i) {
        secret[i] = static_cast<std::uint8_t>(i);
    }
    const TicketParams params{
        .face_value = 1000,
        .win_prob = kAlwaysWins / 2,
        .seed = 1'234'567'890,
        .expiration_block = 1040,
        .creation = {10, kRoundHash}
    };
    const auto sender = crypto::parse_address("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266").value();
    const Hash32 rand = recipient_rand(secret, params, sender, {3, 2});
    EXPECT_EQ(crypto::hex(rand), "f71dd319d6aa8eab043e78c0560229108f8c4e47d05838e4a75758406ff893d8");
    EXPECT_EQ(
        crypto::hex(recipient_rand_hash(rand)),
        "b2daaf7e10ad18f80616e574b3fd91b63ddd455fbd3960ae316025ad2eb38e14"
    );
}

}  // namespace

}  // namespace framegrid::pay
