// Super-resolution of one picture: tiles, batches, recombination; memory bounded by one batch beside the two
// pictures.
#pragma once

#include <framegrid/api/media_ports.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

// Runs `model` (whose scale must be spec.scale) over the picture. `stop` is looked at before each batch.
// kInvalidArgument: the picture is empty or inconsistent; kTooLarge: the result would have over `pixels_max`
// pixels; kCancelled; the model's own errors.
Result<api::RgbImage> upscale(
    api::ImageModel& model, const ImageSpec& spec, const api::RgbImage& image, std::int64_t pixels_max,
    const api::StopFlag& stop
);

}  // namespace framegrid::engine
