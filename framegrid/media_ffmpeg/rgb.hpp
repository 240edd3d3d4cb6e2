// Private: between FFmpeg's pictures and plain RGB ones.
#pragma once

#include <framegrid/api/media_ports.hpp>
#include <framegrid/media_ffmpeg/scaler.hpp>

namespace framegrid::media_ffmpeg {

// The picture as RGB, at `size`.
Result<api::RgbImage> to_rgb(Scaler& scaler, const AVFrame& picture, media::Size size);
// kInvalidArgument when the pixels do not match the size.
Result<FramePtr> from_rgb(const api::RgbImage& image);

}  // namespace framegrid::media_ffmpeg
