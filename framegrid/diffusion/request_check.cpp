#include <framegrid/diffusion/request_check.hpp>

#include <algorithm>
#include <string>
#include <utility>

#include <framegrid/diffusion/pictures.hpp>

namespace framegrid::diffusion {
namespace {

std::unexpected<Error> wrong(std::string_view field, const std::string& what) {
    std::string message(field);
    message += " ";
    message += what;
    return fail(Errc::kInvalidArgument, std::move(message), std::string(field));
}

Result<void> check_number(std::string_view field, double value, double min, double max) {
    if (!(value >= min && value <= max)) {
        return wrong(field, "must be " + std::to_string(min) + " to " + std::to_string(max));
    }
    return {};
}

// The nearest side that the networks take; a picture's is rounded down.
Result<int> choose_side(
    std::string_view field, int asked, int from_picture, std::int64_t from_model, int step
) {
    if (asked < 0 || asked > kSideMax) {
        return wrong(field, "must be 1 to " + std::to_string(kSideMax));
    }
    std::int64_t side = from_model;
    if (asked > 0) {
        side = (asked + step / 2) / step * step;
    } else if (from_picture > 0) {
        side = from_picture / step * step;
    }
    side = std::max<std::int64_t>(side, step);
    if (side > kSideMax) {
        return wrong(field, "must be 1 to " + std::to_string(kSideMax));
    }
    return static_cast<int>(side);
}

Result<void> check_pictures(const PipelineConfig& config, bool can_encode, const Request& request) {
    if (request.image && !is_picture(*request.image)) {
        return wrong("image", "is not a picture");
    }
    if (request.mask && !is_picture(*request.mask)) {
        return wrong("mask_image", "is not a picture");
    }
    if (request.mask && !request.image) {
        return wrong("image", "is needed with a mask");
    }
    if (request.image && !can_encode) {
        return fail(Errc::kUnsupported, "this model has no encoder for pictures", "image");
    }
    if (config.is_video() && request.mask) {
        return fail(Errc::kUnsupported, "a video model takes no mask", "mask_image");
    }
    if (config.kind == PipelineKind::kStableVideoDiffusion && !request.image) {
        return wrong("image", "is needed by this model");
    }
    const bool is_inpainting_model =
        !config.is_video() && config.unet.in_channels != config.vae.latent_channels;
    if (is_inpainting_model && !request.mask) {
        return wrong("mask_image", "is needed by this model");
    }
    return {};
}

}  // namespace

Result<Request> check_request(const PipelineConfig& config, bool can_encode, Request request) {
    FG_CHECK(check_pictures(config, can_encode, request));
    FG_CHECK(check_number("guidance_scale", request.guidance, 0, kGuidanceMax));
    FG_CHECK(check_number("min_guidance_scale", request.guidance_first, 0, kGuidanceMax));
    FG_CHECK(check_number("strength", request.strength, 1e-6, 1));
    FG_CHECK(check_number("noise_aug_strength", request.noise_aug_strength, 0, 10));
    FG_CHECK(check_number("fps", request.fps, 1, 240));
    FG_CHECK(check_number("motion_bucket_id", request.motion_bucket_id, 0, 1023));
    // Video networks are less forgiving about sizes that they were not trained with.
    const bool own_size = request.image && !config.is_video();
    const int from_width = own_size ? request.image->width : 0;
    const int from_height = own_size ? request.image->height : 0;
    const int factor = config.vae.factor;
    const int step = config.side_step();
    FG_TRY(width, choose_side("width", request.width, from_width, config.unet.sample_width * factor, step));
    FG_TRY(
        height, choose_side("height", request.height, from_height, config.unet.sample_height * factor, step)
    );
    request.width = width;
    request.height = height;
    request.frames = request.frames == 0 ? config.unet.frames : request.frames;
    FG_CHECK(check_number("num_frames", static_cast<double>(request.frames), 1, kFramesMax));
    return request;
}

Result<void> check_fixed_size(
    const PipelineConfig& config, const std::vector<std::int64_t>& sample_shape, const Request& request
) {
    const std::size_t rank = sample_shape.size();
    FG_ASSERT(rank == 4 || rank == 5);
    const int factor = config.vae.factor;
    const std::size_t frame_axis = config.kind == PipelineKind::kStableVideoDiffusion ? 1 : 2;
    const struct {
        std::string_view field;
        std::int64_t fixed;
        std::int64_t unit;
        std::int64_t asked;
    } checks[] = {
        {"height", sample_shape[rank - 2], factor, request.height},
        {"width", sample_shape[rank - 1], factor, request.width},
        {"num_frames", rank == 5 ? sample_shape[frame_axis] : -1, 1, request.frames},
    };
    for (const auto& check : checks) {
        if (check.fixed > 0 && check.fixed * check.unit != check.asked) {
            return wrong(
                check.field, "must be " + std::to_string(check.fixed * check.unit) + " with this model"
            );
        }
    }
    return {};
}

}  // namespace framegrid::diffusion
