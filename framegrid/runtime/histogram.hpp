// How often how long: a fixed set of buckets, from milliseconds to minutes.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid {

struct Histogram {
    // Upper bounds in seconds; what is above the last one counts in `count` only.
    static constexpr std::array kBounds{0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                        1.0,   2.5,  5.0,   10.0, 30.0, 60.0, 300.0};
    std::array<std::uint64_t, kBounds.size()> buckets{};  // each by itself, not summed up
    std::uint64_t count = 0;
    double seconds = 0;  // of all together

    void add(Duration took) {
        const double value = std::chrono::duration<double>(took).count();
        const auto bucket = std::ranges::lower_bound(kBounds, value);
        if (bucket != kBounds.end()) {
            ++buckets.at(static_cast<std::size_t>(bucket - kBounds.begin()));
        }
        ++count;
        seconds += value;
    }
};

// Rate, errors and duration of each kind of work: a histogram by name and by how it ended. At most `max` of
// them; what is new then counts as "other".
class Timings {
  public:
    explicit Timings(std::size_t max = 200) : max_(max) {}
    void add(std::string_view name, std::string_view result, Duration took);
    void dump(
        MetricsWriter& out, std::string_view metric, std::string_view name_label,
        std::string_view result_label = "result"
    ) const;

  private:
    std::size_t max_;
    std::map<std::pair<std::string, std::string>, Histogram> by_name_;
};

}  // namespace framegrid
