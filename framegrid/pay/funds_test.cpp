#include <framegrid/pay/funds.hpp>

#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include <framegrid/pay/ledger.hpp>
#include <framegrid/pay/redemption.hpp>
#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

TEST(Funds, MaxFloatIsOurShareLessWhatIsOwed) {
    SenderFunds funds{.deposit = 0, .reserve = 900, .reserve_claimed = 100, .claimed_by_us = 50};
    EXPECT_EQ(max_float(funds, 4), 200);
    funds.pending = 60;
    EXPECT_EQ(max_float(funds, 4), 140);
    funds.deposit = 179;  // not quite three times what is pending
    EXPECT_EQ(max_float(funds, 4), 140);
    funds.deposit = 180;
    EXPECT_EQ(max_float(funds, 4), 200);
    EXPECT_EQ(max_float(funds, 0), 0);
    // The pool grew after claims: nothing is left, and nothing wraps.
    EXPECT_EQ(max_float(funds, 1000), 0);
    funds = {.reserve = kAlwaysWins, .reserve_claimed = kAlwaysWins};
    EXPECT_EQ(max_float(funds, 1), kAlwaysWins);
}

// Settlement 7.3: two recipients, deposit 0.7, reserve 1; tickets of 1 pay 1.0, then 0.2, then 0.5 to the
// other.
TEST(Funds, PayoutVector) {
    const Wei tenth = ether(1) / 10;
    const ChainState chain{.pool_size = 2};
    SenderFunds funds{.deposit = 7 * tenth, .reserve = 10 * tenth};
    const Payout first = payout(ether(1), funds, chain);
    EXPECT_EQ(first.from_deposit, 7 * tenth);
    EXPECT_EQ(first.from_reserve, 3 * tenth);
    funds = {.reserve = 7 * tenth, .reserve_claimed = 3 * tenth, .claimed_by_us = 3 * tenth};
    EXPECT_EQ(claimable_reserve(funds, 2), 2 * tenth);
    EXPECT_EQ(payout(ether(1), funds, chain).total(), 2 * tenth);
    funds = {.reserve = 5 * tenth, .reserve_claimed = 5 * tenth};
    EXPECT_EQ(payout(ether(1), funds, chain).total(), 5 * tenth);
    EXPECT_EQ(payout(ether(1), funds, {.pool_size = 2, .recipient_active = false}).total(), 0);
}

TEST(Funds, UnlockingSendersAreRefused) {
    ChainState chain{.round = 10};
    EXPECT_TRUE(check_locked({.withdraw_round = 0}, chain, {}));
    EXPECT_TRUE(check_locked({.withdraw_round = 12}, chain, {}));
    EXPECT_FALSE(check_locked({.withdraw_round = 11}, chain, {}));
    EXPECT_FALSE(check_locked({.withdraw_round = 3}, chain, {}));
}

TEST(Funds, CreationRoundFallsBackWhereTheChainGivesNoHash) {
    ChainState chain{.round = 10, .round_block_hash = kRoundHash};
    EXPECT_EQ(creation_round(chain), (CreationRound{10, kRoundHash}));
    chain = {.round = 10, .previous_block_hash = kRoundHash};
    EXPECT_EQ(creation_round(chain), (CreationRound{9, kRoundHash}));
    EXPECT_EQ(creation_round({.round = 10}), (CreationRound{10, {}}));
}

TEST(Payout, WhatIsTakenOutIsNotThereForTheNextTicket) {
    const ChainState chain{.round = 10, .pool_size = 2, .recipient_active = true};
    SenderFunds funds{.deposit = 150, .reserve = 100};
    take_out(funds, payout(100, funds, chain));
    EXPECT_EQ(funds, (SenderFunds{.deposit = 50, .reserve = 100}));
    take_out(funds, payout(100, funds, chain));
    EXPECT_EQ(funds, (SenderFunds{.deposit = 0, .reserve = 50, .reserve_claimed = 50, .claimed_by_us = 50}));
    EXPECT_EQ(payout(100, funds, chain).total(), 0) << "our half of the reserve is gone";
}

// Ports only: nothing of a ledger is decided here.
static_assert(std::is_abstract_v<Chain> && std::is_abstract_v<Ledger> && std::is_abstract_v<WinningTickets>);

struct Won {
    Market market;
    WinningTicket ticket;

    Won() {
        auto recipient = market.make_recipient();
        auto params = recipient.params(market.sender, market.price, market.funds, market.chain).value();
        ticket.recipient_rand = crypto::pad32(5);
        params.recipient_rand_hash = recipient_rand_hash(ticket.recipient_rand);
        params.win_prob = kAlwaysWins;
        ticket.params = params;
        ticket.sender = market.sender;
        ticket.ticket = market.pay(params, 1).tickets[0];
        ticket.hash = ticket_hash(params, market.sender, 1);
    }
};

TEST(Redemption, WaitsForItsParamsToExpireAndForMoney) {
    Won won;
    ChainState chain = won.market.chain;
    const auto step = [&] { return redemption_step(won.ticket, won.market.funds, chain, 1000); };
    EXPECT_EQ(step(), RedemptionStep::kWait);
    chain.l1_block = won.ticket.params.expiration_block;
    EXPECT_EQ(step(), RedemptionStep::kRedeem);
    chain.recipient_active = false;
    EXPECT_EQ(step(), RedemptionStep::kWait);
    chain.recipient_active = true;
    const SenderFunds funds = std::exchange(won.market.funds, {.deposit = 1000});
    EXPECT_EQ(step(), RedemptionStep::kWait);
    won.market.funds = funds;
    chain.round += 1;
    EXPECT_EQ(step(), RedemptionStep::kRedeem);
    chain.round += 1;
    EXPECT_EQ(step(), RedemptionStep::kDrop);
}

TEST(Redemption, LedgersRefuseInTheContractsWords) {
    const Won won;
    const auto refusal = [&](auto change, Hash32 hash = kRoundHash, std::int64_t round = 10) {
        WinningTicket ticket = won.ticket;
        change(ticket);
        const auto checked = check_redeemable(ticket, hash, round);
        return checked ? std::string() : checked.error().message;
    };
    const auto same = [](WinningTicket&) {};
    EXPECT_EQ(refusal(same), "");
    EXPECT_EQ(refusal(same, kRoundHash, 11), "");
    EXPECT_EQ(refusal(same, kRoundHash, 12), "ticket is expired");
    EXPECT_EQ(refusal(same, Hash32{}), "ticket creationRound does not have a block hash");
    EXPECT_EQ(refusal(same, Hash32{1}), "ticket creationRoundBlockHash invalid for creationRound");
    EXPECT_EQ(refusal([](auto& t) { t.params.recipient = {}; }), "ticket recipient is null address");
    EXPECT_EQ(refusal([](auto& t) { t.sender = {}; }), "ticket sender is null address");
    EXPECT_EQ(
        refusal([](auto& t) { t.params.creation = {}; }),
        "invalid length for ticket auxData: must be 64 bytes"
    );
    EXPECT_EQ(
        refusal([](auto& t) { t.recipient_rand[0] ^= 1; }), "recipientRand does not match recipientRandHash"
    );
    EXPECT_EQ(refusal([](auto& t) { t.params.face_value += 1; }), "invalid signature over ticket hash");
    EXPECT_EQ(
        refusal([&](auto& t) {
            t.params.win_prob = 1;
            Market market;
            t.ticket = market.pay(t.params, 1).tickets[0];
        }),
        "ticket did not win"
    );
}

}  // namespace

}  // namespace framegrid::pay
