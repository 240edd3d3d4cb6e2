// Seeded randomness for unit tests and the simulator: the same seed gives the same run with every compiler.
#pragma once

#include <cstdint>
#include <random>

#include <framegrid/runtime/random.hpp>

namespace framegrid {

class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
    void fill(std::span<std::uint8_t> out) override {
        for (auto& byte : out) {
            byte = static_cast<std::uint8_t>(engine_() >> 56);
        }
    }
    std::uint64_t next() override { return engine_(); }

  private:
    std::mt19937_64 engine_;
};

}  // namespace framegrid
