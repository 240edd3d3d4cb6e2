// Port: what shows orchestrators whose requests they are: a key at hand, or a signer elsewhere.
#pragma once

#include <optional>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::wire {

// K(media), K(nothing) for AI jobs, and the payer's signature over the job. Not signed off-chain.
struct SegmentProof {
    crypto::Hash32 hash{};
    std::optional<crypto::Signature> signature{};
};

// One executor.
class RequestSigner {
  public:
    virtual ~RequestSigner() = default;
    virtual const crypto::Address& address() const = 0;
    // Over crypto::info_request_message(address()).
    virtual const crypto::Signature& info_signature() const = 0;
    // Over the job with this hash of its media, if that takes no waiting; nullopt: use ask().
    virtual std::optional<crypto::Signature> at_once(const api::Job& job, const crypto::Hash32& hash) = 0;
    // Errors are about the signer (pay::is_signers).
    virtual Task<Result<crypto::Signature>> ask(
        const api::Job& job, const crypto::Hash32& hash, Deadline deadline
    ) = 0;
    // What was asked for ahead (pay::Signer::sign_ahead) for exactly this job; given once.
    virtual std::optional<SegmentProof> take_ahead(const api::Job& /*job*/) { return std::nullopt; }
};

// With a key at hand, which outlives it.
class KeyRequestSigner final : public RequestSigner {
  public:
    explicit KeyRequestSigner(const crypto::PrivateKey& key);
    const crypto::Address& address() const override { return address_; }
    const crypto::Signature& info_signature() const override { return info_signature_; }
    std::optional<crypto::Signature> at_once(const api::Job& job, const crypto::Hash32& hash) override;
    Task<Result<crypto::Signature>> ask(const api::Job& job, const crypto::Hash32& hash, Deadline deadline)
        override;

  private:
    const crypto::PrivateKey& key_;
    crypto::Address address_;
    crypto::Signature info_signature_;
};

}  // namespace framegrid::wire
