// Transcoding a whole file through a gateway: cut at keyframes, sent in parallel, put back in order as HLS.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <framegrid/app/gateway_client.hpp>
#include <framegrid/app/segment_pump.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct TranscodeJobOptions {
    host::Path input;
    host::Path output_dir;
    std::vector<media::VideoProfile> profiles;
    int parallel = 0;                 // segments in flight; 0: from what the network offers
    std::int64_t segment_ms = 2'000;  // cut at the first keyframe after this long
    Duration segment_time_max = std::chrono::minutes(5);  // for one segment, retries included
};

struct RenditionReport {
    std::string name;
    media::Size size;
    double fps = 0;
    std::uint64_t bytes = 0;
    host::Path playlist;  // or the whole rendition as one MP4 file, when its codec has no place in MPEG-TS
    bool is_hls = true;
};

struct TranscodeReport {
    std::uint64_t segments = 0;
    std::uint64_t client_retries = 0;
    double media_seconds = 0;
    double wall_seconds = 0;
    std::int64_t source_frames = 0;
    std::vector<RenditionReport> renditions;
    host::Path master_playlist;  // of the HLS renditions; empty: there is none
    double speed() const { return wall_seconds > 0 ? media_seconds / wall_seconds : 0; }
};

// Called after each finished segment with how many are done: the demo breaks things here.
using OnSegment = std::function<void(std::uint64_t segments_done)>;

// On failure nothing more is sent; what has been written stays for inspection, without playlists.
Task<Result<TranscodeReport>> transcode_file(
    Session& session, GatewayClient& gateway, TranscodeJobOptions options, Progress progress,
    OnSegment on_segment
);

}  // namespace framegrid::app
