// Work on whole media files in memory that needs no model: cutting, joining, looking, packaging.
#pragma once

#include <cstdint>
#include <vector>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::media_ffmpeg {

// All are blocking and return kCancelled soon after `stop` is set. Errors besides those that are named:
// kUnprocessable (not media), kTooLarge.

// Segments cut at keyframes, the first one from `segment_ms` after the last cut; their sound goes along.
// `overlap` and the names: see api::MediaOperation.
Result<std::vector<api::Artifact>> split(
    const Blob& video, std::int64_t segment_ms, bool overlap, const api::StopFlag& stop
);

// Segments (MPEG-TS, MP4, WebM) in their order as one file, not encoded again: MP4 with its index in front,
// or WebM. Their pictures have one codec and size, else kUnprocessable says which has not. kUnsupported: the
// codec does not belong in WebM.
Result<api::Artifact> join(
    const std::vector<Blob>& segments, api::VideoFormat format, const api::StopFlag& stop
);

// Where scenes begin, in ms from the first picture; the first begins at 0. `threshold`, 0 to 1: how much must
// change, see scene_change.
Result<std::vector<std::int64_t>> scene_cuts(
    const Blob& video, double threshold, std::size_t count_max, const api::StopFlag& stop
);

// The pictures that are shown at these times (ms from the first one, rising); the last picture for times
// beyond it.
Result<std::vector<api::Artifact>> frames_at(
    const Blob& video, const std::vector<std::int64_t>& times_ms, api::ImageFormat format,
    const api::StopFlag& stop
);

// Pictures side by side, numbered from 1.
Result<api::Artifact> picture_sheet(
    const std::vector<Blob>& pictures, int columns, int tile_width, api::ImageFormat format,
    const api::StopFlag& stop
);

// HLS with MPEG-TS segments: "master.m3u8", and "<height>p/index.m3u8" with its segments for each rendition.
// kUnsupported: a codec that MPEG-TS does not carry.
Result<std::vector<api::Artifact>> hls(
    const std::vector<Blob>& renditions, std::int64_t segment_ms, const api::StopFlag& stop
);

// WebM (VP9, no sound) of the pictures once, or forwards and then backwards without doubling the ends.
// kTooLarge: pictures of over 1.5 GB, which all have to be held.
Result<api::Artifact> loop(const Blob& video, bool there_and_back, const api::StopFlag& stop);

}  // namespace framegrid::media_ffmpeg
