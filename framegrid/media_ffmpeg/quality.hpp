// How much an output differs from its source.
#pragma once

#include <framegrid/api/media_ports.hpp>

namespace framegrid::media_ffmpeg {

struct Quality {
    double psnr_db = 0;  // over all three colours; 100 for equal pictures
    double ssim = 0;     // of the brightness, 0..1
    int pictures = 0;    // compared
};

// kInvalidArgument when the sizes differ or a picture is empty.
Result<Quality> compare_images(const api::RgbImage& a, const api::RgbImage& b);

// Up to `samples` pictures spread over the rendition, each against the source's picture of the same time,
// scaled to the rendition's size. kUnprocessable: no pictures in common.
Result<Quality> compare_videos(const Blob& source, const Blob& rendition, int samples = 8);

// The first picture at or after `at_ms` from the first one, or the last one.
Result<api::RgbImage> picture_at(const Blob& video, std::int64_t at_ms);

// The picture at another size (bicubic).
Result<api::RgbImage> resize(const api::RgbImage& image, media::Size size);

}  // namespace framegrid::media_ffmpeg
