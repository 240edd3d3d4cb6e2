// Port: a look into a pushed segment before it is given to anybody.
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/media/profile.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::rest {

struct ProbeResult {
    std::string
        video_codec;  // libavcodec's name ("h264", "hevc"); empty: no video stream, or an unknown codec
    std::string audio_codec;   // likewise
    std::string pixel_format;  // "yuv420p"; empty: a video stream is declared but has no frame
    media::Size size;          // of the video; 0x0 when unknown
};

class MediaProbe {
  public:
    virtual ~MediaProbe() = default;
    // Off the event loop; at most a few frames are read. kUnprocessable: not media.
    virtual Task<Result<ProbeResult>> probe(Blob segment) = 0;
};

}  // namespace framegrid::rest
