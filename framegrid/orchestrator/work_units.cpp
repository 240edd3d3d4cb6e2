#include <framegrid/orchestrator/work_units.hpp>

#include <algorithm>
#include <limits>

#include <framegrid/job/input_files.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::orchestrator {

namespace {

// Gateways have their own limits; here only the count matters.
constexpr std::int64_t kPixelsMax = std::numeric_limits<std::int64_t>::max();

Result<std::int64_t> ai_units(const api::AiWork& ai, const Blob& input) {
    const auto* spec = job::find_pipeline(ai.pipeline);
    if (spec == nullptr) {
        return 1;  // echo
    }
    FG_TRY(parameters, job::Parameters::from_json(*spec, ai.parameters.empty() ? "{}" : ai.parameters));
    media::Size size;
    if (!input.empty() && !spec->files.empty()) {
        // Under which name the client gave it has not come along.
        const bool is_picture = media::still_format(input.view()).has_value();
        const auto kind = std::ranges::find(
            spec->files, is_picture ? job::FileKind::kPicture : job::FileKind::kVideo, &job::FileSpec::kind
        );
        const auto& file = kind == spec->files.end() ? spec->files.front() : *kind;
        FG_TRY(found, job::check_file(file, input, kPixelsMax, "input"));
        size = found;
    }
    return job::payable_units(*spec, parameters, size).value;
}

}  // namespace

pay::Order order_of(const crypto::Address& sender, const api::Work& work, const std::string& session_id) {
    const auto* ai = std::get_if<api::AiWork>(&work.kind);
    if (ai == nullptr) {
        return {{sender, session_id}, {}};
    }
    const auto capability = job::capability_of_pipeline(ai->pipeline);
    if (!capability) {
        return {{sender, ai->pipeline}, {}};
    }
    const auto number = static_cast<std::uint32_t>(*capability);
    return {{sender, pay::model_balance_id(number, ai->model_id)}, {{number, ai->model_id}}};
}

std::vector<pay::ModelKey> models_of(const job::Capabilities& needs) {
    std::vector<pay::ModelKey> out;
    for (const auto& [capability, models] : needs.constraints) {
        for (const auto& [model_id, constraint] : models) {
            out.push_back({capability, model_id});
        }
    }
    return out;
}

Result<std::int64_t> estimated_units(const api::Work& work) {
    if (const auto* ai = std::get_if<api::AiWork>(&work.kind)) {
        return ai_units(*ai, work.input);
    }
    const auto& transcode = std::get<api::TranscodeWork>(work.kind);
    return media::estimate_pixels(transcode.profiles, transcode.duration_ms).value;
}

std::int64_t done_units(const api::Work& work, const api::WorkOutput& output, std::int64_t estimated) {
    if (std::holds_alternative<api::AiWork>(work.kind)) {
        return estimated;
    }
    Pixels pixels;
    for (const auto& artifact : output.artifacts) {
        pixels = pixels + artifact.pixels;
    }
    return pixels.value;
}

}  // namespace framegrid::orchestrator
