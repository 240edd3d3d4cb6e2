#include <framegrid/engine/ai_job.hpp>
#include <framegrid/engine/upscale.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::engine {

namespace {

Result<api::WorkOutput> upscale_picture(const AiJob& job) {
    const ImageSpec& spec = job.lease.manifest().image;
    const std::int64_t factor = std::int64_t{spec.scale} * spec.scale;
    const std::int64_t pixels_max =
        std::min(job.settings.input_pixels_max, job.settings.output_pixels_max / factor);
    FG_TRY(picture, input_picture(job, pixels_max));
    FG_TRY(enlarged, upscale(job.lease.model(), spec, picture, job.settings.output_pixels_max, job.stop));
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
    const auto enlarge = [&](const api::RgbImage& frame) -> Result<api::RgbImage> {
        out.decoded = out.decoded + pixels_of(frame);
        return upscale(job.lease.model(), spec, frame, job.settings.output_pixels_max, job.stop);
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
