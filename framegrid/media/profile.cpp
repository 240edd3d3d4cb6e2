#include <framegrid/media/profile.hpp>

#include <algorithm>
#include <cmath>

namespace framegrid::media {
namespace {

struct Limits {
    Size min;
    Size max;
};

// The encoders' own limits, as peers apply them (they decide the size that is paid for).
Limits limits_of(Encoder encoder) {
    switch (encoder) {
        case Encoder::kH264:
            return {{146, 50}, {4096, 4096}};
        case Encoder::kHevc:
            return {{132, 40}, {8192, 8192}};
        case Encoder::kVp8:
        case Encoder::kVp9:
            break;
    }
    return {{16, 16}, {16384, 16384}};
}

// The even number nearest to a * num / den (halves go up), at least 2.
int scaled_even(std::int64_t a, std::int64_t num, std::int64_t den) {
    const std::int64_t half = (a * num + den) / (2 * den);
    return static_cast<int>(std::clamp<std::int64_t>(half * 2, 2, 1 << 24));
}

int floor_even(int value) {
    return std::max(2, value & ~1);
}

}  // namespace

Size output_size(Size source, const VideoProfile& profile) {
    source = {std::max(1, source.width), std::max(1, source.height)};
    const auto [min, max] = limits_of(profile.encoder);
    const int width = std::clamp(profile.width, min.width, max.width);
    const int height = std::clamp(profile.height, min.height, max.height);
    const int larger = floor_even(std::max(width, height));

    Size out;
    if (source.width >= source.height) {
        out = {larger, scaled_even(larger, source.height, source.width)};
        if (out.height < min.height) {
            out = {scaled_even(min.height, source.width, source.height), min.height};
        }
    } else {
        out = {scaled_even(larger, source.width, source.height), larger};
        if (out.width < min.width) {
            out = {min.width, scaled_even(min.width, source.height, source.width)};
        }
    }
    // Extreme aspect ratios only: the encoder's limits win over the shape.
    return {floor_even(std::min(out.width, max.width)), floor_even(std::min(out.height, max.height))};
}

int gop_frames(const VideoProfile& profile) {
    if (profile.gop_ms == kGopIntra) {
        return 1;
    }
    if (profile.gop_ms <= 0 || profile.fps_num == 0) {
        return 0;
    }
    const double fps = static_cast<double>(profile.fps_num) / std::max(1U, profile.fps_den);
    const double frames = std::round(profile.gop_ms / 1000.0 * fps);
    return static_cast<int>(std::clamp(frames, 1.0, 1e6));
}

Pixels estimate_pixels(const std::vector<VideoProfile>& profiles, std::int64_t duration_ms) {
    const std::int64_t seconds = (std::clamp<std::int64_t>(duration_ms, 0, kSegmentMsMax) + 999) / 1000;
    std::int64_t sum = 0;
    for (const VideoProfile& profile : profiles) {
        const std::int64_t den = std::max(1U, profile.fps_den);
        const std::int64_t fps = profile.fps_num == 0 ? 60 : (profile.fps_num + den - 1) / den;
        // 16384 x 16384 x 2^32 x 300 would overflow; nobody encodes over 1000 frames per second.
        sum += std::int64_t{profile.width} * profile.height * std::min<std::int64_t>(fps, 1000) * seconds;
    }
    return {sum};
}

Container container_for(Encoder encoder, Container wanted) {
    return encoder == Encoder::kVp8 || encoder == Encoder::kVp9 ? Container::kMp4 : wanted;
}

std::string_view extension_of(Container container) {
    return container == Container::kMp4 ? ".mp4" : ".ts";
}

std::string_view content_type_of(Container container) {
    return container == Container::kMp4 ? "video/mp4" : "video/mp2t";
}

std::string_view encoder_name(Encoder encoder) {
    switch (encoder) {
        case Encoder::kH264:
            return "H.264";
        case Encoder::kHevc:
            return "HEVC";
        case Encoder::kVp8:
            return "VP8";
        case Encoder::kVp9:
            return "VP9";
    }
    return "H.264";
}

}  // namespace framegrid::media
