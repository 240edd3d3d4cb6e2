// What the demo looks at afterwards: is everything there, is it what went in, and does it look right?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/app/transcode_job.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct DemoCheck {
    std::string what;
    bool passed = false;
    std::string detail;
};

// Blocking; `source` is cut again in the same way, and each piece compared with what the network made of it.
struct RenditionCheck {
    std::string name;
    std::uint64_t segments = 0;
    std::int64_t pictures = 0;
    double psnr_db = 0;  // mean over the sampled segments
    double ssim = 0;
};
Result<std::vector<RenditionCheck>> check_renditions(
    const TranscodeJobOptions& job, const TranscodeReport& report, std::int64_t& source_pictures
);

struct UpscaleCheck {
    media::Size size;
    std::int64_t pictures = 0;
    double psnr_db = 0;          // against the source at this size
    double psnr_bicubic_db = 0;  // the same for a bicubic enlargement of the small rendition
};
// Blocking. Compares pictures of `small` and `upscaled` with `source`, and draws them side by side into
// `sheet`.
Result<UpscaleCheck> check_upscale(
    const host::Path& source, const host::Path& small, const host::Path& upscaled, const host::Path& sheet
);

}  // namespace framegrid::app
