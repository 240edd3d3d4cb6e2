#include <framegrid/wire/payment_header.hpp>

#include <gtest/gtest.h>

#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::wire {

namespace {

struct TicketHeader : ::testing::Test {
    pay::Market market;
    pay::Recipient recipient = market.make_recipient();
    pay::TicketParams params =
        recipient.params(market.sender, market.price, market.funds, market.chain).value();

    net::Payment message() {
        net::Payment out;
        const auto header = encode_payment(market.pay(params, 2));
        EXPECT_TRUE(out.ParseFromString(std::string(as_text(crypto::parse_base64(header).value()))));
        return out;
    }
    static Result<pay::Payment> read(const net::Payment& message) {
        return decode_payment(crypto::base64(as_bytes(message.SerializeAsString())));
    }
};

TEST_F(TicketHeader, CarriesTicketsAndTheirRoundBesideTheParams) {
    const pay::Payment payment = market.pay(params, 3);
    EXPECT_EQ(decode_payment(encode_payment(payment)).value(), payment);
    EXPECT_TRUE(recipient.check(decode_payment(encode_payment(payment)).value()));
    EXPECT_FALSE(message().ticket_params().has_expiration_params());
    EXPECT_EQ(message().expiration_params().creation_round(), 10);
    EXPECT_EQ(from_proto(to_proto(params)).value(), params);
}

TEST_F(TicketHeader, AnEmptyOneIsAnEmptyPayment) {
    EXPECT_EQ(decode_payment("").value(), pay::Payment{});
    const auto free = decode_payment(encode_payment({market.sender, {}, {}, {}})).value();
    EXPECT_EQ(free.sender, market.sender);
    EXPECT_EQ(free.expected_price, (Price{0, 1}));
}

TEST_F(TicketHeader, WhatIsMissingOrMisshapenIsNamed) {
    const auto field = [&](auto change) {
        auto changed = message();
        change(changed);
        const auto payment = read(changed);
        return payment ? "" : payment.error().field;
    };
    EXPECT_EQ(field([](auto&) {}), "");
    EXPECT_EQ(field([](auto& m) { m.clear_sender(); }), "sender");
    EXPECT_EQ(field([](auto& m) { m.set_sender("short"); }), "sender");
    EXPECT_EQ(field([](auto& m) { m.clear_ticket_params(); }), "ticket_params");
    EXPECT_EQ(field([](auto& m) { m.clear_expiration_params(); }), "expiration_params");
    EXPECT_EQ(field([](auto& m) { m.clear_expected_price(); }), "expected_price");
    EXPECT_EQ(field([](auto& m) { m.mutable_expected_price()->set_pixelsperunit(0); }), "expected_price");
    EXPECT_EQ(field([](auto& m) { m.mutable_expected_price()->set_priceperunit(-1); }), "expected_price");
    EXPECT_EQ(field([](auto& m) { m.mutable_ticket_params()->set_recipient("short"); }), "recipient");
    EXPECT_EQ(
        field([](auto& m) { m.mutable_ticket_params()->set_face_value(std::string(33, '\1')); }), "face_value"
    );
    EXPECT_EQ(
        field([](auto& m) { m.mutable_ticket_params()->set_expiration_block(std::string(9, '\1')); }),
        "expiration_block"
    );
    EXPECT_EQ(
        field([](auto& m) { m.mutable_ticket_params()->set_recipient_rand_hash(""); }), "recipient_rand_hash"
    );
    EXPECT_EQ(
        field([](auto& m) { m.mutable_expiration_params()->set_creation_round(-1); }), "creation_round"
    );
    EXPECT_EQ(
        field([](auto& m) { m.mutable_expiration_params()->set_creation_round_block_hash("x"); }),
        "creation_round_block_hash"
    );
    EXPECT_EQ(
        field([](auto& m) { m.mutable_ticket_sender_params(1)->mutable_sig()->resize(64); }),
        "ticket_sender_params.sig"
    );
    EXPECT_EQ(
        field([](auto& m) {
            while (m.ticket_sender_params_size() <= 600) {
                m.add_ticket_sender_params();
            }
        }),
        "ticket_sender_params"
    );
    EXPECT_EQ(decode_payment(std::string(65 * 1024, 'A')).error().code, Errc::kTooLarge);
    EXPECT_FALSE(decode_payment("%%%%"));
    const std::string whole = encode_payment(market.pay(params, 1));
    for (std::size_t size = 4; size < whole.size(); size += 4) {
        const auto cut = decode_payment(whole.substr(0, size));
        EXPECT_TRUE(!cut || cut->tickets.empty()) << size;
    }
}

// A message of HTTP has at most 64 KiB of headers, at either end.
TEST(PaymentHeader, TheMostTicketsLeaveRoomForTheOtherHeaders) {
    pay::Payment payment;
    payment.sender.fill(1);
    auto& params = payment.params.emplace();
    params.recipient.fill(2);
    params.face_value = std::numeric_limits<Wei>::max();
    params.win_prob = std::numeric_limits<Uint256>::max();
    params.seed = std::numeric_limits<Uint256>::max();
    params.expiration_block = std::numeric_limits<std::uint64_t>::max();
    params.creation.round = std::numeric_limits<std::int64_t>::max();
    params.creation.block_hash.fill(3);
    payment.expected_price =
        Price{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()};
    for (std::uint32_t nonce = 1; nonce <= 600; ++nonce) {
        payment.tickets.push_back({nonce, {}});
    }
    const auto text = encode_payment(payment);
    EXPECT_LE(text.size(), 58'000U) << "7 KiB are for the segment's header and the rest";
    const auto back = decode_payment(text);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->tickets.size(), 600U);
}

}  // namespace

}  // namespace framegrid::wire
