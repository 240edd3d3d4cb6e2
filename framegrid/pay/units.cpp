#include <framegrid/pay/units.hpp>

#include <algorithm>

namespace framegrid::pay {

namespace {

constexpr std::int64_t kFpsOfUnknownSource = 60;
constexpr std::int64_t kUnitsPerCharacter = 1000;

// 1.02 as peers have it: the nearest binary fraction.
constexpr std::int64_t kMarginNumerator = 2'296'835'809'958'953;
constexpr std::int64_t kMarginDenominator = std::int64_t{1} << 51;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

}  // namespace

std::int64_t estimated_pixels(std::span<const RenditionSize> renditions, std::int64_t duration_ms) {
    const std::int64_t seconds = ceil_div(std::max<std::int64_t>(duration_ms, 0), 1000);
    std::int64_t pixels = 0;
    for (const RenditionSize& one : renditions) {
        const std::int64_t denominator = std::max<std::int64_t>(one.fps_denominator, 1);
        const std::int64_t fps = one.fps == 0 ? kFpsOfUnknownSource : ceil_div(one.fps, denominator);
        pixels += one.width * one.height * fps * seconds;
    }
    return pixels;
}

Money estimated_fee(std::int64_t pixels, const Price& price) {
    return Money::fraction(
        BigInt(pixels) * price.wei * kMarginNumerator, BigInt(price.units) * kMarginDenominator
    );
}

std::int64_t speech_units_to_pay(std::string_view text) {
    // Every byte that begins a character; text of requests is UTF-8 (base/utf8).
    const auto characters =
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
    return characters * kUnitsPerCharacter;
}

std::int64_t speech_units_to_debit(std::string_view text, bool payer_counts_bytes) {
    return payer_counts_bytes ? static_cast<std::int64_t>(text.size()) : speech_units_to_pay(text);
}

std::int64_t audio_units(std::int64_t duration_ms) {
    return duration_ms / 1000 * 1000;
}

}  // namespace framegrid::pay
