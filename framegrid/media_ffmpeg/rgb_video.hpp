// Private: plain pictures into an encoded track.
#pragma once

#include <framegrid/api/media_ports.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/scaler.hpp>
#include <framegrid/media_ffmpeg/video_encoder.hpp>

namespace framegrid::media_ffmpeg {

// One video. Pictures keep the first one's size, made even: 4:2:0 needs it, and MP4 has one size per track.
class RgbVideo {
  public:
    RgbVideo(const MediaCodecSettings& settings, media::Encoder encoder, OutputFormat format);

    // Where times count from now on; before the first picture.
    void set_clock(AVRational time_base, AVRational frame_rate);
    // `pts` rises, in the clock's units. `aspect`: of the samples.
    Result<void> add(
        const api::RgbImage& image, std::int64_t pts, std::int64_t duration, AVRational aspect = {1, 1}
    );
    // The track, after the last picture. Once.
    Result<Track> finish();

    bool empty() const { return encoder_ == nullptr; }
    Pixels pixels() const { return {pixels_}; }
    OutputFormat format() const { return format_; }

  private:
    const MediaCodecSettings& settings_;
    media::VideoProfile profile_;
    OutputFormat format_;
    Hardware hardware_;  // none: pictures come from memory and go there
    AVRational time_base_{1, 90'000};
    AVRational frame_rate_{30, 1};
    Scaler to_yuv_;
    std::unique_ptr<VideoEncoder> encoder_;
    media::Size size_;
    std::vector<PacketPtr> packets_;
    std::int64_t pixels_ = 0;
};

// A whole video of pictures in memory, at any rate: MediaCodec::encode_video() has whole numbers only.
Result<api::Artifact> encode_frames(
    const MediaCodecSettings& settings, std::span<const api::RgbImage> frames, AVRational frame_rate,
    api::VideoFormat format, const api::StopFlag& stop
);

}  // namespace framegrid::media_ffmpeg
