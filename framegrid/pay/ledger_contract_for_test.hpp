// What every Ledger with its Chain and WinningTickets must do, as tests that each implementation runs:
// INSTANTIATE_TEST_SUITE_P with a factory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/pay/ledger_bench_for_test.hpp>

#include <gtest/gtest.h>

namespace framegrid::pay {

using LedgerFactory = std::function<std::unique_ptr<LedgerBench>()>;

class LedgerContract : public testing::TestWithParam<LedgerFactory> {
  protected:
    template <class T>
    static std::string error(const Result<T>& result) {
        return result ? "none" : std::string(to_string(result.error().code)) + ": " + result.error().message;
    }
    std::unique_ptr<LedgerBench> bench_ = GetParam()();
};

TEST_P(LedgerContract, MoneyIsAddedAndComesBackAfterAnUnlock) {
    Ledger& ledger = bench_->ledger();
    const Address sender = bench_->sender;
    const Deadline deadline = bench_->deadline;
    EXPECT_EQ(bench_->funds(bench_->recipient), SenderFunds{});
    EXPECT_EQ(
        error(bench_->try_run(ledger.unlock(sender, deadline))),
        "forbidden: sender deposit and reserve are zero"
    );
    bench_->fund(3, 4);
    bench_->fund(1, 0);
    EXPECT_EQ(bench_->funds(bench_->recipient), (SenderFunds{.deposit = 4, .reserve = 4}));
    EXPECT_EQ(
        error(bench_->try_run(ledger.withdraw(sender, deadline))), "forbidden: no unlock request in progress"
    );
    EXPECT_EQ(
        error(bench_->try_run(ledger.cancel_unlock(sender, deadline))),
        "forbidden: no unlock request in progress"
    );
    const std::int64_t round = bench_->chain().state()->round;
    EXPECT_EQ(bench_->run(ledger.unlock(sender, deadline)), round + 2);
    EXPECT_EQ(error(bench_->try_run(ledger.unlock(sender, deadline))), "forbidden: unlock already initiated");
    EXPECT_EQ(bench_->funds(bench_->recipient).withdraw_round, round + 2);
    EXPECT_EQ(error(bench_->try_run(ledger.withdraw(sender, deadline))), "forbidden: account is locked");
    bench_->next_round();
    bench_->next_round();
    bench_->reopen();
    EXPECT_EQ(bench_->run(bench_->ledger().withdraw(sender, deadline)), 8);
    EXPECT_EQ(
        error(bench_->try_run(bench_->ledger().withdraw(sender, deadline))),
        "forbidden: sender deposit and reserve are zero"
    );
}

TEST_P(LedgerContract, NewMoneyEndsAnUnlock) {
    Ledger& ledger = bench_->ledger();
    bench_->fund(1, 1);
    (void)bench_->run(ledger.unlock(bench_->sender, bench_->deadline));
    bench_->fund(0, 1);
    EXPECT_EQ(bench_->funds(bench_->recipient).withdraw_round, 0);
    (void)bench_->run(ledger.unlock(bench_->sender, bench_->deadline));
    EXPECT_TRUE(bench_->try_run(ledger.cancel_unlock(bench_->sender, bench_->deadline)));
    EXPECT_EQ(bench_->funds(bench_->recipient).withdraw_round, 0);
}

TEST_P(LedgerContract, AmountsThatCouldOverflowAreRefused) {
    const auto done =
        bench_->try_run(bench_->ledger().fund(bench_->sender, Wei(1) << 128, 0, bench_->deadline));
    EXPECT_EQ(error(done), "invalid_argument: at most 2^128 wei at once");
}

TEST_P(LedgerContract, ATicketIsPaidOnce) {
    bench_->fund(100, 0);
    const WinningTicket ticket = bench_->ticket(1, 30, bench_->recipient);
    EXPECT_FALSE(bench_->run(bench_->ledger().is_used(ticket.hash, bench_->deadline)));
    const Redemption first = bench_->redeem(ticket);
    EXPECT_EQ(first.paid, 30);
    EXPECT_FALSE(first.used_before);
    EXPECT_TRUE(bench_->run(bench_->ledger().is_used(ticket.hash, bench_->deadline)));
    bench_->reopen();
    for (int round = 0; round < 3; ++round) {  // and so for ever
        const Redemption again = bench_->redeem(ticket);
        EXPECT_EQ(again.paid, 30);
        EXPECT_TRUE(again.used_before);
        EXPECT_EQ(again.reference, first.reference);
        bench_->next_round();
    }
    EXPECT_EQ(bench_->funds(bench_->recipient).deposit, 70);
}

// The published example of two recipients (reference contracts).
TEST_P(LedgerContract, AReserveIsSharedByTheRecipients) {
    const Wei tenth = ether(1) / 10;
    bench_->fund(tenth * 7, ether(1));
    EXPECT_EQ(bench_->redeem(bench_->ticket(1, ether(1), bench_->recipient)).paid, ether(1));
    const SenderFunds after = bench_->funds(bench_->recipient);
    EXPECT_EQ(
        after, (SenderFunds{.reserve = tenth * 7, .reserve_claimed = tenth * 3, .claimed_by_us = tenth * 3})
    );
    EXPECT_EQ(claimable_reserve(after, 2), tenth * 2);
    EXPECT_EQ(bench_->redeem(bench_->ticket(2, ether(1), bench_->recipient)).paid, tenth * 2);
    EXPECT_EQ(bench_->redeem(bench_->ticket(3, ether(1), bench_->other)).paid, tenth * 5);
    EXPECT_EQ(
        error(bench_->try_run(bench_->ledger().redeem(bench_->ticket(4, 1, bench_->other), bench_->deadline))
        ),
        "unavailable: sender deposit and reserve are zero"
    );
}

TEST_P(LedgerContract, ClaimsCountInTheirRound) {
    bench_->fund(0, 100);
    EXPECT_EQ(bench_->redeem(bench_->ticket(1, 1'000, bench_->recipient)).paid, 50);
    EXPECT_EQ(bench_->redeem(bench_->ticket(2, 1'000, bench_->recipient)).paid, 0);  // final, as there
    bench_->next_round();
    EXPECT_EQ(bench_->funds(bench_->recipient), (SenderFunds{.reserve = 50}));
    EXPECT_EQ(bench_->redeem(bench_->ticket(3, 1'000, bench_->recipient)).paid, 25);
}

TEST_P(LedgerContract, BadTicketsAreRefusedForGood) {
    bench_->fund(100, 100);
    const WinningTicket good = bench_->ticket(1, 10, bench_->recipient);
    const auto refusal = [&](auto change) {
        WinningTicket bad = good;
        change(bad);
        const Error error = bench_->refused(bad);
        EXPECT_EQ(error.code, Errc::kForbidden) << error.message;
        return error.message;
    };
    EXPECT_EQ(
        refusal([](WinningTicket& bad) { bad.ticket.signature[3] ^= 1; }),
        "invalid signature over ticket hash"
    );
    EXPECT_EQ(
        refusal([](WinningTicket& bad) { bad.params.face_value = 11; }), "invalid signature over ticket hash"
    );
    EXPECT_EQ(
        refusal([](WinningTicket& bad) { bad.recipient_rand = {}; }),
        "recipientRand does not match recipientRandHash"
    );
    EXPECT_EQ(
        refusal([](WinningTicket& bad) { bad.params.creation.block_hash[0] ^= 1; }),
        "ticket creationRoundBlockHash invalid for creationRound"
    );
    EXPECT_EQ(
        refusal([this](WinningTicket& bad) {
            bad.params.win_prob = 1;
            bench_->sign(bad, 2);
        }),
        "ticket did not win"
    );
    bench_->next_round();
    EXPECT_EQ(bench_->redeem(bench_->ticket(3, 1, bench_->recipient)).paid, 1);
    bench_->next_round();
    EXPECT_EQ(refusal([](WinningTicket&) {}), "ticket is expired");
    EXPECT_FALSE(bench_->run(bench_->ledger().is_used(good.hash, bench_->deadline)));
    EXPECT_EQ(bench_->funds(bench_->recipient), (SenderFunds{.deposit = 99, .reserve = 100}));
}

TEST_P(LedgerContract, AfterAnUnlockTicketsMayStillWait) {
    bench_->fund(100, 0);
    (void)bench_->run(bench_->ledger().unlock(bench_->sender, bench_->deadline));
    bench_->next_round();
    const WinningTicket ticket = bench_->ticket(1, 10, bench_->recipient);
    bench_->next_round();
    EXPECT_EQ(bench_->refused(ticket).code, Errc::kUnavailable);
    bench_->fund(0, 1);
    EXPECT_EQ(bench_->redeem(ticket).paid, 10);
}

TEST_P(LedgerContract, TheChainKnowsItsRounds) {
    const ChainState before = bench_->chain().state().value();
    EXPECT_EQ(
        bench_->run(bench_->chain().block_hash_of(before.round, bench_->deadline)), before.round_block_hash
    );
    EXPECT_NE(before.round_block_hash, Hash32{});
    EXPECT_EQ(before.pool_size, 2U);
    EXPECT_EQ(bench_->run(bench_->chain().block_hash_of(before.round + 1, bench_->deadline)), Hash32{});
    bench_->next_round();
    const ChainState after = bench_->chain().state().value();
    EXPECT_EQ(after.round, before.round + 1);
    EXPECT_EQ(after.previous_block_hash, before.round_block_hash);
    EXPECT_NE(after.round_block_hash, before.round_block_hash);
    EXPECT_GT(after.l1_block, before.l1_block);
    EXPECT_NE(bench_->run(bench_->chain().service_uri(bench_->recipient, bench_->deadline)), "");
    EXPECT_EQ(bench_->run(bench_->chain().service_uri(bench_->sender, bench_->deadline)), "");
}

TEST_P(LedgerContract, WinningTicketsWaitInTheirOrder) {
    bench_->fund(100, 100);
    const WinningTicket first = bench_->ticket(1, 10, bench_->recipient);
    const WinningTicket second = bench_->ticket(2, 20, bench_->recipient);
    const WinningTicket third = bench_->ticket(3, 30, bench_->recipient);
    EXPECT_TRUE(bench_->try_run(bench_->tickets().keep({second, first})));
    EXPECT_TRUE(bench_->try_run(bench_->tickets().keep({first, third, second})));
    EXPECT_TRUE(bench_->try_run(bench_->tickets().keep({})));
    bench_->reopen();
    WinningTickets& tickets = bench_->tickets();
    const std::vector<WinningTicket> all{second, first, third};
    EXPECT_EQ(bench_->run(tickets.waiting(bench_->sender, 10)), all);
    EXPECT_EQ(bench_->run(tickets.waiting(bench_->sender, 1)), std::vector{second});
    EXPECT_TRUE(bench_->run(tickets.waiting(bench_->other, 10)).empty());
    EXPECT_EQ(bench_->run(tickets.senders()), std::vector{bench_->sender});
    EXPECT_EQ(bench_->run(tickets.pending(bench_->sender)), 60);
    EXPECT_EQ(bench_->funds(bench_->recipient).pending, 60);
    EXPECT_EQ(bench_->funds(bench_->other).pending, 0);
}

TEST_P(LedgerContract, ATicketWaitsUntilItsEnd) {
    const WinningTicket first = bench_->ticket(1, 10, bench_->recipient);
    const WinningTicket second = bench_->ticket(2, 20, bench_->recipient);
    WinningTickets& tickets = bench_->tickets();
    EXPECT_TRUE(bench_->try_run(tickets.keep({first, second})));
    EXPECT_TRUE(bench_->try_run(tickets.done(first.hash, {.paid = 10, .used_before = false, .reference = "a"})
    ));
    EXPECT_TRUE(bench_->try_run(tickets.done(first.hash, {.paid = 10, .used_before = true, .reference = "a"}))
    );
    EXPECT_EQ(bench_->run(tickets.waiting(bench_->sender, 10)), std::vector{second});
    EXPECT_TRUE(bench_->try_run(tickets.keep({first})));  // stays done
    EXPECT_EQ(bench_->funds(bench_->recipient).pending, 20);
    EXPECT_TRUE(bench_->try_run(tickets.failed(second.hash, "ticket is expired")));
    EXPECT_TRUE(bench_->run(tickets.senders()).empty());
    EXPECT_EQ(bench_->run(tickets.pending(bench_->sender)), 0);
    EXPECT_EQ(error(bench_->try_run(tickets.failed(Hash32{}, "x"))).substr(0, 9), "not_found");
    EXPECT_EQ(error(bench_->try_run(tickets.done(Hash32{}, {}))).substr(0, 9), "not_found");
}

}  // namespace framegrid::pay
