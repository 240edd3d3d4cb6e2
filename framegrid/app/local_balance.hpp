// What a node of a local network has.
#pragma once

#include <string>

#include <framegrid/base/wei.hpp>

namespace framegrid::app {

// Deposit and reserve of the gateway, earnings of an orchestrator.
struct LocalBalance {
    std::string name;
    Wei deposit = 0;
    Wei reserve = 0;
    Wei earned = 0;
};

}  // namespace framegrid::app
