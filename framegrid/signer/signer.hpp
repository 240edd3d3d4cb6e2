// The side that holds the key: signs tickets for gateways that have none, within each caller's limits.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/ledger.hpp>
#include <framegrid/pay/sender.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/signer/live_state.hpp>
#include <framegrid/signer/spend_book.hpp>

namespace framegrid::signer {

// What one caller may do.
struct Caller {
    std::string id;                        // in the journal and in logs
    std::optional<Price> price_max{};      // per unit, whatever it is
    std::optional<Wei> wei_per_day_max{};  // of tickets' expected value
};

struct Settings {
    Wei ticket_ev_max = 3'000'000'000'000;
    Wei payment_ev_max = 20'000'000'000'000;
    Wei face_value_max = 0;           // of a ticket; 0: any. What may be lost to bad luck at once
    std::uint32_t tickets_max = 100;  // of one call
    std::uint32_t nonces_max = 600;   // of one recipientRand
    std::size_t profiles_max = 64;    // of one segment
    std::size_t text_bytes_max = 1'024;
    // A live session asks for new ones before they end: a tenth of a token's life, and, for a signer that
    // sees no blocks, a little less than the 40 blocks of 12 s that params are good for.
    std::int64_t token_margin_s = 180;
    Duration params_time_max = std::chrono::minutes(6);
};

// What a call of the network's contract asks for (protocol section 5.12).
struct LiveRequest {
    std::string state;  // of the call before; empty: the first
    Bytes state_signature;
    pay::TicketParams params;               // of the orchestrator's info
    Price price;                            // of the same
    std::int64_t token_expires_unix_s = 0;  // of the same
    std::optional<Price> price_max{};
    std::string manifest_id;  // empty, and no state: one is drawn
    std::string app;
    std::int64_t units = 0;  // of kUnits; the others go by time
    LiveType type = LiveType::kLive;
};
// What is signed for one segment or AI job (protocol section 3.2).
struct SegmentRequest {
    std::string manifest_id;
    std::int64_t seq = 0;
    crypto::Hash32 hash{};  // K(media)
    std::vector<std::string> profile_names{};
};
struct LivePayment {
    pay::Payment payment;
    std::string manifest_id;  // what the session is called
    std::string state;
    crypto::Signature state_signature{};
};

// Whether bytes that would be hashed and signed could also be read as a ticket of this sender. Tickets begin
// with recipient and sender, 20 bytes each, and have no mark of what they are.
bool reads_as_ticket(BytesView flat, const crypto::Address& sender);

// Fields of errors that callers act upon.
inline constexpr const char* kStaleParams = "ticket_params";  // with kUnavailable: ask for new ones
inline constexpr const char* kPriceField = "price";           // above a ceiling
inline constexpr const char* kNoTicketsField = "no_tickets";  // the credit is enough for now

// One executor. What the references name outlives it.
class Signer {
  public:
    struct Ports {
        const crypto::PrivateKey& key;
        WorkPool& pool;
        Clock& clock;
        Random& random;
        SpendBook& spending;
        const pay::Chain* chain = nullptr;  // whose blocks end params; null: they end by time
    };
    Signer(Ports ports, Settings settings);

    const crypto::Address& address() const { return address_; }
    // Over K(checksummed address): shows orchestrators who asks.
    crypto::Signature sign_info_request() const;
    // Every ticket of the batch. kForbidden, kInvalidArgument: over a limit, or not of this signer; nothing
    // is signed or counted then.
    Task<Result<pay::Payment>> sign_tickets(Caller caller, pay::TicketBatch batch, Price price);
    // As many tickets as the time since the last call costs. The caller brings the state of its session back,
    // which is signed: the signer remembers none.
    Task<Result<LivePayment>> pay_live(Caller caller, LiveRequest request);
    // Shows that the segment is of the payer. kForbidden: the same bytes could be read as a ticket.
    Task<Result<crypto::Signature>> sign_segment(SegmentRequest request);
    const crypto::PrivateKey& key() const { return ports_.key; }

  private:
    Result<void> check_batch(const pay::TicketBatch& batch) const;
    Result<LiveState> state_of(const Caller& caller, const LiveRequest& request) const;
    // Whether the token and the params of a live session are good for one more payment: kStaleParams.
    Result<void> check_fresh(const LiveRequest& request, const LiveState& state) const;

    Ports ports_;
    const Settings settings_;
    const crypto::Address address_;
};

}  // namespace framegrid::signer
