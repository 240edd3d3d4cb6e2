// Port: who signs the tickets of a gateway. A key in this process, or a signer that holds it elsewhere.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/pay/sender.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::pay {

// What orchestrators check of a job beside its payment: signed by who pays (protocol section 3.2).
struct SegmentClaim {
    std::string manifest_id;
    std::int64_t seq = 0;
    Blob media{};  // empty for AI jobs
    std::vector<std::string> profile_names{};
};

// Fields of errors that are about a signer elsewhere, and so no orchestrator's fault.
inline constexpr std::string_view kSignerField = "signer";
inline constexpr std::string_view kSignerPriceField = "signer.price";  // another orchestrator may be cheaper
bool is_signers(const Error& error);

class Signer {
  public:
    virtual ~Signer() = default;
    // Whose deposit pays.
    virtual const Address& address() const = 0;
    // Signs every ticket of a batch; `price` is what the payment says it expects. kForbidden: over what the
    // signer allows. kUnavailable: it cannot be reached, and may have counted what it signed.
    virtual Task<Result<Payment>> sign(TicketBatch batch, Price price, Deadline deadline) = 0;
    // Of one batch.
    virtual std::uint32_t tickets_max() const { return std::numeric_limits<std::uint32_t>::max(); }
    // Whether every signature is a call, so that sign_ahead() beside sign() saves time.
    virtual bool is_remote() const { return false; }
    // The error, if it could not be reached just now: whoever asks again at once would wait for nothing.
    virtual Result<void> ready() const { return {}; }
    // Asks for what the header of this job needs; whoever sends the job soon finds it. Errors as sign().
    virtual Task<Result<void>> sign_ahead(SegmentClaim claim, Deadline deadline);
};

// Signs with a key at hand: a single ticket at once, more on the pool. One executor; both outlive it.
class KeySigner final : public Signer {
  public:
    KeySigner(const crypto::PrivateKey& key, WorkPool& pool)
        : key_(key), pool_(pool), address_(key.address()) {}
    const Address& address() const override { return address_; }
    Task<Result<Payment>> sign(TicketBatch batch, Price price, Deadline deadline) override;

  private:
    const crypto::PrivateKey& key_;
    WorkPool& pool_;
    Address address_;
};

}  // namespace framegrid::pay
