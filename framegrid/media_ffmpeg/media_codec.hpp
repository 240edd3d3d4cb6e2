// Pictures and videos in and out of memory, for pipelines that work on pixels.
#pragma once

#include <string>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::media_ffmpeg {

struct MediaCodecSettings {
    std::string preset = "veryfast";  // of the H.264 encoder behind the videos that are made
    int crf = 16;
    int encoder_threads = 1;
    int decoder_threads = 1;
};

// Stateless: safe to call from several threads.
class FfmpegMediaCodec final : public api::MediaCodec {
  public:
    explicit FfmpegMediaCodec(MediaCodecSettings settings = {}) : settings_(std::move(settings)) {}

    // PNG, JPEG (turned as its Exif data says), WebP, GIF (the first picture), BMP. Transparency is dropped.
    Result<api::RgbImage> decode_image(const Blob& file, std::int64_t pixels_max) override;
    Result<Blob> encode_image(const api::RgbImage& image, api::ImageFormat format, int quality) override;
    Result<api::RgbImage> resize(const api::RgbImage& image, media::Size size) override;
    Result<api::Artifact> encode_video(
        std::span<const api::RgbImage> frames, int fps, api::VideoFormat format, const api::StopFlag& stop
    ) override;
    Result<api::Artifact> retime_video(
        const Blob& segment, const api::Retiming& retiming, const api::Between& between,
        const api::StopFlag& stop
    ) override;
    Result<api::Artifact> map_video(
        const Blob& segment, int scale, const std::function<Result<api::RgbImage>(const api::RgbImage&)>& map,
        const api::StopFlag& stop
    ) override;

  private:
    MediaCodecSettings settings_;
};

}  // namespace framegrid::media_ffmpeg
