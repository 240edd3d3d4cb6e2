// Private: picture files.
#pragma once

#include <framegrid/api/media_ports.hpp>

namespace framegrid::media_ffmpeg {

// PNG, JPEG (turned as its Exif data says), WebP, GIF (the first picture), BMP. Transparency is dropped.
Result<api::RgbImage> decode_still_image(const Blob& file, std::int64_t pixels_max);
// Quality 1 to 100; PNG ignores it.
Result<Blob> encode_still_image(const api::RgbImage& image, api::ImageFormat format, int quality);

}  // namespace framegrid::media_ffmpeg
