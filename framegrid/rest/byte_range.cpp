#include <framegrid/rest/byte_range.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace framegrid::rest {

namespace {

std::optional<std::uint64_t> parse_number(std::string_view digits) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    return whole && !digits.empty() ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<ByteRange> parse_range(std::string_view header, std::uint64_t size) {
    const ByteRange all{0, size, false};
    constexpr std::string_view kUnit = "bytes=";
    if (!header.starts_with(kUnit) || header.find(',') != std::string_view::npos) {
        return all;
    }
    header.remove_prefix(kUnit.size());
    const auto dash = header.find('-');
    if (dash == std::string_view::npos) {
        return all;
    }
    const auto first = parse_number(header.substr(0, dash));
    const auto last = parse_number(header.substr(dash + 1));
    const auto none = fail(
        Errc::kInvalidArgument, "the file has " + std::to_string(size) + " bytes; nothing of that range",
        "range"
    );
    if (!first) {
        if (dash != 0 || !last) {
            return all;
        }
        const auto bytes = std::min(*last, size);  // the last so many
        return bytes == 0 ? Result<ByteRange>(none) : ByteRange{size - bytes, bytes, true};
    }
    if (!last && dash + 1 != header.size()) {
        return all;
    }
    if (last && *last < *first) {
        return all;
    }
    if (*first >= size) {
        return none;
    }
    return ByteRange{*first, std::min(last.value_or(size), size - 1) - *first + 1, true};
}

}  // namespace framegrid::rest
