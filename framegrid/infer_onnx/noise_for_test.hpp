// Numbers to feed networks with in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace framegrid::infer_onnx {

// Numbers that repeat for a seed, between -1 and 1.
inline std::vector<float> noise(std::size_t size, std::uint32_t seed) {
    std::vector<float> out(size);
    for (auto& value : out) {
        seed = seed * 1664525U + 1013904223U;
        value = static_cast<float>(seed >> 8U) / static_cast<float>(1U << 23U) - 1.0F;
    }
    return out;
}

}  // namespace framegrid::infer_onnx
