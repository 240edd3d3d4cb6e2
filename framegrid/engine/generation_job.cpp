#include <framegrid/engine/ai_job.hpp>

namespace framegrid::engine {

Result<api::WorkOutput> run_image_generation(const job::PipelineSpec& spec, const AiJob&) {
    return fail(Errc::kUnsupported, "not built yet: " + std::string(spec.name));
}

Result<api::WorkOutput> run_video_generation(const job::PipelineSpec& spec, const AiJob&) {
    return fail(Errc::kUnsupported, "not built yet: " + std::string(spec.name));
}

}  // namespace framegrid::engine
