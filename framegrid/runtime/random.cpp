#include <framegrid/runtime/random.hpp>

#include <cstring>

#include <framegrid/base/result.hpp>

namespace framegrid {

std::uint64_t Random::next() {
    std::uint8_t raw[8];
    fill(raw);
    std::uint64_t value = 0;
    std::memcpy(&value, raw, sizeof value);
    return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
    FG_ASSERT(bound > 0);
    // Rejection keeps it uniform for every bound.
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    std::uint64_t value = next();
    while (value >= limit) {
        value = next();
    }
    return value % bound;
}

double Random::unit() {
    return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

std::string Random::hex(std::size_t bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes * 2);
    for (std::size_t i = 0; i < bytes; ++i) {
        std::uint8_t byte[1];
        fill(byte);
        out += kDigits[byte[0] >> 4];
        out += kDigits[byte[0] & 15];
    }
    return out;
}

}  // namespace framegrid
