#include <framegrid/wire/signer_messages.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <boost/json.hpp>

#include <framegrid/wire/livepeer.pb.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/segment_header.hpp>

namespace framegrid::wire {

namespace {

namespace json = boost::json;

constexpr std::size_t kNameBytesMax = 1'024;
constexpr std::size_t kProfilesMax = 1'024;

std::unexpected<Error> bad_field(std::string what, std::string field) {
    return fail(Errc::kInvalidArgument, std::move(what), std::move(field));
}

// A member of an object: its text, or nothing; anything else is wrong.
Result<std::string> text_in(const json::object& object, const char* name, std::size_t bytes_max) {
    const auto* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) {
        return std::string();
    }
    if (!value->is_string() || value->get_string().size() > bytes_max) {
        return bad_field(std::string(name) + " is not a text, or too long", name);
    }
    return std::string(value->get_string());
}

Result<std::int64_t> number_in(const json::object& object, const char* name) {
    const auto* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) {
        return 0;
    }
    if (!value->is_int64() || value->get_int64() < 0) {
        return bad_field(std::string(name) + " is not a whole number from 0 on", name);
    }
    return value->get_int64();
}

Result<Bytes> bytes_in(const json::object& object, const char* name) {
    FG_TRY(text, text_in(object, name, 1 << 20));
    auto bytes = crypto::parse_base64(text);
    if (!bytes) {
        return bad_field(std::string(name) + " is not base64", name);
    }
    return bytes;
}

Result<json::object> object_of(std::string_view text) {
    boost::system::error_code bad;
    auto root = json::parse(text, bad);
    if (bad || !root.is_object()) {
        return bad_field("the body is a JSON object", "body");
    }
    return std::move(root.get_object());
}

// A number or a text, decimals and all: as it is written.
std::string price_text(const json::value* value) {
    if (value == nullptr) {
        return {};
    }
    if (value->is_string()) {
        return std::string(value->get_string());
    }
    if (value->is_double()) {
        std::array<char, 32> text{};
        const auto end = std::to_chars(text.begin(), text.end(), value->get_double()).ptr;
        return {text.begin(), end};
    }
    return value->is_int64() ? std::to_string(value->get_int64()) : std::string();
}

// {"price","currency","unit"}: what the caller pays at most for one unit of its type.
Result<std::optional<Price>> price_max_of(const json::object& object, signer::LiveType type) {
    const auto* value = object.if_contains("maxPrice");
    if (value == nullptr || value->is_null()) {
        return std::optional<Price>{};
    }
    if (!value->is_object()) {
        return bad_field("maxPrice is an object", "maxPrice");
    }
    const auto& most = value->get_object();
    FG_TRY(currency, text_in(most, "currency", kNameBytesMax));
    FG_TRY(unit, text_in(most, "unit", kNameBytesMax));
    if (type == signer::LiveType::kUnits) {
        return bad_field("maxPrice is of a type: live, lv2v or fixed", "maxPrice");
    }
    const auto tag = pay::parse_price(price_text(most.if_contains("price")));
    if (!tag || tag->digits == 0 || tag->units != 1 || tag->currency != pay::Currency::kWei) {
        return bad_field("maxPrice.price is a decimal number over 0", "maxPrice.price");
    }
    const std::string_view own = type == signer::LiveType::kLive    ? "seconds"
                                 : type == signer::LiveType::kFixed ? "fixed"
                                                                    : "720p-pixel-seconds";
    if (!unit.empty() && unit != own) {
        return bad_field("prices of this type are for " + std::string(own), "maxPrice.unit");
    }
    if (!currency.empty() && currency != "wei" && currency != "WEI") {
        return bad_field("this signer knows prices in wei", "maxPrice.currency");
    }
    return std::optional(pay::to_price(pay::BigInt(tag->digits), pow(pay::BigInt(10), tag->decimals)));
}

