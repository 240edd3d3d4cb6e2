// HLS playlists (RFC 8216) from what was really encoded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/media/profile.hpp>

namespace framegrid::media {

// One rendition of a master playlist.
struct HlsVariant {
    std::string uri;                 // of its media playlist
    std::int64_t bandwidth_bps = 0;  // the largest rate of any segment
    std::int64_t average_bps = 0;    // bytes x 8 / duration over the whole rendition; 0: not written
    Size size;                       // 0x0: not written
    std::string codecs;              // RFC 6381 ("avc1.64001f,mp4a.40.2"); empty: not written
    double fps = 0;                  // 0: not written
    bool independent = true;         // each of its segments can be decoded by itself
};

struct HlsSegment {
    std::string uri;
    std::int64_t duration_ms = 0;
    std::int64_t bytes = 0;      // for peak_bandwidth_bps()
    bool discontinuity = false;  // timestamps or codecs break before this segment
};

struct HlsMediaOptions {
    std::int64_t media_sequence = 0;
    std::int64_t target_duration_s =
        0;                    // 0: the longest segment, rounded up; a live caller fixes it at the start
    bool vod = true;          // PLAYLIST-TYPE:VOD; false: EVENT
    bool ended = true;        // ENDLIST
    bool independent = true;  // each segment can be decoded by itself
    bool sliding = false;     // old segments leave the playlist: no PLAYLIST-TYPE at all
};

// Variants in the given order. INDEPENDENT-SEGMENTS is said where it is true of all.
std::string master_playlist(const std::vector<HlsVariant>& variants);
std::string media_playlist(const std::vector<HlsSegment>& segments, const HlsMediaOptions& options);

// BANDWIDTH and AVERAGE-BANDWIDTH of a finished rendition; 0 without segments.
std::int64_t peak_bandwidth_bps(const std::vector<HlsSegment>& segments);
std::int64_t average_bandwidth_bps(const std::vector<HlsSegment>& segments);

}  // namespace framegrid::media
