// Port for randomness. The host's implementation is the system's CSPRNG; the simulator's is seeded.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace framegrid {

class Random {
  public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::uint8_t> out) = 0;
    virtual std::uint64_t next();

    // Uniform in [0, bound); bound > 0. Our own distributions, because the standard ones differ between
    // libraries.
    std::uint64_t below(std::uint64_t bound);
    // Uniform in [0, 1).
    double unit();
    // True with probability p.
    bool chance(double p) { return unit() < p; }
    // `bytes` random bytes as lower-case hex, for identifiers that nobody may guess.
    std::string hex(std::size_t bytes);
};

}  // namespace framegrid
