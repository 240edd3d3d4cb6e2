// Pipelines as applications of the live-runner routes (AI API section 9): their names and what /discovery
// says.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <framegrid/api/orchestrator.hpp>

namespace framegrid::wire {

struct AppName {
    std::string pipeline;
    std::string model_id;  // "organisation/name"
    friend bool operator==(const AppName&, const AppName&) = default;
};

// "text-to-video--framegrid--motion": one part of a path.
std::string runner_id(const AppName& app);
// nullopt: not such an id, or a pipeline that does not exist.
std::optional<AppName> parse_runner_id(std::string_view id);

// The answer to GET /discovery: a JSON array with one orchestrator and an application
// "framegrid/<pipeline>/<model>" for every model that it offers for nothing. `info`: a full poll.
std::string discovery_json(const api::OrchestratorInfo& info, std::string_view service_uri);

}  // namespace framegrid::wire
