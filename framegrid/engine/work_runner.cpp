#include <framegrid/engine/work_runner.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/upscale.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::engine {
namespace {

constexpr std::string_view kUpscale = "upscale";

Pixels pixels_of(const api::RgbImage& image) {
    return {std::int64_t{image.width} * image.height};
}

// The network is deterministic, but clients expect a seed with every picture: theirs, or 0.
std::int64_t seed_of(const UpscaleParameters& parameters) {
    return parameters.seed.value_or(0);
}

Result<std::string> choose_model(
    const std::string& requested, const UpscaleParameters& parameters, const std::string& fallback
) {
    if (!requested.empty() && !parameters.model_id.empty() && requested != parameters.model_id) {
        return fail(
            Errc::kInvalidArgument,
            "model_id is " + printable(parameters.model_id) + ", the job is for " + printable(requested),
            "model_id"
        );
    }
    if (!requested.empty()) {
        return requested;
    }
    return parameters.model_id.empty() ? fallback : parameters.model_id;
}

}  // namespace

Result<api::WorkOutput> WorkRunner::run(
    const api::Work& work, const api::StopFlag& stop, const api::ArtifactSink& early
) {
    if (stop.load(std::memory_order_relaxed)) {
        return fail(Errc::kCancelled, "the work was stopped before it began");
    }
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        return transcoder_.transcode(work.session_id, *transcode, work.input, stop, early);
    }
    return run_ai(std::get<api::AiWork>(work.kind), work.input, stop);
}

Result<api::WorkOutput> WorkRunner::run_ai(
    const api::AiWork& work, const Blob& input, const api::StopFlag& stop
) {
    if (work.pipeline != kUpscale) {
        return fail(Errc::kNotFound, "unknown pipeline " + printable(work.pipeline), "pipeline");
    }
    FG_TRY(parameters, parse_upscale_parameters(work.parameters));
    FG_TRY(model_id, choose_model(work.model_id, parameters, settings_.upscale_model));
    if (input.empty()) {
        return fail(Errc::kInvalidArgument, "the image is empty", "image");
    }
    FG_TRY(lease, models_.acquire(work.pipeline, model_id));
    if (media::looks_like_video(input.view())) {
        return upscale_video(*lease, parameters, input, stop);
    }
    return upscale_picture(*lease, parameters, input, stop);
}

Result<api::WorkOutput> WorkRunner::upscale_picture(
    ModelLease& lease, const UpscaleParameters& parameters, const Blob& input, const api::StopFlag& stop
) {
    const ImageSpec& spec = lease.manifest().image;
    const std::int64_t factor = std::int64_t{spec.scale} * spec.scale;
    const std::int64_t pixels_max =
        std::min(settings_.input_pixels_max, settings_.output_pixels_max / factor);
    FG_TRY(picture, codec_.decode_image(input, pixels_max));
    FG_TRY(enlarged, upscale(lease.model(), spec, picture, settings_.output_pixels_max, stop));
    const Pixels decoded = pixels_of(picture);
    picture = {};  // encoding needs memory of its own
    FG_TRY(png, codec_.encode_png(enlarged));
    api::WorkOutput out;
    out.decoded = decoded;
    out.artifacts.push_back(
        {.name = "image.png",
         .content_type = "image/png",
         .bytes = std::move(png),
         .pixels = pixels_of(enlarged),
         .seed = seed_of(parameters)}
    );
    return out;
}

Result<api::WorkOutput> WorkRunner::upscale_video(
    ModelLease& lease, const UpscaleParameters& parameters, const Blob& input, const api::StopFlag& stop
) {
    const ImageSpec& spec = lease.manifest().image;
    api::WorkOutput out;
    const auto enlarge = [&](const api::RgbImage& frame) -> Result<api::RgbImage> {
        out.decoded = out.decoded + pixels_of(frame);
        return upscale(lease.model(), spec, frame, settings_.output_pixels_max, stop);
    };
    FG_TRY(artifact, codec_.map_video(input, spec.scale, enlarge, stop));
    artifact.seed = seed_of(parameters);
    out.artifacts.push_back(std::move(artifact));
    return out;
}

}  // namespace framegrid::engine
