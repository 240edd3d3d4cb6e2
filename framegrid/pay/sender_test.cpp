#include <framegrid/pay/sender.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/pay/purse.hpp>
#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

using ::testing::HasSubstr;

class SenderTest : public ::testing::Test {
  protected:
    std::string refusal(std::uint32_t count = 1) {
        const auto valid = sender_.validate(params_, count, market_.funds, market_.chain);
        return valid ? "" : valid.error().message;
    }

    Market market_;
    Recipient recipient_ = market_.make_recipient();
    TicketParams params_ =
        recipient_.params(market_.sender, market_.price, market_.funds, market_.chain).value();
    Sender sender_{market_.sender};
};

TEST_F(SenderTest, AcceptsWhatARecipientOffers) {
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(Sender::session_id(params_), crypto::hex(params_.recipient_rand_hash));
}

TEST_F(SenderTest, RefusesParamsAsTheTableSays) {
    const TicketParams good = params_;
    params_.expiration_block = 0;
    EXPECT_THAT(refusal(), HasSubstr("expiration block is 0"));
    params_.expiration_block = market_.chain.l1_block + 1;
    EXPECT_THAT(refusal(), HasSubstr("TicketParams expired"));
    params_ = good;
    params_.win_prob = kAlwaysWins;
    EXPECT_THAT(refusal(), HasSubstr("ticket faceValue too low"));
    params_.win_prob = kAlwaysWins / 2;
    EXPECT_THAT(refusal(), HasSubstr("> max ticket EV"));
    params_ = good;
    EXPECT_THAT(refusal(2501), HasSubstr("total ticket EV"));
    EXPECT_EQ(refusal(2499), "");
    market_.funds.deposit = params_.face_value - 1;
    EXPECT_THAT(refusal(), HasSubstr("> max faceValue"));
    market_.funds.deposit = 0;
    EXPECT_EQ(refusal(), "no sender deposit: fund it before buying work");
    market_.funds.reserve = 0;
    EXPECT_EQ(refusal(), "no sender reserve: fund it before buying work");
    market_.funds.withdraw_round = 11;
    EXPECT_THAT(refusal(), HasSubstr("set to unlock soon"));
    // Whoever wants no tickets is not asked for anything.
    params_.face_value = 0;
    params_.win_prob = 0;
    EXPECT_EQ(refusal(), "");
}

// The recipient's fault, and nobody else's, suspends it.
TEST_F(SenderTest, OnlyBadParamsPenalizeThePeer) {
    params_.win_prob = kAlwaysWins;
    EXPECT_EQ(
        sender_.validate(params_, 1, market_.funds, market_.chain).error().disposition,
        Disposition::kPenalizePeer
    );
    params_.win_prob = 1;
    EXPECT_NE(
        sender_.validate(params_, 1, {}, market_.chain).error().disposition, Disposition::kPenalizePeer
    );
}

TEST_F(SenderTest, NumbersTicketsOnceAndFromOne) {
    const auto first = sender_.take(params_, 2, market_.funds, market_.chain).value();
    EXPECT_EQ(first.first_nonce, 1U);
    const auto second = sender_.take(params_, 3, market_.funds, market_.chain).value();
    EXPECT_EQ(second.first_nonce, 3U);
    EXPECT_EQ(sender_.tickets_left(params_), 595U);
    const Payment payment = sign(second, market_.price, market_.key);
    ASSERT_EQ(payment.tickets.size(), 3U);
    EXPECT_EQ(payment.tickets[2].nonce, 5U);
    EXPECT_TRUE(crypto::verify_message(
        market_.sender, ticket_hash(params_, market_.sender, 5), payment.tickets[2].signature
    ));
    const auto none = sender_.take(params_, 0, market_.funds, market_.chain).value();
    EXPECT_TRUE(sign(none, market_.price, market_.key).tickets.empty());
}

TEST_F(SenderTest, AsksForNewParamsAfter600Tickets) {
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(sender_.take(params_, 100, market_.funds, market_.chain));
    }
    const auto refused = sender_.take(params_, 1, market_.funds, market_.chain);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("used up, 600 of 600 tickets"));
    EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
    EXPECT_FALSE(sender_.take(params_, 101, market_.funds, market_.chain));
}

TEST_F(SenderTest, OtherValuesUnderAKnownHashAreRefused) {
    ASSERT_TRUE(sender_.take(params_, 1, market_.funds, market_.chain));
    params_.face_value -= 1;
    const auto refused = sender_.take(params_, 1, market_.funds, market_.chain);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kProtocol);
}

TEST_F(SenderTest, ForgetsExpiredSessionsAndBoundsTheRest) {
    Sender sender(market_.sender, {.sessions_max = 1});
    ASSERT_TRUE(sender.take(params_, 1, market_.funds, market_.chain));
    TicketParams other = params_;
    other.recipient_rand_hash[0] ^= 1;
    other.expiration_block += 10;
    EXPECT_EQ(sender.take(other, 1, market_.funds, market_.chain).error().code, Errc::kCapacity);
    market_.chain.l1_block = params_.expiration_block;
    EXPECT_TRUE(sender.take(other, 1, market_.funds, market_.chain));
    EXPECT_EQ(sender.sessions(), 1U);
}

// Protocol vector 25.
TEST(Purse, TicketsNeededVectors) {
    const auto needed = [](Money existing, std::uint64_t fee) {
        return static_cast<int>(tickets_needed(existing, Money::wei(fee), Money::wei(1)));
    };
    EXPECT_EQ(needed(Money::wei(1), 5), 4);
    EXPECT_EQ(needed(Money::fraction(1, 4), 2), 2);
    EXPECT_EQ(needed(Money() - Money::wei(5), 2), 7);
    EXPECT_EQ(needed(Money::wei(2), 2), 0);
    EXPECT_EQ(needed(Money(), 0), 1);  // one ticket's worth must always be there
    EXPECT_EQ(tickets_needed({}, Money::wei(5), {}), 0);
}

TEST(Purse, KeepsTheChange) {
    Purse purse;
    const BalanceKey key{{1}, "session"};
    const TicketParams params{.face_value = 3, .win_prob = kAlwaysWins};
    const auto balance = [&] { return purse.balances().balance(key); };

    auto bought = purse.plan(key, params, Money::wei(7), 100, {}).value();
    EXPECT_EQ(bought.tickets, 3U);
    purse.settle(bought, Money::fraction(13, 2), Outcome::kAnswered, {});
    EXPECT_EQ(balance(), Money::fraction(5, 2));

    bought = purse.plan(key, params, Money::wei(4), 100, {}).value();
    EXPECT_EQ(bought.tickets, 1U);
    EXPECT_EQ(balance(), Money::fraction(3, 2));  // what the ticket leaves to pay is nobody else's
    purse.settle(bought, {}, Outcome::kNotSent, {});
    EXPECT_EQ(balance(), Money::fraction(5, 2));

    bought = purse.plan(key, params, Money::wei(4), 100, {}).value();
    purse.settle(bought, {}, Outcome::kNoAnswer, {});
    EXPECT_EQ(balance(), Money::fraction(3, 2));

    EXPECT_EQ(purse.plan(key, params, Money::wei(1000), 100, {}).error().code, Errc::kForbidden);
    EXPECT_EQ(purse.plan(key, {}, Money::wei(1000), 100, {})->tickets, 0U);
}

}  // namespace

}  // namespace framegrid::pay
