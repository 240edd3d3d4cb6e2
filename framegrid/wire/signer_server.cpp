#include <framegrid/wire/signer_server.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/text.hpp>
#include <framegrid/signer/hour_to_sign.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/signer_messages.hpp>

namespace framegrid::wire {

namespace {

// What the network's gateways act upon.
constexpr int kRefreshInfo = 480;
constexpr int kPriceTooHigh = 481;
constexpr int kNothingDue = 482;
constexpr std::string_view kOrchestratorUrlHeader = "livepeer-orchestrator-url";

int signer_status(const Error& error) {
    if (error.field == signer::kStaleParams && error.code == Errc::kUnavailable) {
        return kRefreshInfo;
    }
    if (error.field == signer::kPriceField && error.code == Errc::kForbidden) {
        return kPriceTooHigh;
    }
    if (error.field == signer::kNoTicketsField) {
        return kNothingDue;
    }
    return error.code == Errc::kUnavailable ? 503 : http::status_of(error.code);
}

// A caller writes it into the info: nothing may end the header's line.
bool is_header_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view bearer_of(const http::Headers& headers) {
    constexpr std::string_view kScheme = "Bearer ";
    auto value = headers.get("authorization").value_or("");
    if (value.size() < kScheme.size() ||
        !http::equals_ignoring_case(value.substr(0, kScheme.size()), kScheme)) {
        return {};
    }
    return http::trim(value.substr(kScheme.size()));
}

}  // namespace

SignerServer::Reply SignerServer::refusal(const Error& error) const {
    boost::json::object inner{{"code", to_string(error.code)}, {"message", valid_utf8(error.message)}};
    if (!error.field.empty()) {
        inner["field"] = valid_utf8(error.field);
    }
    return {signer_status(error), boost::json::serialize(boost::json::object{{"error", std::move(inner)}})};
}

SignerServer::Reply SignerServer::info() const {
    return {
        200, boost::json::serialize(boost::json::object{
                 {"address", crypto::checksum_address(signer_.address())},
                 {"signature", "0x" + crypto::hex(signer_.sign_info_request())}
             })
    };
}

SignerServer::Reply SignerServer::orchestrators() const {
    if (settings_.orchestrators.empty()) {
        return refusal(make_error(Errc::kUnavailable, "this signer knows no orchestrators"));
    }
    boost::json::array out;
    for (const auto& uri : settings_.orchestrators) {
        out.push_back(boost::json::object{
            {"address", uri},
            {"score", 1},
            {"capabilities", boost::json::array{}},
            {"runners", boost::json::array{}}
        });
    }
    return {200, boost::json::serialize(out)};
}

Task<SignerServer::Reply> SignerServer::sign_tickets(signer::Caller caller, Blob body) {
    auto request = parse_tickets_request(body.text());
    if (!request) {
        co_return refusal(request.error());
    }
    request->batch.sender = signer_.address();
    const auto payment = co_await signer_.sign_tickets(std::move(caller), request->batch, request->price);
    if (!payment) {
        co_return refusal(payment.error());
    }
    co_return Reply{200, boost::json::serialize(boost::json::object{{"payment", encode_payment(*payment)}})};
}

Task<SignerServer::Reply> SignerServer::sign_segment(Blob body) {
    auto request = parse_segment_request(body.text());
    if (!request) {
        co_return refusal(request.error());
    }
    const auto signature = co_await signer_.sign_segment(*std::move(request));
    if (!signature) {
        co_return refusal(signature.error());
    }
    co_return Reply{
        200, boost::json::serialize(boost::json::object{{"signature", "0x" + crypto::hex(*signature)}})
    };
}

Task<SignerServer::Reply> SignerServer::sign_receipts(http::Exchange& exchange) {
    const auto asked = parse_receipts_query(exchange.head.query());
    if (!asked) {
        co_return refusal(asked.error());
    }
    auto hour = signer::HourToSign::begin(signer_.key(), asked->hour, asked->previous);
    if (!hour) {
        co_return refusal(hour.error());
    }
    for (std::size_t bytes = 0;;) {
        const auto piece = co_await exchange.body.read();
        if (!piece) {
            co_return refusal(piece.error());
        }
        if (piece->empty()) {
            break;
        }
        bytes += piece->size();
        if (bytes > settings_.receipts_bytes_max) {
            co_return refusal(make_error(Errc::kTooLarge, "these are too many receipts for an hour"));
        }
        if (const auto added = hour->add(piece->text()); !added) {
            co_return refusal(added.error());
        }
    }
    const auto closing = hour->close();
    if (!closing) {
        co_return refusal(closing.error());
    }
    co_return Reply{
        200,
        boost::json::serialize(boost::json::object{{"signature", "0x" + crypto::hex(closing->signature)}})
    };
}

Task<SignerServer::Reply> SignerServer::pay_live(signer::Caller caller, Blob body) {
    const auto call = parse_live_request(body.text());
    if (!call) {
        co_return refusal(call.error());
    }
    const auto payment = co_await signer_.pay_live(std::move(caller), call->request);
    if (!payment) {
        auto reply = refusal(payment.error());
        if (reply.status == kRefreshInfo && is_header_text(call->orchestrator_url)) {
            reply.orchestrator_url = call->orchestrator_url;
        }
        co_return reply;
    }
    auto credentials = live_credentials(*call, payment->manifest_id, signer_.key());
    co_return Reply{200, write_live_payment(*payment, credentials)};
}

Task<SignerServer::Reply> SignerServer::answer(http::Exchange& exchange) {
    const auto& head = exchange.head;
    const bool reads = head.method == "GET";
    if (reads && head.path() == "/healthz") {
        co_return Reply{200, "{\"status\":\"ok\"}"};
    }
    const auto caller = find_(bearer_of(head.headers));
    if (!caller) {
        co_return refusal(
            make_error(Errc::kUnauthorized, "this signer wants a key: Authorization: Bearer KEY")
        );
    }
    if (reads && head.path() == "/discover-orchestrators") {
        co_return orchestrators();
    }
    if (head.method != "POST") {
        co_return refusal(make_error(Errc::kNotFound, "there is nothing here"));
    }
    if (head.path() == "/sign-receipts") {
        co_return co_await sign_receipts(exchange);
    }
    auto body = co_await http::read_all(exchange.body, settings_.body_bytes_max);
    if (!body) {
        co_return refusal(body.error());
    }
    if (head.path() == "/sign-orchestrator-info") {
        co_return info();
    }
    if (head.path() == "/sign-tickets") {
        co_return co_await sign_tickets(*caller, *std::move(body));
    }
    if (head.path() == "/sign-segment") {
        co_return co_await sign_segment(*std::move(body));
    }
    if (head.path() == "/generate-live-payment") {
        co_return co_await pay_live(*caller, *std::move(body));
    }
    co_return refusal(make_error(Errc::kNotFound, "there is nothing here"));
}

Task<void> SignerServer::serve(http::Exchange& exchange) {
    auto reply = co_await answer(exchange);
    if (reply.status >= 400) {
        log_.info(
            "signer.refused", {{"path", printable(exchange.head.path(), 64)}, {"status", reply.status}}
        );
    }
    http::ResponseHead head;
    head.status = reply.status;
    head.headers = {{"content-type", "application/json"}, {"cache-control", "no-store"}};
    if (!reply.orchestrator_url.empty()) {
        head.headers.add(std::string(kOrchestratorUrlHeader), std::move(reply.orchestrator_url));
    }
    [[maybe_unused]] const auto sent =
        co_await exchange.response.respond(std::move(head), Blob::copy_of(reply.json));
}

}  // namespace framegrid::wire
