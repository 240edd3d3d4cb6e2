// Port: what a media file is, found out before it is given to anybody.
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/media/profile.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct ProbeResult {
    std::string
        video_codec;  // libavcodec's name ("h264", "hevc"); empty: no video stream, or an unknown codec
    std::string audio_codec;   // likewise
    std::string pixel_format;  // "yuv420p"; empty: a video stream is declared but has no frame
    media::Size size;          // of the video; 0x0 when unknown
    std::int64_t duration_ms = 0;
    std::int64_t frames = 0;  // of the video, counted
    friend bool operator==(const ProbeResult&, const ProbeResult&) = default;
};

class MediaProbe {
  public:
    virtual ~MediaProbe() = default;
    // Off the event loop and outside the caller's process; headers, packets and at most a few frames are
    // read. kUnprocessable, kTooLarge: the file is at fault. kUnavailable: the probe broke off, which says
    // nothing about the file; kCapacity: none could begin before the deadline; kDeadline.
    virtual Task<Result<ProbeResult>> probe(Blob file, Deadline deadline) = 0;
};

}  // namespace framegrid::api
