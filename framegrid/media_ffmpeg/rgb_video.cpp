#include <framegrid/media_ffmpeg/rgb_video.hpp>

#include <algorithm>

#include <framegrid/media_ffmpeg/rgb.hpp>

namespace framegrid::media_ffmpeg {

RgbVideo::RgbVideo(const MediaCodecSettings& settings, media::Encoder encoder, OutputFormat format)
    : settings_(settings), format_(format) {
    profile_.name = "pictures";
    profile_.encoder = encoder;
    profile_.quality = static_cast<std::uint32_t>(std::clamp(settings.crf, 1, 51));
    profile_.h264_profile =
        encoder == media::Encoder::kH264 ? media::H264Profile::kHigh : media::H264Profile::kDefault;
}

void RgbVideo::set_clock(AVRational time_base, AVRational frame_rate) {
    time_base_ = time_base;
    frame_rate_ = frame_rate;
}

Result<void> RgbVideo::add(
    const api::RgbImage& image, std::int64_t pts, std::int64_t duration, AVRational aspect
) {
    FG_TRY(rgb, from_rgb(image));
    rgb->sample_aspect_ratio = aspect;
    const media::Size even{std::max(2, image.width & ~1), std::max(2, image.height & ~1)};
    FG_TRY(yuv, to_yuv_.scale(*rgb, encoder_ ? size_ : even, AV_PIX_FMT_YUV420P));
    yuv->pts = pts;
    yuv->duration = duration;
    yuv->time_base = time_base_;
    yuv->pict_type = encoder_ ? AV_PICTURE_TYPE_NONE : AV_PICTURE_TYPE_I;
    if (!encoder_) {
        FG_TRY(
            encoder, VideoEncoder::open(
                         profile_, *yuv, time_base_, frame_rate_, format_,
                         {settings_.preset, "", settings_.encoder_threads}, hardware_
                     )
        );
        encoder_ = std::move(encoder);
        size_ = even;
    }
    pixels_ += std::int64_t{yuv->width} * yuv->height;
    return encoder_->encode(std::move(yuv), packets_);
}

Result<Track> RgbVideo::finish() {
    FG_ASSERT(encoder_ != nullptr);
    FG_CHECK(encoder_->encode(nullptr, packets_));
    Track track;
    track.parameters = encoder_->parameters();
    track.time_base = time_base_;
    track.frame_rate = frame_rate_;
    track.packets = std::move(packets_);
    return track;
}

}  // namespace framegrid::media_ffmpeg
