// Port: who signs the tickets of a gateway. A key in this process, or a signer that holds it elsewhere.
#pragma once

#include <framegrid/base/result.hpp>
#include <framegrid/pay/sender.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::pay {

class Signer {
  public:
    virtual ~Signer() = default;
    // Whose deposit pays.
    virtual const Address& address() const = 0;
    // Signs every ticket of a batch; `price` is what the payment says it expects. kForbidden: over what the
    // signer allows. kUnavailable, kDeadline: it cannot be reached; nothing was signed.
    virtual Task<Result<Payment>> sign(TicketBatch batch, Price price, Deadline deadline) = 0;
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
