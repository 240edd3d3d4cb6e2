// What is known of paid work when it is settled, as the receipt that both sides write of it.
#pragma once

#include <cstdint>

#include <framegrid/api/work.hpp>
#include <framegrid/pay/receipt_desk.hpp>

namespace framegrid::api {

struct Settled {
    const Work& work;
    const WorkOutput& output;
    crypto::Hash32 id{};
    crypto::Address payer{};
    crypto::Address payee{};
    Price price;  // of a unit
    std::int64_t units = 0;
};
// Its digests are left to the desk.
pay::ReceiptDraft draft_receipt(const Settled& settled, std::int64_t unix_ms);

}  // namespace framegrid::api
