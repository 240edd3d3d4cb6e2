#include <framegrid/diffusion/unicode_text.hpp>

#include <bit>
#include <vector>

#include <utf8proc.h>

namespace framegrid::diffusion {
namespace {

constexpr std::int32_t kCapitalIWithDot = 0x130;  // the one letter whose lower case is two characters

void append(std::string& out, std::int32_t code_point) {
    utf8proc_uint8_t bytes[4];
    const auto size = utf8proc_encode_char(code_point, bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

}  // namespace

CharClass classify(std::int32_t code_point) {
    switch (utf8proc_category(code_point)) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
            return CharClass::kLetter;
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
            return CharClass::kNumber;
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return CharClass::kSpace;
        default:
            return (code_point >= 0x9 && code_point <= 0xD) || code_point == 0x85 ? CharClass::kSpace
                                                                                  : CharClass::kOther;
    }
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        utf8proc_int32_t code_point = 0;
        const auto size = utf8proc_iterate(
            reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
            static_cast<utf8proc_ssize_t>(text.size()), &code_point
        );
        if (size <= 0) {
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

std::int32_t take_code_point(std::string_view& text) {
    utf8proc_int32_t code_point = 0;
    const auto size = utf8proc_iterate(
        reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
        &code_point
    );
    FG_ASSERT(size > 0);
    text.remove_prefix(static_cast<std::size_t>(size));
    return code_point;
}

std::string compose_and_lower(std::string_view text) {
    constexpr auto kOptions = std::bit_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto size = static_cast<utf8proc_ssize_t>(text.size());
    const auto count = utf8proc_decompose(bytes, size, nullptr, 0, kOptions);
    FG_ASSERT(count >= 0);
    // utf8proc_reencode() is not used: it would want one more element for its final zero.
    std::vector<utf8proc_int32_t> points(static_cast<std::size_t>(count));
    FG_ASSERT(utf8proc_decompose(bytes, size, points.data(), count, kOptions) == count);
    const auto composed = utf8proc_normalize_utf32(points.data(), count, kOptions);
    FG_ASSERT(composed >= 0);
    points.resize(static_cast<std::size_t>(composed));
    std::string out;
    out.reserve(text.size());
    for (const utf8proc_int32_t point : points) {
        if (point == kCapitalIWithDot) {
            out += "i\u0307";
        } else {
            append(out, utf8proc_tolower(point));
        }
    }
    return out;
}

}  // namespace framegrid::diffusion
