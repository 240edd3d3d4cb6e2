// A gateway without a key: tickets and jobs signed by a signer elsewhere, over its HTTP contract (protocol
// section 5.12) and our calls /sign-tickets, /sign-segment and /sign-receipts.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include <framegrid/http/client.hpp>
#include <framegrid/pay/receipt_book.hpp>
#include <framegrid/pay/signer.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/wire/request_signer.hpp>

namespace framegrid::wire {

struct RemoteSignerSettings {
    Duration call_time_max = std::chrono::seconds(5);
    Duration receipts_time_max = std::chrono::minutes(2);
    Duration away_pause = std::chrono::milliseconds(200);
    std::size_t ahead_max = 256;                           // proofs that nobody has taken yet
    std::size_t ahead_bytes_max = std::size_t{256} << 20;  // of their media
};

// One executor; client, clock and pool outlive it. Errors have a field of pay::is_signers(), except
// kUnavailable "ticket_params": the orchestrator must be asked for new ones.
class RemoteSigner final : public pay::Signer, public RequestSigner, public pay::ClosingSigner {
  public:
    struct Ports {
        http::Client& client;
        Clock& clock;
        WorkPool& pool;
    };
    // Asks the signer for its address, and whether it has the calls that paid jobs need. `key`: the caller's,
    // empty for a signer on loopback that wants none. kUnavailable, kUnauthorized, kProtocol, kUnsupported:
    // there is no signer, or one that signs live sessions only.
    static Task<Result<std::unique_ptr<RemoteSigner>>> connect(
        Ports ports, std::string url, std::string key, Deadline deadline, RemoteSignerSettings settings = {}
    );
    const pay::Address& address() const override { return address_; }

    // Never sent twice: what is signed is counted there.
    Task<Result<pay::Payment>> sign(pay::TicketBatch batch, Price price, Deadline deadline) override;
    bool is_remote() const override { return true; }
    std::uint32_t tickets_max() const override;
    Result<void> ready() const override;
    Task<Result<void>> sign_ahead(pay::SegmentClaim claim, Deadline deadline) override;

    const crypto::Signature& info_signature() const override { return info_signature_; }
    std::optional<crypto::Signature> at_once(const api::Job& job, const crypto::Hash32& hash) override;
    Task<Result<crypto::Signature>> ask(const api::Job& job, const crypto::Hash32& hash, Deadline deadline)
        override;
    std::optional<SegmentProof> take_ahead(const api::Job& job) override;

    const crypto::Address& party() const override { return address_; }
    // Checks that the signer has the call: for who will need it.
    Task<Result<void>> check_signs_receipts(Deadline deadline);
    Task<Result<crypto::Signature>> sign_closing(pay::Closing closing, NextLines lines) override;

    void dump(MetricsWriter& out) const;

  private:
    enum class Call : std::uint8_t { kInfo, kTickets, kSegment, kReceipts };
    struct Counts {
        std::uint64_t errors = 0;
        Histogram took{};
    };
    struct Ahead {
        pay::SegmentClaim claim;
        SegmentProof proof;
    };
    RemoteSigner(Ports ports, http::Url url, std::string key, RemoteSignerSettings settings)
        : ports_(ports), url_(std::move(url)), key_(std::move(key)), settings_(settings) {}
    http::Request request_for(Call what) const;
    void count(Call what, TimePoint began, const Result<http::Fetched>& answer);
    Task<Result<http::Fetched>> fetch(Call what, std::string body, Deadline deadline);
    Task<Result<Blob>> call(Call what, std::string body, Deadline deadline);
    Task<Result<void>> ask_who(Deadline deadline);
    Task<Result<void>> check_has(Call what, Deadline deadline);
    Task<Result<crypto::Signature>> sign_segment(
        const std::string& manifest_id, std::int64_t seq, const crypto::Hash32& hash,
        std::vector<std::string> profile_names, Deadline deadline
    );
    void remember(const std::string& manifest_id, const crypto::Signature& signature);

    Ports ports_;
    http::Url url_;
    std::string key_;
    RemoteSignerSettings settings_;
    pay::Address address_{};
    crypto::Signature info_signature_{};
    std::unordered_map<std::string, crypto::Signature> known_;  // of jobs without media, by manifest id
    std::list<Ahead> ahead_;                                    // oldest first
    std::size_t ahead_bytes_ = 0;
    std::array<Counts, 4> counts_{};
    std::optional<Error> away_{};  // why it could not be asked, and until when nobody need try again
    TimePoint away_until_{};
};

}  // namespace framegrid::wire
