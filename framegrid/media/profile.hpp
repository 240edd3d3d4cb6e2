// Rendition profiles: what a client asks an encoder for. No FFmpeg types here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::media {

// Enumerator values are the wire values (protocol section 2.1, VideoProfile).
enum class Container : std::uint8_t { kMpegTs = 0, kMp4 = 1 };
enum class H264Profile : std::uint8_t {
    kDefault = 0,
    kBaseline = 1,
    kMain = 2,
    kHigh = 3,
    kConstrainedHigh = 4
};
enum class Encoder : std::uint8_t { kH264 = 0, kHevc = 1, kVp8 = 2, kVp9 = 3 };
enum class Chroma : std::uint8_t { k420 = 0, k422 = 1, k444 = 2 };

struct Size {
    int width = 0;   // pixels
    int height = 0;  // pixels
    friend bool operator==(const Size&, const Size&) = default;
};

inline constexpr int kGopIntra = -1;

struct VideoProfile {
    std::string name;
    int width = 0;  // bounding box of the output, see output_size()
    int height = 0;
    std::int64_t bitrate_bps = 0;
    std::uint32_t fps_num = 0;  // 0: the source's frames pass through
    std::uint32_t fps_den = 1;
    Container container = Container::kMpegTs;
    H264Profile h264_profile = H264Profile::kDefault;
    int gop_ms = 0;  // 0: the encoder's default; kGopIntra: every frame is a keyframe
    Encoder encoder = Encoder::kH264;
    int color_depth = 0;  // bits over 8: 0, 2, 4, 8
    Chroma chroma = Chroma::k420;
    std::uint32_t quality = 0;  // CRF-like; 0: off
    friend bool operator==(const VideoProfile&, const VideoProfile&) = default;
};

// The JSON array of profiles that clients send (name, width, height, bitrate, fps, fpsDen, profile, gop,
// encoder, colorDepth, chromaFormat, quality). Unknown keys are ignored. kInvalidArgument names the field
// ("profiles[1].width"). A missing name becomes custom_<w>x<h>_<bitrate>. At most 10 profiles (transcoding
// limit of the reference).
Result<std::vector<VideoProfile>> parse_profiles(std::string_view json);
// The same list as JSON, as parse_profiles reads it.
std::string format_profiles(const std::vector<VideoProfile>& profiles);
// A comma list of preset names ("P240p30fps16x9,P360p30fps16x9"). kInvalidArgument names the unknown one.
Result<std::vector<VideoProfile>> parse_presets(std::string_view names);
std::vector<std::string> preset_names();
// What a stream without a configuration gets: P240p30fps16x9 and P360p30fps16x9.
std::vector<VideoProfile> default_profiles();

// The size an encoder produces for a source and a profile: the larger requested side becomes the source's
// larger side, aspect ratio and orientation follow the source, even numbers, codec limits respected.
Size output_size(Size source, const VideoProfile& profile);

// Keyframe interval in frames for a fixed frame rate: round(gop x num/den), at least 1; 0 when the profile
// sets none.
int gop_frames(const VideoProfile& profile);

// Wei-relevant pixel estimate of a segment before it is done: width x height x ceil(fps or 60) x
// ceil(seconds).
Pixels estimate_pixels(const std::vector<VideoProfile>& profiles, std::int64_t duration_ms);

std::string_view extension_of(Container container);  // ".ts", ".mp4"
// What a rendition comes in: `wanted`, unless its codec has no place there (VP8 and VP9 have none in
// MPEG-TS).
Container container_for(Encoder encoder, Container wanted);
std::string_view content_type_of(Container container);  // "video/mp2t", "video/mp4"
std::string_view encoder_name(Encoder encoder);         // "H.264", "HEVC", "VP8", "VP9"

// Limits of one segment (protocol section 6.7).
inline constexpr std::int64_t kSegmentMsDefault = 2'000;
inline constexpr std::int64_t kSegmentMsMax = 300'000;
inline constexpr std::size_t kSegmentBytesMax = 300'000'000;
inline constexpr std::size_t kProfilesMax = 10;

}  // namespace framegrid::media
