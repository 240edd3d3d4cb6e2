// What a media file holds.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::media_ffmpeg {

struct MediaInfo {
    std::string container;     // FFmpeg's name: "mpegts", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
    std::string video_codec;   // "h264", "hevc", "vp9", "av1" ...; empty: no video
    std::string audio_codec;   // "aac" ...; empty: no audio
    std::string pixel_format;  // "yuv420p" ...; empty: unknown, the stream may hold no pictures
    std::string codecs;        // RFC 6381, comma separated; empty when unknown
    media::Size size;          // as stored; turn by `rotation` to see it upright
    int rotation = 0;          // degrees clockwise to make it upright: 0, 90, 180, 270
    std::int32_t fps_num = 0;  // 0: unknown
    std::int32_t fps_den = 1;
    std::int64_t start_ms = 0;
    std::int64_t duration_ms = 0;       // 0: unknown
    std::int64_t frames = 0;            // counted by probe(), estimated for files; 0: unknown
    std::int64_t keyframes = 0;         // counted by probe() only
    bool starts_with_keyframe = false;  // probe() only
    bool has_b_frames = false;

    bool has_video() const { return !video_codec.empty(); }
    bool has_audio() const { return !audio_codec.empty(); }
    // The size a player shows: `size`, turned by `rotation`.
    media::Size upright_size() const {
        return rotation % 180 == 0 ? size : media::Size{size.height, size.width};
    }
};

// Reads the headers and counts packets; decodes no more than a few pictures. kUnprocessable: not media;
// kTooLarge: pictures over the limit. Codecs are not judged here, see is_supported_source().
Result<MediaInfo> probe(const Blob& file);

// Whether the transcoder takes this video codec (FFmpeg's name, as in MediaInfo).
bool is_supported_source(const std::string& video_codec);

}  // namespace framegrid::media_ffmpeg