Result<void> read_info(const Bytes& bytes, LiveCall& call) {
    auto& out = call.request;
    net::OrchestratorInfo info;
    if (bytes.empty() || !info.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return bad_field("orchestrator is not an OrchestratorInfo", "orchestrator");
    }
    if (!info.has_ticket_params() || !info.has_price_info()) {
        return bad_field("the orchestrator names no ticket params or no price", "orchestrator");
    }
    FG_TRY(params, from_proto(info.ticket_params()));
    out.params = std::move(params);
    out.price = {info.price_info().priceperunit(), info.price_info().pixelsperunit()};
    if (out.price.wei <= 0 || out.price.units <= 0) {
        return bad_field("the orchestrator's price is none", "orchestrator");
    }
    if (!info.has_auth_token()) {
        return bad_field("missing auth token: the orchestrator's info names none", "orchestrator");
    }
    FG_TRY(token, from_proto(info.auth_token()));
    call.token = std::move(token);
    out.token_expires_unix_s = call.token.expires_unix_s;
    FG_CHECK(check_text(info.transcoder(), Limits::kUrlBytes, "orchestrator.transcoder"));
    call.orchestrator_url = info.transcoder();
    return {};
}

Result<job::Capabilities> needs_in(const json::object& object) {
    FG_TRY(bytes, bytes_in(object, "capabilities"));
    net::Capabilities message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return bad_field("capabilities are no Capabilities", "capabilities");
    }
    return from_proto(message);
}

Result<void> read_state(const json::object& object, signer::LiveRequest& out) {
    const auto* value = object.if_contains("state");
    if (value == nullptr || value->is_null()) {
        return {};
    }
    if (!value->is_object()) {
        return bad_field("state is an object", "state");
    }
    FG_TRY(state, bytes_in(value->get_object(), "State"));
    FG_TRY(signature, bytes_in(value->get_object(), "Sig"));
    out.state = as_text(state);
    out.state_signature = std::move(signature);
    return {};
}

}  // namespace

Result<LiveCall> parse_live_request(std::string_view text) {
    FG_TRY(object, object_of(text));
    LiveCall call;
    auto& out = call.request;
    FG_TRY(type, text_in(object, "type", kNameBytesMax));
    const auto known = signer::parse_live_type(type);
    if (!known) {
        return bad_field("type is live, lv2v or fixed, or there is none", "type");
    }
    out.type = *known;
    FG_TRY(info, bytes_in(object, "orchestrator"));
    FG_CHECK(read_info(info, call));
    FG_CHECK(read_state(object, out));
    FG_TRY(manifest, text_in(object, "ManifestID", kNameBytesMax));
    FG_TRY(app, text_in(object, "app", kNameBytesMax));
    FG_TRY(units, number_in(object, "inPixels"));
    if (out.type == signer::LiveType::kUnits && units == 0) {
        return bad_field("missing billable unit or job type: name inPixels or type", "inPixels");
    }
    FG_TRY(most, price_max_of(object, out.type));
    FG_TRY(needs, needs_in(object));
    call.needs = std::move(needs);
    out.manifest_id = std::move(manifest);
    out.app = std::move(app);
    out.units = units;
    out.price_max = most;
    return call;
}

std::string live_credentials(
    const LiveCall& call, const std::string& manifest_id, const crypto::PrivateKey& key
) {
    api::Job job;
    job.manifest_id = manifest_id;
    job.token = call.token;
    job.needs = call.needs;
    job.work.kind = api::TranscodeWork{};
    return encode_segment_header(job, crypto::keccak256({}), &key);
}

std::string write_live_payment(const signer::LivePayment& payment, const std::string& segment_header) {
    return json::serialize(json::object{
        {"payment", encode_payment(payment.payment)},
        {"segCreds", segment_header},
        {"state",
         json::object{
             {"State", crypto::base64(as_bytes(payment.state))},
             {"Sig", crypto::base64(payment.state_signature)}
         }}
    });
}

