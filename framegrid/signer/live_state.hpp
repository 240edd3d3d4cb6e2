// The state of a live session as the network's remote signers hand it to their callers: JSON, opaque to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/pay/money.hpp>

namespace framegrid::signer {

// By seconds, by pixels of 720p video, once, or by what the caller counts.
enum class LiveType : std::uint8_t { kLive, kLiveVideo, kFixed, kUnits };
std::string_view to_string(LiveType type);  // "live", "lv2v", "fixed", ""
std::optional<LiveType> parse_live_type(std::string_view text);

struct LiveState {
    std::string id;
    std::string session;       // hex of the params' recipientRandHash
    std::string orchestrator;  // the recipient's address
    std::string app;
    std::string caller;
    std::int64_t updated_unix_ms = 0;
    std::int64_t params_since_unix_ms = 0;  // since when the session has these params
    std::uint32_t nonce = 0;                // the last one used
    std::uint64_t sequence = 0;
    pay::Money balance;
    Price price_at_start{};
    LiveType type = LiveType::kLive;
};

std::string write_live_state(const LiveState& state);
// At most 64 KiB. kInvalidArgument.
Result<LiveState> read_live_state(std::string_view json);

// What a call pays for: the units since `updated_unix_ms`, or the advance of the first call (0). Not of
// kUnits.
std::int64_t live_units(LiveType type, std::int64_t updated_unix_ms, std::int64_t now_unix_ms);

}  // namespace framegrid::signer
