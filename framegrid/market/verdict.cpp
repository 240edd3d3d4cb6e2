#include <framegrid/market/verdict.hpp>

#include <algorithm>
#include <utility>

namespace framegrid::market {

namespace {

struct Words {
    std::string_view name;
    std::string_view one;   // "1 ..."
    std::string_view many;  // "2 ..."
};

// By Obstacle.
constexpr std::array<Words, kObstacles> kWords{{
    {"none", "is free", "are free"},
    {"silent", "has not answered yet", "have not answered yet"},
    {"unreachable", "cannot be reached", "cannot be reached"},
    {"incompatible", "does not offer what the job needs", "do not offer what the job needs"},
    {"price", "asks too much", "ask too much"},
    {"suspended", "rests after failures", "rest after failures"},
    {"busy", "said that it is full", "said that they are full"},
    {"full", "has as many jobs as it takes", "have as many jobs as they take"},
    {"tried", "has failed at this job", "have failed at this job"},
    {"constraint", "is left out by the job's constraints", "are left out by the job's constraints"},
}};

}  // namespace

std::string_view to_string(Obstacle obstacle) {
    return kWords[static_cast<std::size_t>(obstacle)].name;
}

std::string to_string(const Price& price) {
    return std::to_string(price.wei) + " wei per " + std::to_string(price.units);
}

void Explanation::add(Verdict verdict, std::size_t listed_max) {
    ++counts[static_cast<std::size_t>(verdict.obstacle)];
    if (listed.size() < listed_max) {
        listed.push_back(std::move(verdict));
    }
}

std::size_t Explanation::considered() const {
    std::size_t out = 0;
    for (const auto count : counts) {
        out += count;
    }
    return out;
}

std::string Explanation::summary() const {
    const auto all = considered();
    if (all == 0) {
        return "no orchestrators are known";
    }
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < kObstacles; ++i) {
        if (counts[i] == 0) {
            continue;
        }
        auto part =
            std::to_string(counts[i]) + " " + std::string(counts[i] == 1 ? kWords[i].one : kWords[i].many);
        if (static_cast<Obstacle>(i) == Obstacle::kPrice && cheapest) {
            part += " (the cheapest " + to_string(*cheapest) + ")";
        }
        parts.push_back(std::move(part));
    }
    std::string out = all == 1 ? "of 1 orchestrator " : "of " + std::to_string(all) + " orchestrators ";
    for (std::size_t i = 0; i < parts.size(); ++i) {
        out += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
    }
    return out;
}

}  // namespace framegrid::market
