#include <framegrid/wire/signer_client.hpp>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/peer_url.hpp>
#include <framegrid/wire/signer_messages.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kReplyBytesMax = 1 << 20;
constexpr int kStatusRefreshInfo = 480;
constexpr int kStatusPriceTooHigh = 481;

std::string text_member(const Blob& json, const char* name) {
    boost::system::error_code bad;
    const auto root = boost::json::parse(json.text(), bad);
    const auto* value = !bad && root.is_object() ? root.get_object().if_contains(name) : nullptr;
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string reason_in(const Blob& json) {
    boost::system::error_code bad;
    const auto root = boost::json::parse(json.text(), bad);
    const auto* error = !bad && root.is_object() ? root.get_object().if_contains("error") : nullptr;
    const auto* message =
        error != nullptr && error->is_object() ? error->get_object().if_contains("message") : nullptr;
    return message != nullptr && message->is_string() ? printable(std::string(message->get_string()), 200)
                                                      : "no reason is given";
}

Error refusal_of(int status, const Blob& body) {
    const auto message = "the signer refuses: " + reason_in(body);
    if (status == kStatusRefreshInfo) {
        return make_error(Errc::kUnavailable, message, "ticket_params").with_disposition(Disposition::kRetry);
    }
    if (status == kStatusPriceTooHigh) {
        return make_error(Errc::kForbidden, message, "price");
    }
    const auto code = http::errc_of(status);
    // What it says of our request is about what we may have signed.
    return make_error(code == Errc::kInvalidArgument ? Errc::kForbidden : code, message);
}

}  // namespace

Task<Result<Blob>> RemoteSigner::call(std::string path, std::string body, Deadline deadline) {
    http::Request request;
    request.method = "POST";
    request.url = url_below(url_, path);
    request.headers = http::Headers{{"content-type", "application/json"}};
    if (!key_.empty()) {
        request.headers.add("authorization", "Bearer " + key_);
    }
    request.body = Blob::copy_of(body);
    auto answer = co_await client_.fetch(std::move(request), kReplyBytesMax, deadline);
    if (!answer) {
        co_return fail(std::move(answer.error()).with_context("the signer"));
    }
    if (answer->status != 200) {
        co_return fail(refusal_of(answer->status, answer->body));
    }
    co_return std::move(answer->body);
}

Task<Result<std::unique_ptr<RemoteSigner>>> RemoteSigner::connect(
    http::Client& client, std::string url, std::string key, Deadline deadline
) {
    auto target = http::parse_url(url);
    if (!target) {
        co_return fail(std::move(target.error()));
    }
    std::unique_ptr<RemoteSigner> out(new RemoteSigner(client, *std::move(target), std::move(key)));
    const auto reply = co_await out->call("/sign-orchestrator-info", "", deadline);
    if (!reply) {
        co_return fail(reply.error());
    }
    const auto address = crypto::parse_address(text_member(*reply, "address"));
    auto signature = crypto::parse_hex(text_member(*reply, "signature"));
    if (!address || !signature ||
        !crypto::verify_message(*address, crypto::info_request_message(*address), *signature)) {
        co_return fail(Errc::kProtocol, "there is no signer at " + url + ": its answer is not signed");
    }
    out->address_ = *address;
    out->info_signature_ = *std::move(signature);
    co_return out;
}

Task<Result<pay::Payment>> RemoteSigner::sign(pay::TicketBatch batch, Price price, Deadline deadline) {
    if (batch.count == 0) {
        co_return pay::Payment{
            .sender = batch.sender, .params = batch.params, .tickets = {}, .expected_price = price
        };
    }
    const auto reply = co_await call("/sign-tickets", write_tickets_request({batch, price}), deadline);
    if (!reply) {
        co_return fail(reply.error());
    }
    auto payment = decode_payment(text_member(*reply, "payment"));
    const bool right = payment && payment->sender == address_ && payment->params == batch.params &&
                       payment->tickets.size() == batch.count;
    if (!right) {
        co_return fail(Errc::kProtocol, "the signer signed something else than it was asked for");
    }
    for (std::uint32_t i = 0; i < batch.count; ++i) {
        if (payment->tickets[i].nonce != batch.first_nonce + i) {
            co_return fail(Errc::kProtocol, "the signer numbered the tickets in another way");
        }
    }
    co_return payment;
}

}  // namespace framegrid::wire
