// Joining segments into one file.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::media_ffmpeg {

struct Assembled {
    std::int64_t pieces = 0;
    std::int64_t pictures = 0;
    std::int64_t duration_ms = 0;
    std::int64_t bytes = 0;  // of the file
};

// The next segment (MPEG-TS or MP4) in order, or nothing at the end.
using NextPiece = std::function<Result<std::optional<Blob>>()>;

// Writes pieces with the same codecs into one MP4 with its index in front, without re-encoding and holding
// one piece at a time. Pieces of one time line keep their distances; a piece that starts elsewhere is moved
// to the end of the one before. kUnprocessable: no pieces, or one that is not media; kIo: the file cannot be
// written. An unfinished file is removed.
Result<Assembled> write_mp4(const std::string& path, const NextPiece& next);

// The same in memory, for pieces of one codec and size; kUnprocessable names the one that differs.
// kUnsupported: a codec that WebM does not take; kTooLarge: over media::kSegmentBytesMax.
Result<Blob> join_in_memory(
    const std::vector<Blob>& pieces, api::VideoFormat format, const api::StopFlag& stop
);

}  // namespace framegrid::media_ffmpeg
