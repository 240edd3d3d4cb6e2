// Random numbers of a generation: the same on every machine for the same seed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace framegrid::diffusion {

// What numbers are for. Each use has its own stream, so that one of them being skipped or drawn in another
// order does not change the others.
enum class NoiseUse : std::uint8_t {
    kStart = 0,        // the first sample
    kStep = 1,         // fresh noise of a step
    kImage = 2,        // the autoencoder's sample of the input picture
    kMaskedImage = 3,  // ... and of what its mask leaves
    kAugment = 4,      // added to the input picture (image to video)
};

class NoiseSource {
  public:
    virtual ~NoiseSource() = default;
    // Fills `out` with normal numbers (mean 0, variance 1). The same for the same use and index; `index` is
    // the step, or 0.
    virtual void fill(NoiseUse use, int index, std::span<float> out) = 0;
};

// Philox 4x32 with 10 rounds (Salmon et al. 2011), the key being the seed and the counter (block, use and
// index), then Box-Muller in double precision: two numbers of 32 bits each give two normal ones. Every
// platform makes the same bits up to the rounding of log, sin and cos. The i-th number does not depend on how
// many are asked for.
class SeededNoise final : public NoiseSource {
  public:
    explicit SeededNoise(std::uint64_t seed) : seed_(seed) {}
    void fill(NoiseUse use, int index, std::span<float> out) override;

  private:
    std::uint64_t seed_;
};

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace framegrid::diffusion
