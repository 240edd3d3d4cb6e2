#include <framegrid/wire/app_names.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/job/capabilities.hpp>

namespace framegrid::wire {

namespace {

constexpr std::string_view kBetween = "--";

}  // namespace

std::string runner_id(const AppName& app) {
    std::string id = app.pipeline + std::string(kBetween) + app.model_id;
    if (const auto slash = id.find('/'); slash != std::string::npos) {
        id.replace(slash, 1, kBetween);
    }
    return id;
}

std::optional<AppName> parse_runner_id(std::string_view id) {
    const auto first = id.find(kBetween);
    if (first == std::string_view::npos) {
        return std::nullopt;
    }
    const auto second = id.find(kBetween, first + kBetween.size());
    if (second == std::string_view::npos) {
        return std::nullopt;
    }
    AppName app;
    app.pipeline = id.substr(0, first);
    const auto organisation = id.substr(first + kBetween.size(), second - first - kBetween.size());
    app.model_id = std::string(organisation) + "/" + std::string(id.substr(second + kBetween.size()));
    const bool known = job::capability_of_pipeline(app.pipeline).has_value();
    return known && !organisation.empty() && !app.model_id.ends_with('/') ? std::optional(app) : std::nullopt;
}

namespace {

// Calls of runners bring no payment here.
bool is_free(const api::OrchestratorInfo& info, std::uint32_t capability, const std::string& model_id) {
    const auto own = std::ranges::find_if(info.model_prices, [&](const api::ModelPrice& one) {
        return one.capability == capability && one.model_id == model_id;
    });
    return own != info.model_prices.end() ? own->price.wei == 0 : !info.price || info.price->wei == 0;
}

}  // namespace

std::string discovery_json(const api::OrchestratorInfo& info, std::string_view service_uri) {
    namespace json = boost::json;
    json::array runners;
    const job::Capabilities none;
    const auto& capabilities = info.capabilities ? *info.capabilities : none;
    for (const auto& [number, models] : capabilities.constraints) {
        const std::string pipeline = job::pipeline_of(static_cast<job::Capability>(number));
        for (const auto& [model_id, model] : models) {
            if (!is_free(info, number, model_id)) {
                continue;
            }
            const std::uint32_t used = std::min(model.capacity_in_use, model.capacity);
            runners.push_back(json::object{
                {"url", std::string(service_uri) + "/apps/" + runner_id({pipeline, model_id}) + "/app"},
                {"app", "framegrid/" + pipeline + "/" + model_id},
                {"version", capabilities.version},
                {"metadata", model.warm ? R"({"warm":true})" : R"({"warm":false})"},
                {"mode", "single-shot"},
                {"capacity", model.capacity},
                {"capacity_used", used},
                {"capacity_available", model.capacity - used},
                {"price_info", json::object{{"price", 0}, {"currency", "wei"}, {"unit", "fixed"}}}
            });
        }
    }
    json::array all;
    all.push_back(json::object{{"address", service_uri}, {"runners", std::move(runners)}});
    return json::serialize(all);
}

}  // namespace framegrid::wire
