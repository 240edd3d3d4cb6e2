#include <framegrid/api/receipts.hpp>

#include <algorithm>

namespace framegrid::api {

pay::ReceiptDraft draft_receipt(const Settled& settled, std::int64_t unix_ms) {
    pay::ReceiptDraft out;
    const auto* ai = std::get_if<AiWork>(&settled.work.kind);
    out.receipt.id = settled.id;
    out.receipt.unix_ms = std::max<std::int64_t>(unix_ms, 0);
    out.receipt.payer = settled.payer;
    out.receipt.payee = settled.payee;
    out.receipt.work = ai == nullptr ? "transcoding" : pay::work_name(ai->pipeline, ai->model_id);
    out.receipt.price = settled.price;
    out.receipt.units = std::max<std::int64_t>(settled.units, 0);
    if (settled.output.ai) {
        if (!crypto::read_hex(settled.output.ai->model_digest, out.receipt.model)) {
            out.receipt.model = {};
        }
    }
    if (ai != nullptr) {
        out.parameters = ai->parameters;
    }
    if (settled.work.transfer) {
        // Files that are not in memory were digested on their way.
        out.receipt.input = settled.work.transfer->input().sha256;
        const auto& artifacts = settled.output.artifacts;
        out.receipt.output =
            artifacts.empty() ? crypto::Hash32{} : artifacts.front().file.value_or(FileFacts{}).sha256;
        return out;
    }
    out.input = settled.work.input;
    out.outputs.reserve(settled.output.artifacts.size());
    for (const auto& artifact : settled.output.artifacts) {
        out.outputs.push_back(artifact.bytes);
    }
    return out;
}

}  // namespace framegrid::api
