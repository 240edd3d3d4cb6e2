// Payments: what comes with a job, and the routes POST /payment and /refresh-payment (protocol section 3.4).
#include <boost/json.hpp>

#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/payment_header.hpp>

namespace framegrid::wire {

namespace {

namespace json = boost::json;

constexpr Duration kTimeMax = std::chrono::seconds(5);
constexpr std::size_t kRequestBytesMax = 4096;
constexpr std::string_view kManifestId = "manifest_id";

// Peers tell refused payments by the status.
Refusal payment_refusal(const Error& error) {
    const bool ours = error.code == Errc::kUnavailable || error.code == Errc::kCapacity;
    return {ours ? 503 : 400, error.message, error.code};
}

struct RefreshRequest {
    crypto::Address sender{};
    std::string manifest_id;
};

Result<RefreshRequest> read_refresh(std::string_view text) {
    boost::system::error_code failed;
    const auto root = json::parse(text, failed);
    const auto* object = failed ? nullptr : root.if_object();
    const auto text_of = [&](std::string_view name) {
        const auto* value = object == nullptr ? nullptr : object->if_contains(name);
        return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    RefreshRequest out;
    FG_TRY(sender, crypto::parse_address(text_of("sender")));
    out.sender = sender;
    out.manifest_id = text_of(kManifestId);
    if (out.manifest_id.empty()) {
        return fail(Errc::kInvalidArgument, "manifest_id is missing", std::string(kManifestId));
    }
    return out;
}

}  // namespace

Task<bool> OrchestratorServer::Impl::take_payment(http::Exchange& exchange, api::Job& head) {
    const auto taken = co_await ports_.service.take_payment(head, Deadline::after(ports_.clock, kTimeMax));
    if (!taken) {
        co_await refuse(exchange, payment_refusal(taken.error()));
    }
    co_return taken.has_value();
}

Task<void> OrchestratorServer::Impl::serve_payment(http::Exchange& exchange) {
    auto header = read_headers(exchange);
    if (!header) {
        co_await refuse(exchange, std::move(header).error());
        co_return;
    }
    const Deadline deadline = Deadline::after(ports_.clock, kTimeMax);
    const auto info = co_await ports_.service.prepay(std::move(header->job), deadline);
    if (!info) {
        co_await refuse(exchange, payment_refusal(info.error()));
        co_return;
    }
    net::PaymentResult result;
    *result.mutable_info() = to_proto(*info);
    http::ResponseHead head;
    [[maybe_unused]] const auto sent =
        co_await exchange.response.respond(std::move(head), Blob(to_bytes(result.SerializeAsString())));
}

Task<void> OrchestratorServer::Impl::serve_refresh_payment(http::Exchange& exchange) {
    const auto body = co_await http::read_all(exchange.body, kRequestBytesMax);
    auto request = body ? read_refresh(body->text()) : Result<RefreshRequest>(std::unexpected(body.error()));
    if (!request) {
        co_await refuse(exchange, {400, request.error().message, request.error().code});
        co_return;
    }
    const Deadline deadline = Deadline::after(ports_.clock, kTimeMax);
    const auto info = co_await ports_.service.payment_info(request->sender, request->manifest_id, deadline);
    if (!info) {
        const bool none = info.error().code == Errc::kNotFound;
        Refusal refusal =
            none ? Refusal{409, info.error().message, Errc::kNotFound} : payment_refusal(info.error());
        co_await refuse(exchange, std::move(refusal));
        co_return;
    }
    std::string_view base = settings_.service_uri;
    if (base.ends_with('/')) {
        base.remove_suffix(1);
    }
    const json::object answer{
        {"payment_params", crypto::base64(as_bytes(to_proto(*info).SerializeAsString()))},
        {"orchestrator", info->service_uri},
        {kManifestId, request->manifest_id},
        {"payment_url", std::string(base) + "/payment"}
    };
    http::ResponseHead head;
    head.headers = {{"content-type", "application/json"}};
    [[maybe_unused]] const auto sent =
        co_await exchange.response.respond(std::move(head), Blob(to_bytes(json::serialize(answer))));
}

}  // namespace framegrid::wire
