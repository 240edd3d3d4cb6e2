// The headers that accompany every job: Livepeer-Segment and Livepeer-Payment (protocol sections 3.1
// and 3.2).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/wire/request_signer.hpp>

namespace framegrid::wire {

inline constexpr std::string_view kSegmentHeader = "livepeer-segment";
inline constexpr std::string_view kPaymentHeader = "livepeer-payment";
// 32 bytes, hex: what the job is called in both sides' receipts.
inline constexpr std::string_view kReceiptHeader = "x-framegrid-receipt";

struct SegmentHeader {
    api::Job job;            // TranscodeWork, no input; routes of AI pipelines replace the work
    crypto::Hash32 hash{};   // K(body)
    Bytes signature;         // empty off-chain
    bool has_token = false;  // an auth token was sent at all
};

// `hash` is K(media), K(nothing) for AI jobs. Signed when there is a key.
std::string encode_segment_header(
    const api::Job& job, const crypto::Hash32& hash, const crypto::PrivateKey* key
);
std::string encode_segment_header(const api::Job& job, const SegmentProof& proof);
// The profiles that the payer signs for, by name and in order.
std::vector<std::string> profile_names(const api::Job& job);
// Whether its signature is that of every job with this manifest id: there is no media.
bool repeats(const api::Job& job, const crypto::Hash32& hash);
// kInvalidArgument on anything malformed or over a limit.
Result<SegmentHeader> decode_segment_header(std::string_view text);

// Larger segments are hashed by the pool: that takes longer than going there and back.
inline constexpr std::size_t kHashInPlaceMax = 64 * 1024;

inline constexpr std::size_t kSegmentSignaturesMax = 1024;  // remembered, on either side

// Signatures of jobs without media are the same for every job of a model: made once, and checked once.
class SegmentSigner {
  public:
    // Null: off-chain, nothing is signed. The signer outlives it.
    explicit SegmentSigner(RequestSigner* signer) : signer_(signer) {}
    // Signs proof.hash if that takes no waiting. False: use ask().
    bool at_once(const api::Job& job, SegmentProof& proof);
    Task<Result<SegmentProof>> ask(const api::Job& job, crypto::Hash32 hash, Deadline deadline);
    // See RequestSigner.
    std::optional<SegmentProof> take_ahead(const api::Job& job) {
        return signer_ == nullptr ? std::nullopt : signer_->take_ahead(job);
    }

  private:
    void remember(const api::Job& job, const SegmentProof& proof);

    RequestSigner* signer_;
    std::unordered_map<std::string, crypto::Signature> known_;  // by manifest id
};
class SegmentVerifier {
  public:
    // verify_segment().
    Result<void> verify(const SegmentHeader& header, const std::optional<crypto::Address>& sender);

  private:
    std::unordered_set<std::string> known_;  // sender, signature, manifest id
};

// The header's text for a job: written once for jobs that repeat(), until their token, needs or signature
// change.
class SegmentHeaderWriter {
  public:
    std::string text(const api::Job& job, const SegmentProof& proof);

  private:
    struct Known {
        api::AuthToken token;
        job::Capabilities needs;
        std::optional<crypto::Signature> signature;
        std::string text;
    };
    std::unordered_map<std::string, Known> known_;  // by manifest id
};

// The other side: the header as decode_segment_header() and SegmentVerifier have it. What repeats is read
// once.
class SegmentHeaderReader {
  public:
    // kForbidden: not signed by `sender`; kInvalidArgument: malformed, or over a limit.
    Result<SegmentHeader> read(std::string_view text, const std::optional<crypto::Address>& sender);

  private:
    struct Known {
        SegmentHeader header;
        std::optional<crypto::Address> sender;
    };
    struct HashOf {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    SegmentVerifier verifier_;
    std::unordered_map<std::string, Known, HashOf, std::equal_to<>> known_;  // by text
};

// An empty Payment off-chain (null), else one that names the sender at price 0.
std::string encode_payment_header(const crypto::Address* sender);
// The sender, if the payment names one. An empty header is an empty payment.
Result<std::optional<crypto::Address>> decode_payment_header(std::string_view text);

// kForbidden "ErrSegSig" when a sender is named and did not sign. Nobody is named off-chain: then it
// succeeds.
Result<void> verify_segment(const SegmentHeader& header, const std::optional<crypto::Address>& sender);

}  // namespace framegrid::wire
