#include <framegrid/engine/ai_job.hpp>
#include <framegrid/engine/turn_taking.hpp>
#include <framegrid/engine/upscale.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::engine {

namespace {

// Floats of one batch of tiles, in and out.
std::int64_t batch_bytes(const ImageSpec& spec) {
    const std::int64_t pixels = std::int64_t{spec.tile} * spec.tile * spec.batch;
    return pixels * 3 * 4 * (1 + std::int64_t{spec.scale} * spec.scale);
}

Result<api::WorkOutput> upscale_picture(const AiJob& job) {
    const ImageSpec& spec = job.lease.manifest().image;
    const std::int64_t factor = std::int64_t{spec.scale} * spec.scale;
    const std::int64_t pixels_max =
        std::min(job.settings.input_pixels_max, job.settings.output_pixels_max / factor);
    FG_TRY(picture, input_picture(job, pixels_max));
    // The picture, what becomes of it, and that once more as a file.
    const std::int64_t bytes = pixels_of(picture).value * 3 * (1 + 2 * factor);
    FG_TRY(memory, job.memory.take(bytes + batch_bytes(spec), job.stop));
    TurnTakingImageModel model(job.lease.model(), job.seat);
    FG_TRY(enlarged, upscale(model, spec, picture, job.settings.output_pixels_max, job.stop));
    api::WorkOutput out;
    out.decoded = pixels_of(picture);
    picture = {};  // encoding needs memory of its own
    FG_TRY(artifact, picture_artifact(job, enlarged, seed_of(job)));
    out.artifacts.push_back(std::move(artifact));
    return out;
}

Result<api::WorkOutput> upscale_video(const AiJob& job) {
    const ImageSpec& spec = job.lease.manifest().image;
    api::WorkOutput out;
    TurnTakingImageModel model(job.lease.model(), job.seat);
    WorkingMemory::Share memory;
    const auto enlarge = [&](const api::RgbImage& frame) -> Result<api::RgbImage> {
        if (out.decoded == Pixels{}) {
            const std::int64_t pixels = pixels_of(frame).value;
            const std::int64_t bytes = video_memory(pixels, pixels * spec.scale * spec.scale);
            FG_TRY(share, job.memory.take(bytes + batch_bytes(spec), job.stop));
            memory = std::move(share);
        }
        out.decoded = out.decoded + pixels_of(frame);
        return upscale(model, spec, frame, job.settings.output_pixels_max, job.stop);
    };
    FG_TRY(artifact, job.codec.map_video(job.input, spec.scale, enlarge, job.stop));
    artifact.seed = seed_of(job);
    out.artifacts.push_back(std::move(artifact));
    return out;
}

}  // namespace

Result<api::WorkOutput> run_upscale(const AiJob& job) {
    return media::looks_like_video(job.input.view()) ? upscale_video(job) : upscale_picture(job);
}

}  // namespace framegrid::engine
