#include <framegrid/pay/recipient.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

using ::testing::HasSubstr;

class RecipientTest : public ::testing::Test {
  protected:
    TicketParams new_params() {
        return recipient_.params(market_.sender, market_.price, market_.funds, market_.chain).value();
    }
    Credited credit(const Payment& payment) {
        const auto checked = recipient_.check(payment);
        EXPECT_TRUE(checked) << checked.error().message;
        return checked ? recipient_.credit(*checked, market_.funds, market_.chain) : Credited{};
    }
    std::string check_error(const Payment& payment) {
        const auto checked = recipient_.check(payment);
        return checked ? "" : checked.error().message;
    }
    static std::string error(const Credited& credited) {
        return credited.error ? credited.error->message : "";
    }

    Market market_;
    Recipient recipient_ = market_.make_recipient({.redeem_gas = 10'000});
    TicketParams params_ = new_params();
};

// Protocol vector 17.
TEST_F(RecipientTest, FaceValueVectors) {
    Recipient recipient =
        market_.make_recipient({.ticket_ev = 5, .redeem_gas = 10'000, .average_gas_price = 1});
    market_.chain.pool_size = 1;
    const auto face = [&](std::uint64_t gas_price, Wei max_float) {
        market_.chain.gas_price = gas_price;
        return recipient.face_value({.reserve = max_float}, market_.chain);
    };
    EXPECT_EQ(face(100, ether(1)).value(), 100'000'000);
    EXPECT_EQ(face(777, ether(1)).value(), 777'000'000);
    EXPECT_EQ(face(1, 10'001).value(), 10'001);
    EXPECT_EQ(face(0, ether(1)).value(), 500);
    EXPECT_THAT(face(100, 4).error().message, HasSubstr("insufficient sender reserve"));
    // Less than redeeming costs now, and less than it usually costs.
    EXPECT_FALSE(face(100, 9'999));
    EXPECT_TRUE(face(100, 10'000));
}

TEST_F(RecipientTest, OperatorsCapFaceValues) {
    Recipient recipient = market_.make_recipient({.redeem_gas = 10'000, .face_value_max = ether(1) / 10});
    market_.chain.gas_price = 1'000'000'000'000;
    EXPECT_EQ(recipient.face_value(market_.funds, market_.chain).value(), ether(1) / 10);
}

TEST_F(RecipientTest, ParamsAreFreshAndWorthTheTicketValue) {
    const TicketParams other = new_params();
    EXPECT_NE(params_.seed, other.seed);
    EXPECT_NE(params_.recipient_rand_hash, other.recipient_rand_hash);
    EXPECT_EQ(params_.expiration_block, market_.chain.l1_block + 40);
    EXPECT_EQ(params_.creation, (CreationRound{10, kRoundHash}));
    EXPECT_GE(expected_value(params_), Money::wei(8'000'000'000));
    EXPECT_LT(expected_value(params_), Money::wei(8'000'000'001));
    const auto free = recipient_.params(market_.sender, {0, 1}, {}, market_.chain).value();
    EXPECT_EQ(free.face_value, 0);
    EXPECT_EQ(free.win_prob, 0);
}

TEST_F(RecipientTest, CreditsEveryTicketOfABatch) {
    const Credited credited = credit(market_.pay(params_, 5));
    EXPECT_EQ(error(credited), "");
    EXPECT_EQ(credited.tickets, 5U);
    EXPECT_EQ(credited.value, expected_value(params_) * 5);
    EXPECT_EQ(recipient_.stats().tickets_credited, 5U);
}

TEST_F(RecipientTest, WinningTicketsAreToldOnceWithAllThatALedgerNeeds) {
    market_.funds.reserve = 2 * 8'000'000'000U;
    market_.chain.gas_price = 0;
    params_ = new_params();
    ASSERT_EQ(params_.win_prob, kAlwaysWins);  // the reserve carries no more than a ticket's worth
    const Payment payment = market_.pay(params_, 2);
    const Credited first = credit(payment);
    ASSERT_EQ(first.winners.size(), 2U);
    EXPECT_EQ(first.winners[1].ticket, payment.tickets[1]);
    EXPECT_EQ(first.winners[1].hash, ticket_hash(params_, market_.sender, 2));
    EXPECT_EQ(recipient_rand_hash(first.winners[1].recipient_rand), params_.recipient_rand_hash);
    const Credited again = credit(payment);
    EXPECT_TRUE(again.winners.empty());
    EXPECT_EQ(again.tickets, 0U);
}

// The value of a draw depends on the signature, and a sender can make many of the same ticket.
TEST_F(RecipientTest, AWinnerRefusedForCreditIsStillTold) {
    market_.funds.reserve = 2 * 8'000'000'000U;
    market_.chain.gas_price = 0;
    params_ = new_params();
    const Payment payment = market_.pay(params_, 1);
    market_.chain.l1_block = params_.expiration_block;
    const Credited late = credit(payment);
    EXPECT_THAT(error(late), HasSubstr("TicketParams expired"));
    EXPECT_EQ(late.tickets, 0U);
    EXPECT_EQ(late.winners.size(), 1U);
    EXPECT_TRUE(credit(payment).winners.empty());
    // Long after, nobody keeps what was told: not told again either.
    market_.chain.l1_block = params_.expiration_block + 40;
    recipient_.sweep(market_.chain.l1_block);
    EXPECT_TRUE(credit(payment).winners.empty());
}

TEST_F(RecipientTest, ReplaysAreRefused) {
    const Payment payment = market_.pay(params_, 3);
    EXPECT_EQ(credit(payment).tickets, 3U);
    const Credited again = credit(payment);
    EXPECT_THAT(error(again), HasSubstr("already seen 3"));
    EXPECT_EQ(again.value, Money());
    // Within one payment, too: what came before is credited, nothing after.
    Payment twice = market_.pay(params_, 3, 4);
    twice.tickets[1] = twice.tickets[0];
    const Credited part = credit(twice);
    EXPECT_THAT(error(part), HasSubstr("already seen 4"));
    EXPECT_EQ(part.tickets, 1U);
}

TEST_F(RecipientTest, TakesAtMost600TicketsOfOneRecipientRand) {
    market_.chain.gas_price = 0;
    EXPECT_EQ(credit(market_.pay(params_, 600, 7)).tickets, 600U);
    const Credited more = credit(market_.pay(params_, 1, 607));
    EXPECT_THAT(error(more), HasSubstr("too many values"));
    EXPECT_EQ(more.error->disposition, Disposition::kRetry);
    EXPECT_EQ(more.tickets, 0U);
    EXPECT_EQ(credit(market_.pay(new_params(), 1)).tickets, 1U);
}

TEST_F(RecipientTest, OversizedPaymentsAreRefusedUnread) {
    Payment payment = market_.pay(params_, 1);
    payment.tickets.resize(601, payment.tickets[0]);
    const auto checked = recipient_.check(payment);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Errc::kTooLarge);
}

TEST_F(RecipientTest, ForgedSignaturesAreNotCredited) {
    Payment payment = market_.pay(params_, 3);
    payment.tickets[1].signature[5] ^= 1;
    const Credited forged = credit(payment);
    EXPECT_THAT(error(forged), HasSubstr("invalid ticket signature: ticket 2"));
    EXPECT_EQ(forged.tickets, 1U);
    // A signature of another ticket.
    payment = market_.pay(params_, 1, 10);
    payment.tickets[0].nonce = 11;
    EXPECT_THAT(error(credit(payment)), HasSubstr("invalid ticket signature"));
    // Somebody else's money.
    payment = sign({market_.sender, params_, 20, 1}, market_.price, market_.recipient_key);
    EXPECT_THAT(error(credit(payment)), HasSubstr("invalid ticket signature"));
    payment = market_.pay(params_, 1, 30);
    payment.tickets[0].signature[64] = 0;
    EXPECT_THAT(error(credit(payment)), HasSubstr("invalid ticket signature"));
}

TEST_F(RecipientTest, EveryEchoedValueIsProtected) {
    const auto changed = [&](auto change) {
        TicketParams params = params_;
        change(params);
        return check_error(market_.pay(params, 1));
    };
    const auto kForged = HasSubstr("invalid recipientRand");
    EXPECT_EQ(changed([](TicketParams&) {}), "");
    EXPECT_THAT(changed([](auto& p) { p.face_value += 1; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.win_prob -= 1; }), kForged);  // lower chances at the same price
    EXPECT_THAT(changed([](auto& p) { p.win_prob = 0; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.seed += 1; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.expiration_block += 1; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.creation.round += 1; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.creation.block_hash[0] ^= 1; }), kForged);
    EXPECT_THAT(changed([](auto& p) { p.recipient_rand_hash[0] ^= 1; }), kForged);
    // Params with a number that the sender knows, so that it knows who wins.
    EXPECT_THAT(
        changed([](auto& p) { p.recipient_rand_hash = recipient_rand_hash(crypto::pad32(1)); }), kForged
    );
    Payment cheap = market_.pay(params_, 1);
    cheap.expected_price = Price{1, 2};
    EXPECT_THAT(check_error(cheap), kForged);
    cheap.expected_price = Price{6, 4};  // the same price
    EXPECT_EQ(check_error(cheap), "");
}

TEST_F(RecipientTest, ParamsOfOthersAreRefused) {
    // Another orchestrator's.
    const auto other_key = key_of("other");
    Recipient other(other_key.address(), {}, market_.random);
    const auto foreign = other.params(market_.sender, market_.price, market_.funds, market_.chain).value();
    EXPECT_THAT(check_error(market_.pay(foreign, 1)), HasSubstr("invalid ticket recipient"));
    // Another sender's.
    const auto thief = key_of("thief");
    EXPECT_THAT(
        check_error(sign({thief.address(), params_, 1, 1}, market_.price, thief)),
        HasSubstr("invalid recipientRand")
    );
    // From before a restart.
    Recipient restarted = market_.make_recipient();
    EXPECT_FALSE(restarted.check(market_.pay(params_, 1)));
}

TEST_F(RecipientTest, TruncatedPaymentsAreRefused) {
    Payment payment = market_.pay(params_, 1);
    payment.sender = {};
    EXPECT_THAT(check_error(payment), HasSubstr("invalid ticket sender"));
    payment = market_.pay(params_, 1);
    payment.expected_price.reset();
    EXPECT_THAT(check_error(payment), HasSubstr("no expected price"));
    payment = market_.pay(params_, 1);
    payment.params.reset();
    EXPECT_THAT(check_error(payment), HasSubstr("no ticket params"));
    EXPECT_EQ(credit(market_.pay(params_, 0)).tickets, 0U);
}

TEST_F(RecipientTest, NothingIsCreditedThatCannotBeRedeemed) {
    const auto refused = [&](std::uint32_t nonce) { return error(credit(market_.pay(params_, 1, nonce))); };
    const Market before;
    market_.chain.round = 11;
    EXPECT_EQ(refused(1), "");
    market_.chain.round = 12;
    EXPECT_THAT(refused(2), HasSubstr("ticket is expired: it was made in round 10, now is 12"));
    market_.chain = before.chain;
    market_.chain.l1_block = params_.expiration_block - 1;
    EXPECT_EQ(refused(3), "");
    market_.chain.l1_block = params_.expiration_block;
    EXPECT_THAT(refused(4), HasSubstr("TicketParams expired"));
    market_.chain = before.chain;
    market_.chain.recipient_active = false;
    EXPECT_THAT(refused(5), HasSubstr("is inactive in round 10"));
    market_.chain = before.chain;
    market_.funds.withdraw_round = 11;
    EXPECT_THAT(refused(6), HasSubstr("is set to unlock soon"));
    market_.funds = before.funds;
    EXPECT_EQ(refused(7), "");
}

// The same deposit promised to many: each recipient's exposure ends at its share of what is left.
TEST_F(RecipientTest, FaceValuesAboveTheFloatThatIsLeftAreRefused) {
    EXPECT_EQ(credit(market_.pay(params_, 1)).tickets, 1U);
    market_.funds.deposit = 0;
    market_.funds.reserve = 2 * params_.face_value - 2;
    const Credited refused = credit(market_.pay(params_, 1, 2));
    EXPECT_THAT(error(refused), HasSubstr("> max float"));
    market_.funds.reserve = 2 * params_.face_value;
    EXPECT_EQ(credit(market_.pay(params_, 1, 3)).tickets, 1U);
    market_.funds.pending = 1;
    EXPECT_THAT(error(credit(market_.pay(params_, 1, 4))), HasSubstr("> max float"));
}

TEST_F(RecipientTest, NoncesAreForgottenWhenTheirParamsCannotBeUsed) {
    const Payment payment = market_.pay(params_, 2);
    ASSERT_EQ(credit(payment).tickets, 2U);
    ASSERT_TRUE(credit(payment).winners.empty());
    EXPECT_EQ(recipient_.stats().rands, 1U);
    recipient_.sweep(params_.expiration_block - 1);
    EXPECT_EQ(recipient_.stats().rands, 1U);
    recipient_.sweep(params_.expiration_block);
    EXPECT_EQ(recipient_.stats().rands, 0U);
    // A block that goes back does not bring a replay through.
    EXPECT_THAT(error(credit(payment)), HasSubstr("TicketParams expired"));
    EXPECT_EQ(recipient_.stats().rands, 0U);
    EXPECT_EQ(credit(market_.pay(new_params(), 1)).tickets, 1U);
}

TEST_F(RecipientTest, ParamsThatHaveWonAreRememberedForASecondLifetime) {
    Market market;
    market.chain.gas_price = 0;
    Recipient recipient = market.make_recipient({.ticket_ev = 1'000, .face_value_max = 1'000});
    const auto params = recipient.params(market.sender, market.price, market.funds, market.chain).value();
    ASSERT_EQ(params.win_prob, kAlwaysWins);
    const auto take = [&](std::uint32_t nonce) {
        return recipient.credit(
            recipient.check(market.pay(params, 1, nonce)).value(), market.funds, market.chain
        );
    };
    EXPECT_EQ(take(1).winners.size(), 1U);
    recipient.sweep(params.expiration_block + 39);
    EXPECT_EQ(recipient.stats().rands, 1U);
    EXPECT_TRUE(take(1).winners.empty()) << "told once";
    EXPECT_EQ(take(2).winners.size(), 1U) << "late, but won";
    recipient.sweep(params.expiration_block + 40);
    EXPECT_EQ(recipient.stats().rands, 0U);
    EXPECT_TRUE(take(3).winners.empty());
}

TEST_F(RecipientTest, TablesHaveLimits) {
    Recipient recipient = market_.make_recipient({.rands_max = 3, .rands_per_sender_max = 2});
    const auto pay_new = [&](const crypto::PrivateKey& key) {
        const auto params =
            recipient.params(key.address(), market_.price, market_.funds, market_.chain).value();
        const auto checked = recipient.check(sign({key.address(), params, 1, 1}, market_.price, key)).value();
        return recipient.credit(checked, market_.funds, market_.chain);
    };
    EXPECT_EQ(pay_new(market_.key).tickets, 1U);
    EXPECT_EQ(pay_new(market_.key).tickets, 1U);
    EXPECT_EQ(pay_new(market_.key).error->code, Errc::kCapacity);
    EXPECT_EQ(pay_new(key_of("b")).tickets, 1U);
    EXPECT_EQ(pay_new(key_of("c")).error->code, Errc::kCapacity);
    // Room is made as soon as there is something to forget.
    market_.chain.l1_block += 40;
    EXPECT_EQ(pay_new(market_.key).tickets, 1U);
    EXPECT_EQ(recipient.stats().rands, 1U);
}

TEST_F(RecipientTest, WhatHasWonIsToldWithoutRoomForIt) {
    market_.chain.gas_price = 0;
    Recipient recipient = market_.make_recipient(
        {.ticket_ev = 1'000, .face_value_max = 1'000, .rands_max = 1, .nonces_total_max = 3}
    );
    const auto params = [&] {
        return recipient.params(market_.sender, market_.price, market_.funds, market_.chain).value();
    };
    const auto take = [&](const Payment& payment) {
        return recipient.credit(recipient.check(payment).value(), market_.funds, market_.chain);
    };
    const auto first = params();
    EXPECT_EQ(take(market_.pay(first, 2)).tickets, 2U);
    Payment twice = market_.pay(params(), 2);
    twice.tickets.push_back(twice.tickets.front());
    const auto full = take(twice);
    EXPECT_EQ(full.error->code, Errc::kCapacity);
    EXPECT_EQ(full.tickets, 0U);
    EXPECT_EQ(full.winners.size(), 2U) << "each once";
    const auto more = take(market_.pay(first, 2, 3));
    EXPECT_EQ(more.error->code, Errc::kCapacity) << "the fourth number of all";
    EXPECT_EQ(more.tickets, 1U);
    EXPECT_EQ(more.winners.size(), 2U);
}

TEST_F(RecipientTest, ABusySenderGetsNewParamsForEverySegment) {
    Recipient recipient = market_.make_recipient();
    for (int i = 0; i < 3'000; ++i) {
        auto params = recipient.params(market_.sender, market_.price, market_.funds, market_.chain).value();
        CheckedPayment payment{market_.sender, params, market_.price, {}, {}};
        payment.tickets.push_back({{1, {}}, {}, true, false});
        ASSERT_EQ(recipient.credit(payment, market_.funds, market_.chain).tickets, 1U) << i;
    }
    const RecipientSettings settings;
    EXPECT_GT(settings.rands_per_sender_max, settings.rands_max / 2) << "one sender may use most";
}

}  // namespace

}  // namespace framegrid::pay
