// How far what we compute is from what the reference did.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace framegrid::diffusion::testing {

// The largest difference, as a part of the largest reference value; infinite when the sizes differ.
inline double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
    if (got.size() != want.size()) {
        return INFINITY;
    }
    double difference = 0;
    double largest = 1e-3;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double d = std::abs(static_cast<double>(got[i]) - want[i]);
        difference = d <= difference ? difference : d;  // NaN counts
        largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    }
    return difference / largest;
}

}  // namespace framegrid::diffusion::testing
