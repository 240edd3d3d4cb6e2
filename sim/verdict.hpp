// What the checkers found. One finding fails the run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace framegrid::sim {

struct Finding {
    std::string checker;  // "content", "liveness", ...
    std::string text;
};

class Verdict {
  public:
    void fail(std::string checker, std::string text) {
        ++count_;
        if (findings_.size() < kKept) {
            findings_.push_back({std::move(checker), std::move(text)});
        }
    }
    void expect(bool holds, const char* checker, const std::string& text) {
        if (!holds) {
            fail(checker, text);
        }
    }
    bool ok() const { return count_ == 0; }
    std::uint64_t count() const { return count_; }
    const std::vector<Finding>& findings() const { return findings_; }

  private:
    static constexpr std::size_t kKept = 10;
    std::vector<Finding> findings_;
    std::uint64_t count_ = 0;
};

}  // namespace framegrid::sim
