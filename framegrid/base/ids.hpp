// Identifiers and quantities that cannot be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace framegrid {

// A number with a name: StrongInt<struct TaskIdTag> cannot be passed where another tag is expected.
template <class Tag, class Rep = std::uint64_t>
struct StrongInt {
    Rep value{};
    friend auto operator<=>(const StrongInt&, const StrongInt&) = default;
};

using TaskId =
    StrongInt<struct TaskIdTag, std::int64_t>;   // per-orchestrator task counter (protocol section 7)
using WorkerId = StrongInt<struct WorkerIdTag>;  // per-orchestrator registration counter
using Pixels = StrongInt<struct PixelsTag, std::int64_t>;  // width x height x frames

inline Pixels operator+(Pixels a, Pixels b) {
    return {a.value + b.value};
}

// A price as the protocol carries it: wei per `units` units (pixels, seconds ...); units is never 0.
struct Price {
    std::int64_t wei = 0;
    std::int64_t units = 1;
    friend bool operator==(const Price&, const Price&) = default;
};
// Exact comparison of two fractions.
inline std::strong_ordering operator<=>(const Price& a, const Price& b) {
    __extension__ using Wide = __int128;
    return static_cast<Wide>(a.wei) * b.units <=> static_cast<Wide>(b.wei) * a.units;
}

}  // namespace framegrid

template <class Tag, class Rep>
struct std::hash<framegrid::StrongInt<Tag, Rep>> {
    std::size_t operator()(const framegrid::StrongInt<Tag, Rep>& id) const noexcept {
        return std::hash<Rep>{}(id.value);
    }
};
