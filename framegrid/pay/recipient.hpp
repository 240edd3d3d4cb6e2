// The side that is paid with tickets (protocol sections 5.3, 5.4 and 5.6): makes params, checks tickets and
// says what they are worth. Keeps nothing on a disk: which params it issued follows from a secret.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include <framegrid/pay/funds.hpp>
#include <framegrid/pay/ticket.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::pay {

struct RecipientSettings {
    Wei ticket_ev = 8'000'000'000;       // what one ticket is worth on average, wei
    std::uint64_t redeem_gas = 350'000;  // 1'200'000 on Arbitrum
    std::uint32_t tx_cost_multiplier = 100;
    Wei average_gas_price = 3'000'000'000;  // wei per gas, when the current price makes tickets too small
    Wei face_value_max = 0;                 // 0: as much as the sender's funds allow
    std::uint64_t lifetime_blocks = 40;     // of params, from the last L1 block seen
    std::uint32_t tickets_per_payment_max = 600;
    std::uint32_t nonces_max = 600;  // of one recipientRand
    // recipientRands whose nonces are kept, some 190 bytes each. Every answer has new params, so a sender
    // needs one for each payment within their lifetime: these are 400 a second in 40 blocks of 12 s.
    std::size_t rands_max = 250'000;
    std::size_t rands_per_sender_max = 200'000;
    std::size_t nonces_total_max = 5'000'000;  // of all recipientRands
};

// A payment whose params are ours and whose signatures have been checked; not yet whether it is fresh.
struct CheckedPayment {
    struct Ticket {
        SignedNonce signed_nonce;
        Hash32 hash{};
        bool signature_valid = false;
        bool wins = false;
    };
    Address sender{};
    TicketParams params;
    Price price;  // authentic: part of what recipientRand is made of
    Hash32 rand{};
    std::vector<Ticket> tickets;
};

// What became of a payment's tickets. Once a ticket is refused no later one is credited, but winning ones are
// told all the same, also when there is no room to remember that: a ledger pays each hash once.
struct Credited {
    Money value;                         // of the credited tickets
    std::uint32_t tickets = 0;           // credited ones
    std::vector<WinningTicket> winners;  // to be made durable before the work is answered
    std::optional<Error> error;          // of the last ticket refused
};

struct RecipientStats {
    std::uint64_t tickets_credited = 0;
    std::uint64_t tickets_refused = 0;
    std::uint64_t tickets_won = 0;
    std::size_t rands = 0;  // whose nonces are kept
};
void dump(MetricsWriter& out, const RecipientStats& stats);

// Not thread-safe, but for check(). On its orchestrator's executor.
class Recipient {
  public:
    Recipient(const Address& address, RecipientSettings settings, Random& random);
    ~Recipient();
    Recipient(const Recipient&) = delete;
    Recipient& operator=(const Recipient&) = delete;

    // Params for this sender at this price; worth nothing when the price is 0. kForbidden "insufficient
    // sender reserve": its funds carry no ticket that would be worth redeeming.
    Result<TicketParams> params(
        const Address& sender, const Price& price, const SenderFunds& funds, const ChainState& chain
    );
    // The face value that params() would use.
    Result<Wei> face_value(const SenderFunds& funds, const ChainState& chain) const;
    // What redeeming a ticket costs now.
    Wei redemption_cost(const ChainState& chain) const;
    const RecipientSettings& settings() const { return settings_; }

    // The part that takes time: about 40 us for each ticket. Any thread; reads only what never changes.
    // Errors: kInvalidArgument names the field.
    Result<CheckedPayment> check(const Payment& payment) const;
    // Counts the nonces and says what the tickets are worth.
    Credited credit(const CheckedPayment& payment, const SenderFunds& funds, const ChainState& chain);

    // Forgets the nonces of params that nobody can use any more.
    void sweep(std::uint64_t l1_block);
    RecipientStats stats() const;

  private:
    // The nonces that were used with one recipientRand.
    struct Used {
        Address sender{};
        std::uint64_t expiration_block = 0;
        std::vector<std::uint32_t> nonces;  // ascending
        std::vector<std::uint32_t> won;     // ascending; told as winners
    };
    template <std::size_t Size>
    struct HashOf {
        std::size_t operator()(const std::array<std::uint8_t, Size>& bytes) const;
    };
    Result<Used*> used_for(const CheckedPayment& payment, std::uint64_t l1_block);
    // Whether nobody can use these params any more, and no winner can come twice.
    bool is_over(const Used& used, std::uint64_t l1_block) const;
    // The latest block that nonces were forgotten for: one that goes back brings none of them again.
    std::uint64_t block(const ChainState& chain) const { return std::max(chain.l1_block, swept_to_block_); }
    Result<void> may_credit(const CheckedPayment& payment, const SenderFunds& funds, const ChainState& chain)
        const;
    Result<void> use_nonce(Used& used, std::uint32_t nonce);

    Address address_;
    RecipientSettings settings_;
    Random& random_;
    Hash32 secret_{};  // of this process: a restart invalidates all params, so nothing can be replayed
    std::unordered_map<Hash32, Used, HashOf<32>> used_;              // by recipientRandHash
    std::unordered_map<Address, std::size_t, HashOf<20>> rands_of_;  // how many of those each sender has
    std::size_t nonces_ = 0;                                         // of all of them
    std::uint64_t swept_to_block_ = 0;
    RecipientStats stats_;
};

}  // namespace framegrid::pay
