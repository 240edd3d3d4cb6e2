// Private: one video encoder, set up from a profile.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>
#include <framegrid/media_ffmpeg/hardware.hpp>

namespace framegrid::media_ffmpeg {

struct EncoderSettings {
    std::string preset = "medium";
    std::string tune;
    int threads = 1;
};

// The format of pictures the encoder takes.
Result<AVPixelFormat> encoder_pixel_format(const media::VideoProfile& profile, const Hardware& hardware);

class VideoEncoder {
  public:
    // `like` gives size, aspect and colours; timestamps are in `time_base`. kUnsupported: "Encoder not
    // found", or a combination that the encoder refuses.
    static Result<std::unique_ptr<VideoEncoder>> open(
        const media::VideoProfile& profile, const AVFrame& like, AVRational time_base, AVRational frame_rate,
        OutputFormat format, const EncoderSettings& settings, const Hardware& hardware
    );
    // Encodes one picture (nullptr: the end) and appends what is ready to `packets`.
    Result<void> encode(FramePtr picture, std::vector<PacketPtr>& packets);
    ParametersPtr parameters() const;
    AVRational time_base() const { return codec_->time_base; }
    media::Size size() const { return {codec_->width, codec_->height}; }

  private:
    VideoEncoder() = default;
    Result<void> attach_gpu_frames(const Hardware& hardware, const AVFrame& like);
    CodecPtr codec_;
};

}  // namespace framegrid::media_ffmpeg
