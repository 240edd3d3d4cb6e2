#include <framegrid/gateway/ai_request.hpp>

namespace framegrid::gateway {

std::string model_for(
    const job::PipelineSpec& spec, std::string wanted, const std::map<std::string, std::string>& defaults
) {
    if (!wanted.empty()) {
        return wanted;
    }
    const auto chosen = defaults.find(std::string(spec.name));
    return chosen == defaults.end() ? std::string(spec.default_model) : chosen->second;
}

std::int64_t draw_seed(Random& random) {
    return 1 + static_cast<std::int64_t>(random.below(0xFFFF'FFFF));
}

JobRequest make_ai_request(const job::PipelineSpec& spec, const std::string& model_id) {
    JobRequest out;
    out.manifest_id = std::string(spec.name) + "_" + model_id;
    out.needs = job::ai_needs(spec.capability, model_id);
    out.work.kind = api::AiWork{std::string(spec.name), model_id, {}};
    out.work.input_content_type = "application/octet-stream";
    return out;
}

}  // namespace framegrid::gateway
