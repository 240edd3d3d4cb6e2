// Private: re-encoding video without loss, each picture by itself, for what segments cannot carry as it is.
#pragma once

#include <optional>

#include <framegrid/media_ffmpeg/scaler.hpp>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {

// Any codec that FFmpeg reads becomes FFV1 (RFC 9043), whose pictures are keyframes. One thread at a time.
class Mezzanine {
  public:
    // kUnsupported: FFmpeg has no decoder for it.
    static Result<std::unique_ptr<Mezzanine>> open(const AVCodecParameters& parameters, AVRational time_base);

    // Feeds a packet (nullptr: the end) and appends encoded packets, timestamps as they came.
    Result<void> push(const AVPacket* packet, std::vector<PacketPtr>& out);
    // kUnprocessable before the first picture.
    Result<ParametersPtr> parameters() const;

  private:
    Mezzanine() = default;
    Result<void> begin(const AVFrame& picture);
    Result<void> encode(const AVFrame* picture, std::vector<PacketPtr>& out);

    AVRational time_base_{1, 1};
    AVFieldOrder field_order_ = AV_FIELD_UNKNOWN;
    std::unique_ptr<VideoDecoder> decoder_;
    CodecPtr encoder_;  // from the first picture on
    Scaler scaler_;
    std::optional<std::int64_t> last_pts_;
};

}  // namespace framegrid::media_ffmpeg
