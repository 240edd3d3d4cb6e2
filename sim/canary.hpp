// Gateways with a bug on purpose: the checkers must see each of them, else they see nothing.
#pragma once

#include <memory>

#include <framegrid/gateway/gateway.hpp>
#include <sim/plan.hpp>

namespace framegrid::sim {

// Wraps an honest gateway; kNone and kTrust (a matter of settings) return it as it is.
std::unique_ptr<gateway::Gateway> with_canary(Canary canary, std::unique_ptr<gateway::Gateway> honest);

}  // namespace framegrid::sim
