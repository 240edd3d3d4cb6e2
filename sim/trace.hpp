// A fingerprint of everything that happened in a run, in order.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace framegrid::sim {

// FNV-1a over 64-bit words instead of bytes, with a rotation so that high bits reach low ones. The same on
// every machine.
class Trace {
  public:
    void add(std::uint64_t word) {
        hash_ = (hash_ ^ word) * 0x100000001b3ULL;
        hash_ = hash_ << 29 | hash_ >> 35;
        ++words_;
    }
    void add(std::initializer_list<std::uint64_t> words) {
        for (const std::uint64_t word : words) {
            add(word);
        }
    }
    void add(std::string_view text) {
        for (const char c : text) {
            add(static_cast<std::uint8_t>(c));
        }
    }
    std::uint64_t hash() const { return hash_; }
    std::uint64_t words() const { return words_; }

  private:
    std::uint64_t hash_ = 0xcbf29ce484222325ULL;
    std::uint64_t words_ = 0;
};

}  // namespace framegrid::sim
