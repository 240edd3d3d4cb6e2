// Units that jobs are paid by where the job table does not say it, and estimates made before the work
// (protocol section 5.5, AI API section 1.8). For AI pictures and videos see job::payable_units().
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <framegrid/pay/money.hpp>

namespace framegrid::pay {

// What an estimate needs to know of a rendition. fps_denominator is 1 for whole numbers; fps 0: as the
// source.
struct RenditionSize {
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::int64_t fps = 0;
    std::int64_t fps_denominator = 1;
};
// Pixels of all renditions, with rates and the duration rounded up; 60 pictures per second where the source
// decides.
std::int64_t estimated_pixels(std::span<const RenditionSize> renditions, std::int64_t duration_ms);
// What to pay before a segment is transcoded: 1.02 x its pixels x price.
Money estimated_fee(std::int64_t pixels, const Price& price);

// Text to speech is counted in two ways in the network: orchestrators debit 1000 for each character, gateways
// of the reference implementation pay for bytes and run dry. We pay what will be debited, and debit what was
// paid.
std::int64_t speech_units_to_pay(std::string_view text);
std::int64_t speech_units_to_debit(std::string_view text, bool payer_counts_bytes);
// Whole seconds x 1000.
std::int64_t audio_units(std::int64_t duration_ms);
// Live video is paid as if it were 720p at 30 pictures per second, whatever it is; a minute ahead.
inline constexpr std::int64_t kLiveUnitsPerSecond = std::int64_t{1280} * 720 * 30;
inline constexpr std::int64_t kLivePrepaidSeconds = 60;
// Requested tokens when a request does not say.
inline constexpr std::int64_t kDefaultMaxTokens = 256;

}  // namespace framegrid::pay
