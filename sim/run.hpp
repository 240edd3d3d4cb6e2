// One run of one seed: build, break, heal, check.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <sim/checkers.hpp>
#include <sim/clients.hpp>
#include <sim/plan.hpp>
#include <sim/verdict.hpp>

namespace framegrid::sim {

struct RunReport {
    RunSettings settings;
    std::string plan;
    bool mild = false;
    Verdict verdict;
    ClientStats clients;
    Totals totals;
    Peaks peaks;
    NetworkStats network;
    std::map<std::string, std::uint64_t> faults;
    double virtual_seconds = 0;
    std::uint64_t steps = 0;  // handlers and timed events
    std::uint64_t trace_hash = 0;
};

RunReport run(const RunSettings& settings);

}  // namespace framegrid::sim
