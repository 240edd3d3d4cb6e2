// What the demo's jobs cost, and who had how much before and after.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include <framegrid/app/local_network.hpp>
#include <framegrid/app/session.hpp>

namespace framegrid::app {

struct DemoCosts {
    bool paid = false;  // else all of it is empty
    std::int64_t transcode_wei = 0;
    std::int64_t upscale_wei = 0;
    std::int64_t generate_wei = 0;
    std::vector<LocalBalance> before{};
    std::vector<LocalBalance> after{};
};

// Wei that the gateway has paid since it began; 0: unknown, or nothing is paid.
Task<std::int64_t> fees_so_far(Session& session, std::string gateway_url);
// The balances once the tickets that won so far have been paid, or as they are at `deadline`.
Task<std::vector<LocalBalance>> settled_balances(Session& session, LocalNetwork& network, Deadline deadline);

void print_balances(const DemoCosts& costs);
boost::json::object costs_json(const DemoCosts& costs);

}  // namespace framegrid::app
