#include <framegrid/media/hls.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace framegrid::media {
namespace {

std::string decimals(double value) {
    std::array<char, 48> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.3f", value);
    return buffer.data();
}

// Text inside a quoted attribute: quotes and line ends would end it.
std::string attribute(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c != '"' && c != '\n' && c != '\r') {
            out += c;
        }
    }
    return out;
}

// A URI line must stay one line and must not turn into a comment.
std::string uri_line(std::string_view uri) {
    std::string out;
    for (const char c : uri) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == '#' || c == '%' || c == '?' || c == '"') {
            std::array<char, 4> hex{};
            std::snprintf(hex.data(), hex.size(), "%%%02X", static_cast<unsigned char>(c));
            out += hex.data();
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace

std::string master_playlist(const std::vector<HlsVariant>& variants) {
    std::string out = "#EXTM3U\n#EXT-X-VERSION:6\n";
    if (std::ranges::all_of(variants, &HlsVariant::independent)) {
        out += "#EXT-X-INDEPENDENT-SEGMENTS\n";
    }
    for (const HlsVariant& variant : variants) {
        out +=
            "#EXT-X-STREAM-INF:BANDWIDTH=" + std::to_string(std::max<std::int64_t>(1, variant.bandwidth_bps));
        if (variant.average_bps > 0) {
            out += ",AVERAGE-BANDWIDTH=" + std::to_string(variant.average_bps);
        }
        if (!variant.codecs.empty()) {
            out += ",CODECS=\"" + attribute(variant.codecs) + "\"";
        }
        if (variant.size.width > 0 && variant.size.height > 0) {
            out += ",RESOLUTION=" + std::to_string(variant.size.width) + "x" +
                   std::to_string(variant.size.height);
        }
        if (variant.fps > 0) {
            out += ",FRAME-RATE=" + decimals(variant.fps);
        }
        out += "\n" + uri_line(variant.uri) + "\n";
    }
    return out;
}

std::string media_playlist(const std::vector<HlsSegment>& segments, const HlsMediaOptions& options) {
    std::int64_t target_s = options.target_duration_s;
    if (target_s <= 0) {
        std::int64_t longest_ms = 1000;
        for (const HlsSegment& segment : segments) {
            longest_ms = std::max(longest_ms, segment.duration_ms);
        }
        target_s = (longest_ms + 999) / 1000;
    }
    std::string out = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:" + std::to_string(target_s) +
                      "\n#EXT-X-MEDIA-SEQUENCE:" + std::to_string(options.media_sequence) + "\n";
    if (!options.sliding) {
        out += std::string("#EXT-X-PLAYLIST-TYPE:") + (options.vod ? "VOD" : "EVENT") + "\n";
    }
    if (options.independent) {
        out += "#EXT-X-INDEPENDENT-SEGMENTS\n";
    }
    for (const HlsSegment& segment : segments) {
        if (segment.discontinuity) {
            out += "#EXT-X-DISCONTINUITY\n";
        }
        out += "#EXTINF:" +
               decimals(static_cast<double>(std::max<std::int64_t>(0, segment.duration_ms)) / 1000.0) +
               ",\n" + uri_line(segment.uri) + "\n";
    }
    if (options.ended) {
        out += "#EXT-X-ENDLIST\n";
    }
    return out;
}

std::int64_t peak_bandwidth_bps(const std::vector<HlsSegment>& segments) {
    std::int64_t peak = 0;
    for (const HlsSegment& segment : segments) {
        if (segment.duration_ms > 0) {
            peak = std::max(peak, segment.bytes * 8000 / segment.duration_ms);
        }
    }
    return peak;
}

std::int64_t average_bandwidth_bps(const std::vector<HlsSegment>& segments) {
    std::int64_t bytes = 0;
    std::int64_t duration_ms = 0;
    for (const HlsSegment& segment : segments) {
        bytes += segment.bytes;
        duration_ms += segment.duration_ms;
    }
    return duration_ms > 0 ? bytes * 8000 / duration_ms : 0;
}

}  // namespace framegrid::media
