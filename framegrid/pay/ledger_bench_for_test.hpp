// A ledger under test, with tickets that win and what is needed to wait for its tasks.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/pay/ledger.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/runtime/async.hpp>

#include <gtest/gtest.h>

namespace framegrid::pay {

// A new ledger with two recipients, of which the first one's queue is `tickets()`.
class LedgerBench {
  public:
    virtual ~LedgerBench() = default;
    virtual Chain& chain() = 0;
    virtual Ledger& ledger() = 0;
    virtual WinningTickets& tickets() = 0;
    virtual void next_round() = 0;
    // Opens again what was written, where something is.
    virtual void reopen() {}

    crypto::PrivateKey sender_key = key_of("sender");
    Address sender = sender_key.address();
    Address recipient = key_of("recipient").address();
    Address other = key_of("other recipient").address();
    Deadline deadline{TimePoint::max()};

    template <class T>
    Result<T> try_run(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        loop_.restart();
        boost::asio::co_spawn(loop_, std::move(task), [&out](std::exception_ptr exception, Result<T> result) {
            out.emplace(exception ? Result<T>(fail(error_from(exception))) : std::move(result));
        });
        // Completions come from other threads: nothing else keeps the loop running meanwhile.
        const auto guard = boost::asio::make_work_guard(loop_);
        while (!out) {
            loop_.run_one();
        }
        return std::move(*out);
    }
    template <class T>
    T run(Task<Result<T>> task) {
        auto result = try_run(std::move(task));
        if (!result) {
            ADD_FAILURE() << result.error().message;
            return T{};
        }
        return std::move(*result);
    }
    boost::asio::io_context& loop() { return loop_; }

    void fund(const Wei& deposit, const Wei& reserve) {
        const auto done = try_run(ledger().fund(sender, deposit, reserve, deadline));
        EXPECT_TRUE(done) << done.error().message;
    }
    SenderFunds funds(const Address& of_recipient) {
        return run(ledger().funds(sender, of_recipient, deadline));
    }
    // A ticket of this round that wins.
    WinningTicket ticket(std::uint32_t nonce, const Wei& face_value, const Address& to) {
        const ChainState state = chain().state().value();
        WinningTicket out;
        out.recipient_rand = hash_of("77");
        out.params.recipient = to;
        out.params.face_value = face_value;
        out.params.win_prob = kAlwaysWins;
        out.params.recipient_rand_hash = recipient_rand_hash(out.recipient_rand);
        out.params.expiration_block = state.l1_block + 40;
        out.params.creation = {state.round, state.round_block_hash};
        out.sender = sender;
        sign(out, nonce);
        return out;
    }
    void sign(WinningTicket& ticket, std::uint32_t nonce) {
        ticket.ticket.nonce = nonce;
        ticket.hash = ticket_hash(ticket.params, ticket.sender, nonce);
        ticket.ticket.signature = sender_key.sign_message(ticket.hash);
    }
    Redemption redeem(const WinningTicket& ticket) { return run(ledger().redeem(ticket, deadline)); }
    Error refused(const WinningTicket& ticket) {
        const auto redeemed = try_run(ledger().redeem(ticket, deadline));
        EXPECT_FALSE(redeemed) << redeemed->paid;
        return redeemed ? Error{} : redeemed.error();
    }

  private:
    boost::asio::io_context loop_;
};

}  // namespace framegrid::pay
