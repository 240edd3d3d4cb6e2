// Deterministic test clips, made with FFmpeg's synthetic sources.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/base/result.hpp>

namespace framegrid::media_ffmpeg {

struct ClipSpec {
    int width = 1280;
    int height = 720;
    int fps_num = 30;
    int fps_den = 1;
    std::int64_t duration_ms = 20'000;
    std::int64_t keyframe_ms = 2'000;
    bool video = true;
    bool audio = true;  // a sine tone
    int rotation =
        0;  // degrees clockwise that a player must turn the picture by: written as a display matrix
    std::string source = "testsrc2";  // any FFmpeg source filter with size, rate and duration
    std::string video_filter;         // put behind the source, for example "setpts=..."
    std::string pixel_format = "yuv420p";
    std::string video_encoder = "libx264";
    std::string video_options = "preset=veryfast:crf=20";  // key=value:...
    std::string audio_encoder = "aac";
    int audio_rate = 48'000;  // samples per second
};

// Writes the clip; the container follows from the file name. kUnsupported when FFmpeg refuses the
// combination.
Result<void> make_clip(const std::string& path, const ClipSpec& spec);

}  // namespace framegrid::media_ffmpeg
