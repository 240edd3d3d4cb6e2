#include <framegrid/engine/upscale.hpp>

#include <framegrid/engine/tiling.hpp>

namespace framegrid::engine {
namespace {

Result<void> check_input(const api::RgbImage& image, int scale, std::int64_t pixels_max) {
    const bool consistent = image.width > 0 && image.height > 0 &&
                            image.pixels.size() == std::size_t{3} * static_cast<std::size_t>(image.width) *
                                                       static_cast<std::size_t>(image.height);
    if (!consistent) {
        return fail(
            Errc::kInvalidArgument, "the picture is empty or its size does not match its pixels", "image"
        );
    }
    const std::int64_t pixels = std::int64_t{image.width} * image.height;
    if (pixels > pixels_max / (std::int64_t{scale} * scale)) {
        return fail(
            Errc::kTooLarge,
            std::to_string(scale) + "x of a picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " is over the limit of " + std::to_string(pixels_max) +
                " pixels",
            "image"
        );
    }
    return {};
}

}  // namespace

Result<api::RgbImage> upscale(
    api::ImageModel& model, const ImageSpec& spec, const api::RgbImage& image, std::int64_t pixels_max,
    const api::StopFlag& stop
) {
    const int scale = model.scale();
    if (scale != spec.scale) {
        return fail(
            Errc::kUnprocessable, "the network's scale is " + std::to_string(scale) + ", its manifest says " +
                                      std::to_string(spec.scale)
        );
    }
    FG_CHECK(check_input(image, scale, pixels_max));
    const TilePlan plan = plan_tiles(image.width, image.height, spec);
    const auto factor = static_cast<std::size_t>(scale) * static_cast<std::size_t>(scale);
    const std::size_t tile_floats = plan.tile_floats();

    api::RgbImage out{.width = image.width * scale, .height = image.height * scale, .pixels = {}};
    out.pixels.resize(image.pixels.size() * factor);
    std::vector<float> input;
    for (const auto batch : plan.batches(spec.batch)) {
        if (stop.load(std::memory_order_relaxed)) {
            return fail(Errc::kCancelled, "upscaling was stopped");
        }
        input.resize(batch.size() * tile_floats);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            cut_tile(image, plan, batch[i], std::span(input).subspan(i * tile_floats, tile_floats));
        }
        FG_TRY(
            inferred, model.infer(input, static_cast<int>(batch.size()), plan.tile.height, plan.tile.width)
        );
        if (inferred.size() != input.size() * factor) {
            return fail(Errc::kUnprocessable, "the network's result has the wrong size");
        }
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const auto tile =
                std::span<const float>(inferred).subspan(i * tile_floats * factor, tile_floats * factor);
            paste_tile(tile, plan, batch[i], scale, out);
        }
    }
    return out;
}

}  // namespace framegrid::engine
