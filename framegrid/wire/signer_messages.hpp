// JSON of the remote signer's calls (protocol section 5.12), and of ours for batches of tickets and segments.
#pragma once

#include <string>
#include <string_view>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/signer/signer.hpp>

namespace framegrid::wire {

// What is asked for, and what the orchestrator wants to see in the credentials that come with the payment.
struct LiveCall {
    signer::LiveRequest request;
    api::AuthToken token;     // of the orchestrator's info
    job::Capabilities needs;  // none when the caller names none
    std::string orchestrator_url;
};
// {"orchestrator": base64 of an OrchestratorInfo, "state": {"State","Sig"}, "ManifestID", "app", "inPixels",
// "type", "maxPrice": {"price","currency","unit"}, "capabilities": base64 of Capabilities}. kInvalidArgument
// names the field.
Result<LiveCall> parse_live_request(std::string_view json);
// The segment header of a session's payments: of no media, but of this payer, token and manifest id.
std::string live_credentials(
    const LiveCall& call, const std::string& manifest_id, const crypto::PrivateKey& key
);
// {"payment": header, "segCreds": header, "state": {"State","Sig"}}.
std::string write_live_payment(const signer::LivePayment& payment, const std::string& segment_header);

// {"ticket_params": base64 of TicketParams, "first_nonce", "count", "price": {"wei","units"}}.
struct TicketsRequest {
    pay::TicketBatch batch;  // without its sender
    Price price;
};
Result<TicketsRequest> parse_tickets_request(std::string_view json);
std::string write_tickets_request(const TicketsRequest& request);

// {"manifest_id", "seq", "hash": hex of 32 bytes, "profiles": [name]}.
Result<signer::SegmentRequest> parse_segment_request(std::string_view json);
std::string write_segment_request(const signer::SegmentRequest& request);

// "hour=2026-11-27T06&previous=HEX": what the receipts that are the body close.
struct ReceiptsQuery {
    std::string hour;
    crypto::Hash32 previous{};
};
Result<ReceiptsQuery> parse_receipts_query(std::string_view query);
std::string write_receipts_query(const ReceiptsQuery& query);

}  // namespace framegrid::wire
