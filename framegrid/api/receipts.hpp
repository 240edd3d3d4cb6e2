// What is known of paid work when it is settled, as the receipt that both sides write of it.
#pragma once

#include <cstdint>

#include <framegrid/api/work.hpp>
#include <framegrid/base/trace.hpp>
#include <framegrid/pay/receipt_desk.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::api {

// What both sides call a job in their receipts, if its payer has said nothing else: the ids of the payer's
// trace and span, which are drawn for each attempt and travel anyway, and zeros. Zero: there is no such
// trace.
crypto::Hash32 receipt_id(const TraceContext& trace);
// The same, drawn where there is no trace.
crypto::Hash32 receipt_id(const TraceContext& trace, Random& random);

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
