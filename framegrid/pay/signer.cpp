#include <framegrid/pay/signer.hpp>

namespace framegrid::pay {

bool is_signers(const Error& error) {
    return error.field.starts_with(kSignerField);
}

Task<Result<void>> Signer::sign_ahead(SegmentClaim, Deadline) {
    co_return Result<void>{};
}

Task<Result<Payment>> KeySigner::sign(TicketBatch batch, Price price, Deadline) {
    if (batch.count <= 1) {
        co_return pay::sign(batch, price, key_);
    }
    co_return co_await offload(pool_, [&] { return pay::sign(batch, price, key_); });
}

}  // namespace framegrid::pay
