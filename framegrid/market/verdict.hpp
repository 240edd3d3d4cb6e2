// Why orchestrators do not get a job: for the client whose job nobody took, and for the operator who lost it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>

namespace framegrid::market {

// What keeps a job from an orchestrator; kNone: nothing does.
enum class Obstacle : std::uint8_t {
    kNone,
    kSilent,        // has not answered discovery yet
    kUnreachable,   // the last poll or job got no answer
    kIncompatible,  // does not offer what the job needs
    kPrice,         // asks for more than the job or the gateway allows
    kSuspended,     // rests after failures
    kBusy,          // said a moment ago that it is full
    kFull,          // has as many jobs of ours as it takes
    kTried,         // has failed at this very job
    kConstraint,    // the job's own constraints leave it out
};
inline constexpr std::size_t kObstacles = 10;
// "price", "suspended" ...
std::string_view to_string(Obstacle obstacle);

struct Verdict {
    std::string uri;
    Obstacle obstacle = Obstacle::kNone;
    std::string detail;  // "asks 70 wei per 1, the limit is 50 per 1"; empty: the obstacle says it all
};

// All candidates counted, some of them listed.
struct Explanation {
    std::vector<Verdict> listed;
    std::array<std::size_t, kObstacles> counts{};  // by Obstacle
    std::optional<Price> cheapest;                 // of those that ask too much

    void add(Verdict verdict, std::size_t listed_max);
    std::size_t considered() const;
    // "of 3 orchestrators 2 ask too much (the cheapest 70 wei per 1) and 1 rests after failures".
    std::string summary() const;
};

std::string to_string(const Price& price);  // "70 wei per 1"

}  // namespace framegrid::market
