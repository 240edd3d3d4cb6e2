#include <framegrid/engine/work_runner.hpp>

#include <chrono>

#include <framegrid/base/log.hpp>

namespace framegrid::engine {
namespace {

Result<std::string> choose_model(
    const job::PipelineSpec& spec, const std::string& requested, const job::Parameters& parameters
) {
    const std::string named = parameters.text("model_id");
    if (!requested.empty() && !named.empty() && requested != named) {
        return fail(
            Errc::kInvalidArgument,
            "model_id is " + printable(named) + ", the job is for " + printable(requested), "model_id"
        );
    }
    if (!requested.empty()) {
        return requested;
    }
    return named.empty() ? std::string(spec.default_model) : named;
}

Result<api::WorkOutput> run_pipeline(const job::PipelineSpec& spec, const AiJob& job) {
    switch (spec.capability) {
        case job::Capability::kUpscale:
            return run_upscale(job);
        case job::Capability::kFrameInterpolation:
            return run_interpolation(job);
        case job::Capability::kTextToImage:
        case job::Capability::kImageToImage:
        case job::Capability::kInpaint:
            return run_image_generation(spec, job);
        case job::Capability::kTextToVideo:
        case job::Capability::kImageToVideo:
            return run_video_generation(spec, job);
        default:
            return fail(Errc::kUnsupported, "this worker does not run " + std::string(spec.name), "pipeline");
    }
}

}  // namespace

Result<api::WorkOutput> WorkRunner::run(const api::Work& work, const api::WorkContext& context) {
    if (context.stop.load(std::memory_order_relaxed)) {
        return fail(Errc::kCancelled, "the work was stopped before it began");
    }
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        return transcoder_.transcode(
            work.session_id, *transcode, work.input, context.stop, context.events.artifact
        );
    }
    return run_ai(std::get<api::AiWork>(work.kind), work, context);
}

Result<api::WorkOutput> WorkRunner::run_ai(
    const api::AiWork& ai, const api::Work& work, const api::WorkContext& context
) {
    const auto* spec = job::find_pipeline(ai.pipeline);
    if (spec == nullptr) {
        return fail(Errc::kNotFound, "unknown pipeline " + printable(ai.pipeline), "pipeline");
    }
    const TimePoint began = now_();
    FG_TRY(parameters, job::Parameters::from_json(*spec, ai.parameters));
    FG_TRY(model_id, choose_model(*spec, ai.model_id, parameters));
    if (work.input.empty() && !spec->files.empty()) {
        const std::string field(spec->files.front().name);
        return fail(Errc::kInvalidArgument, "the " + field + " is empty", field);
    }
    FG_TRY(lease, models_.acquire(ai.pipeline, model_id, context.stop));
    InferenceQueue::Seat seat(queue_, {work.priority, context.deadline}, context.stop);
    FG_TRY(
        out, run_pipeline(
                 *spec, {*lease, parameters, work.input, codec_, settings_, context.stop, seat, memory_,
                         loading_, context.events.progress, ai.preview_steps}
             )
    );
    api::AiRun run = out.ai.value_or(api::AiRun{});
    run.model_id = model_id;
    run.model_digest = lease->digest();
    run.runtime_ms = milliseconds(now_() - began);
    out.ai = std::move(run);
    return out;
}

}  // namespace framegrid::engine
