#include <framegrid/signer/live_state.hpp>

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include <framegrid/pay/units.hpp>

namespace framegrid::signer {

namespace {

namespace json = boost::json;

constexpr std::array<std::pair<LiveType, std::string_view>, 4> kTypes{
    {{LiveType::kLive, "live"},
     {LiveType::kLiveVideo, "lv2v"},
     {LiveType::kFixed, "fixed"},
     {LiveType::kUnits, ""}}
};
constexpr std::size_t kStateBytesMax = 64 * 1024;
constexpr std::int64_t kFirstSecondsLive = 10;
// Nobody pays for longer than that in one call, whatever the clocks say.
constexpr std::int64_t kMillisecondsMax = 3'600'000;

std::string text_of(const json::object& object, const char* name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}
std::int64_t number_of(const json::object& object, const char* name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_int64() ? value->get_int64() : -1;
}

std::unexpected<Error> bad_state() {
    return fail(Errc::kInvalidArgument, "the state is not one of this signer", "state");
}

}  // namespace

std::string_view to_string(LiveType type) {
    return std::ranges::find(kTypes, type, &std::pair<LiveType, std::string_view>::first)->second;
}

std::optional<LiveType> parse_live_type(std::string_view text) {
    const auto* const found = std::ranges::find(kTypes, text, &std::pair<LiveType, std::string_view>::second);
    return found == kTypes.end() ? std::nullopt : std::optional(found->first);
}

std::string write_live_state(const LiveState& state) {
    return json::serialize(json::object{
        {"StateID", state.id},
        {"PMSessionID", state.session},
        {"LastUpdate", state.updated_unix_ms},
        {"ParamsSince", state.params_since_unix_ms},
        {"OrchestratorAddress", state.orchestrator},
        {"App", state.app},
        {"SenderNonce", state.nonce},
        {"Balance", state.balance.text()},
        {"InitialPricePerUnit", state.price_at_start.wei},
        {"InitialPixelsPerUnit", state.price_at_start.units},
        {"Type", to_string(state.type)},
        {"SequenceNumber", state.sequence},
        {"AuthID", state.caller}
    });
}

Result<LiveState> read_live_state(std::string_view text) {
    boost::system::error_code bad;
    const auto root = text.size() > kStateBytesMax ? json::value() : json::parse(text, bad);
    if (bad || !root.is_object()) {
        return bad_state();
    }
    const auto& object = root.get_object();
    LiveState out;
    out.id = text_of(object, "StateID");
    out.session = text_of(object, "PMSessionID");
    out.orchestrator = text_of(object, "OrchestratorAddress");
    out.app = text_of(object, "App");
    out.caller = text_of(object, "AuthID");
    out.updated_unix_ms = number_of(object, "LastUpdate");
    // A state from before there was one has had its params since its last payment, for all we know.
    const auto since = number_of(object, "ParamsSince");
    out.params_since_unix_ms = since < 0 ? out.updated_unix_ms : since;
    const auto nonce = number_of(object, "SenderNonce");
    const auto sequence = number_of(object, "SequenceNumber");
    out.price_at_start = {
        number_of(object, "InitialPricePerUnit"), number_of(object, "InitialPixelsPerUnit")
    };
    const auto balance = pay::Money::parse(text_of(object, "Balance"));
    const auto type = parse_live_type(text_of(object, "Type"));
    const bool numbers = out.updated_unix_ms >= 0 && nonce >= 0 && nonce <= UINT32_MAX && sequence >= 0 &&
                         out.price_at_start.wei >= 0 && out.price_at_start.units > 0;
    if (!numbers || !balance || !type || out.session.empty()) {
        return bad_state();
    }
    out.nonce = static_cast<std::uint32_t>(nonce);
    out.sequence = static_cast<std::uint64_t>(sequence);
    out.balance = *balance;
    out.type = *type;
    return out;
}

std::int64_t live_units(LiveType type, std::int64_t updated_unix_ms, std::int64_t now_unix_ms) {
    const bool first = updated_unix_ms == 0;
    const auto passed = std::clamp<std::int64_t>(now_unix_ms - updated_unix_ms, 0, kMillisecondsMax);
    switch (type) {
        case LiveType::kFixed:
            return 1;
        case LiveType::kLive:
            return first ? kFirstSecondsLive : (passed + 999) / 1000;
        case LiveType::kUnits:
            return 0;
        case LiveType::kLiveVideo:
            break;
    }
    return first ? pay::kLiveUnitsPerSecond * pay::kLivePrepaidSeconds
                 : pay::kLiveUnitsPerSecond * passed / 1000;
}

}  // namespace framegrid::signer
