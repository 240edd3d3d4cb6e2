// The side that pays with tickets (protocol section 5.5): refuses params that would cost more than allowed,
// and numbers the tickets.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include <framegrid/pay/funds.hpp>
#include <framegrid/pay/ticket.hpp>

namespace framegrid::pay {

struct SenderSettings {
    Wei ticket_ev_max = 3'000'000'000'000;    // of one ticket, wei
    Wei payment_ev_max = 20'000'000'000'000;  // of all tickets of one payment, wei
    std::uint32_t deposit_multiplier = 1;     // a face value is at most deposit / this
    std::uint32_t tickets_per_payment_max = 600;
    std::uint32_t nonces_max = 600;      // of one recipientRand; recipients take no more
    std::size_t sessions_max = 100'000;  // params in use at the same time
};

// Tickets that are numbered and not yet signed.
struct TicketBatch {
    Address sender{};
    TicketParams params;
    std::uint32_t first_nonce = 1;
    std::uint32_t count = 0;
};

// Signs the tickets of a batch. About 50 us each: several belong on a WorkPool. Pure; any thread.
Payment sign(const TicketBatch& batch, const Price& expected_price, const crypto::PrivateKey& key);

// Not thread-safe; on its gateway's executor. No time of its own: told the chain's.
class Sender {
  public:
    explicit Sender(const Address& address, SenderSettings settings = {});

    // Whether `count` tickets with these params may be bought. Errors say what to do: kForbidden about our
    // own money, kProtocol (penalises the peer) about params that nobody should accept, kUnavailable when new
    // params are needed. Params that are worth nothing are accepted: the recipient wants no tickets.
    Result<void> validate(
        const TicketParams& params, std::uint32_t count, const SenderFunds& funds, const ChainState& chain
    ) const;

    // Takes the next `count` nonces of these params; the same nonce is never given twice. count 0 is a
    // payment without tickets.
    Result<TicketBatch> take(
        const TicketParams& params, std::uint32_t count, const SenderFunds& funds, const ChainState& chain
    );
    // How many more tickets these params are good for.
    std::uint32_t tickets_left(const TicketParams& params) const;

    // Forgets params that nobody takes any more.
    void sweep(std::uint64_t l1_block);
    std::size_t sessions() const { return sessions_.size(); }

    // A session's id in logs and documents: hex of the recipientRandHash.
    static std::string session_id(const TicketParams& params) {
        return crypto::hex(params.recipient_rand_hash);
    }

  private:
    struct Session {
        TicketParams params;
        std::uint32_t last_nonce = 0;
    };
    struct HashOf {
        std::size_t operator()(const Hash32& hash) const;
    };
    Result<void> validate_values(const TicketParams& params) const;
    Result<Session*> session_for(const TicketParams& params, std::uint64_t l1_block);

    Address address_;
    SenderSettings settings_;
    std::unordered_map<Hash32, Session, HashOf> sessions_;  // by recipientRandHash
};

}  // namespace framegrid::pay
