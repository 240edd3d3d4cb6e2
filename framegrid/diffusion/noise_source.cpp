#include <framegrid/diffusion/noise_source.hpp>

#include <cmath>
#include <numbers>

namespace framegrid::diffusion {
namespace {

// In (0, 1): never 0, whose logarithm would be infinite.
double unit(std::uint32_t bits) {
    return (bits + 0.5) * 0x1p-32;
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {
            static_cast<std::uint32_t>(b >> 32U) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
            static_cast<std::uint32_t>(a >> 32U) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)
        };
        key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
    }
    return counter;
}

void SeededNoise::fill(NoiseUse use, int index, std::span<float> out) {
    const std::array<std::uint32_t, 2> key{
        static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32U)
    };
    for (std::size_t i = 0; i < out.size(); i += 4) {
        const std::uint64_t block = i / 4;
        const auto bits = philox(
            {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32U),
             static_cast<std::uint32_t>(use), static_cast<std::uint32_t>(index)},
            key
        );
        std::array<float, 4> numbers{};
        for (std::size_t pair = 0; pair < 4; pair += 2) {
            const double radius = std::sqrt(-2 * std::log(unit(bits[pair])));
            const double angle = 2 * std::numbers::pi * unit(bits[pair + 1]);
            numbers[pair] = static_cast<float>(radius * std::cos(angle));
            numbers[pair + 1] = static_cast<float>(radius * std::sin(angle));
        }
        for (std::size_t k = 0; k < 4 && i + k < out.size(); ++k) {
            out[i + k] = numbers[k];
        }
    }
}

}  // namespace framegrid::diffusion