Result<TicketsRequest> parse_tickets_request(std::string_view text) {
    FG_TRY(object, object_of(text));
    FG_TRY(bytes, bytes_in(object, "ticket_params"));
    net::TicketParams message;
    if (bytes.empty() || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return bad_field("ticket_params is not a TicketParams", "ticket_params");
    }
    TicketsRequest out;
    FG_TRY(params, from_proto(message));
    FG_TRY(first, number_in(object, "first_nonce"));
    FG_TRY(count, number_in(object, "count"));
    const auto* price = object.if_contains("price");
    if (price == nullptr || !price->is_object()) {
        return bad_field("price is an object", "price");
    }
    FG_TRY(wei, number_in(price->get_object(), "wei"));
    FG_TRY(units, number_in(price->get_object(), "units"));
    if (first > UINT32_MAX || count > UINT32_MAX || units == 0) {
        return bad_field("a number is out of its range", units == 0 ? "price" : "count");
    }
    out.batch.params = std::move(params);
    out.batch.first_nonce = static_cast<std::uint32_t>(first);
    out.batch.count = static_cast<std::uint32_t>(count);
    out.price = {wei, units};
    return out;
}

std::string write_tickets_request(const TicketsRequest& request) {
    return json::serialize(json::object{
        {"ticket_params", crypto::base64(as_bytes(to_proto(request.batch.params).SerializeAsString()))},
        {"first_nonce", request.batch.first_nonce},
        {"count", request.batch.count},
        {"price", json::object{{"wei", request.price.wei}, {"units", request.price.units}}}
    });
}

Result<signer::SegmentRequest> parse_segment_request(std::string_view text) {
    FG_TRY(object, object_of(text));
    signer::SegmentRequest out;
    FG_TRY(manifest, text_in(object, "manifest_id", kNameBytesMax));
    FG_TRY(seq, number_in(object, "seq"));
    FG_TRY(hash, text_in(object, "hash", kNameBytesMax));
    const auto bytes = crypto::parse_hex(hash);
    if (!bytes || bytes->size() != out.hash.size()) {
        return bad_field("hash is 32 bytes in hex", "hash");
    }
    std::ranges::copy(*bytes, out.hash.begin());
    const auto* profiles = object.if_contains("profiles");
    if (profiles != nullptr && (!profiles->is_array() || profiles->get_array().size() > kProfilesMax)) {
        return bad_field("profiles is a list of names", "profiles");
    }
    for (std::size_t i = 0; profiles != nullptr && i < profiles->get_array().size(); ++i) {
        const auto& name = profiles->get_array()[i];
        if (!name.is_string() || name.get_string().size() > kNameBytesMax) {
            return bad_field("profiles is a list of names", "profiles");
        }
        out.profile_names.emplace_back(name.get_string());
    }
    out.manifest_id = std::move(manifest);
    out.seq = seq;
    return out;
}

std::string write_segment_request(const signer::SegmentRequest& request) {
    json::array profiles;
    for (const auto& name : request.profile_names) {
        profiles.emplace_back(name);
    }
    return json::serialize(json::object{
        {"manifest_id", request.manifest_id},
        {"seq", request.seq},
        {"hash", crypto::hex(request.hash)},
        {"profiles", std::move(profiles)}
    });
}

Result<ReceiptsQuery> parse_receipts_query(std::string_view query) {
    constexpr std::string_view kHour = "hour=";
    constexpr std::string_view kPrevious = "&previous=";
    const auto middle = query.find(kPrevious);
    if (!query.starts_with(kHour) || middle == std::string_view::npos) {
        return bad_field("the query is hour=2026-11-27T06&previous=HEX", "hour");
    }
    ReceiptsQuery out{std::string(query.substr(kHour.size(), middle - kHour.size())), {}};
    const auto bytes = crypto::parse_hex(query.substr(middle + kPrevious.size()));
    if (!bytes || bytes->size() != out.previous.size()) {
        return bad_field("previous is 32 bytes in hex", "previous");
    }
    std::ranges::copy(*bytes, out.previous.begin());
    return out;
}

std::string write_receipts_query(const ReceiptsQuery& query) {
    return "hour=" + query.hour + "&previous=" + crypto::hex(query.previous);
}

}  // namespace framegrid::wire
