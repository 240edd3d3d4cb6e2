#include <framegrid/media_ffmpeg/media_codec.hpp>

#include <cmath>
#include <new>

#include <framegrid/media/sniff.hpp>
#include <framegrid/media_ffmpeg/rgb.hpp>
#include <framegrid/media_ffmpeg/rgb_video.hpp>
#include <framegrid/media_ffmpeg/segment_decoder.hpp>
#include <framegrid/media_ffmpeg/still_image.hpp>

namespace framegrid::media_ffmpeg {
namespace {

// A video's pictures one by one, its sound kept, and a new video of it.
class VideoRewrite {
  public:
    VideoRewrite(const MediaCodecSettings& settings, const Blob& segment, const api::StopFlag& stop)
        : settings_(settings),
          segment_(segment),
          format_(media::looks_like_mpegts(segment.view()) ? OutputFormat::kMpegTs : OutputFormat::kMp4),
          out_(settings, media::Encoder::kH264, format_) {
        run_.hardware = &hardware_;
        run_.stop = &stop;
        (format_ == OutputFormat::kMp4 ? run_.makes_mp4 : run_.makes_mpegts) = true;
    }

    // Calls `take` for each picture. The clock of the result is the segment's unless it is set in there.
    Result<void> read(const std::function<Result<void>(const AVFrame&)>& take);
    Result<api::RgbImage> rgb(const AVFrame& picture) {
        return to_rgb(to_rgb_, picture, {picture.width, picture.height});
    }
    // Everything into one file.
    Result<api::Artifact> finish();

    const SegmentRun& run() const { return run_; }
    RgbVideo& out() { return out_; }

  private:
    const MediaCodecSettings& settings_;
    const Blob& segment_;
    OutputFormat format_;
    RgbVideo out_;
    Hardware hardware_;
    SegmentRun run_;
    Session session_;
    Scaler to_rgb_;
};

Result<void> VideoRewrite::read(const std::function<Result<void>(const AVFrame&)>& take) {
    FG_TRY(decoder, SegmentDecoder::open(segment_, session_, run_, settings_.decoder_threads, hardware_));
    out_.set_clock(run_.time_base, run_.frame_rate);
    Result<void> taken;
    const auto decoded = decoder->decode(std::nullopt, [&](const AVFrame& picture) {
        taken = take(picture);
        return taken.has_value();
    });
    FG_CHECK(std::move(taken));
    if (!decoded) {
        return fail(decoded.error());
    }
    return {};
}

Result<api::Artifact> VideoRewrite::finish() {
    if (out_.empty()) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no picture could be decoded");
    }
    std::vector<Track> tracks;
    FG_TRY(video, out_.finish());
    tracks.push_back(std::move(video));
    if (run_.audio) {
        Track audio;
        audio.parameters = std::move(run_.audio);
        audio.time_base = run_.audio_time_base;
        audio.packets = std::move(run_.audio_packets);
        tracks.push_back(std::move(audio));
    }
    FG_TRY(bytes, mux(format_, tracks));
    const bool is_ts = format_ == OutputFormat::kMpegTs;
    return api::Artifact{
        is_ts ? "video.ts" : "video.mp4", is_ts ? "video/mp2t" : "video/mp4", std::move(bytes), out_.pixels(),
        std::nullopt
    };
}

using Map = std::function<Result<api::RgbImage>(const api::RgbImage&)>;

Result<api::Artifact> map_frames(VideoRewrite& video, int scale, const Map& map) {
    FG_CHECK(video.read([&](const AVFrame& picture) -> Result<void> {
        FG_TRY(source, video.rgb(picture));
        FG_TRY(mapped, map(source));
        if (mapped.width != source.width * scale || mapped.height != source.height * scale) {
            return fail(Errc::kInternal, "the model returned a picture of the wrong size");
        }
        return video.out().add(mapped, picture.pts, picture.duration, picture.sample_aspect_ratio);
    }));
    return video.finish();
}

constexpr AVRational kRetimeBase{1, 90'000};

// Fills in pictures between each two of a video.
class Retimer {
  public:
    Retimer(
        VideoRewrite& video, const api::Retiming& retiming, const api::Between& between,
        const api::StopFlag& stop
    )
        : video_(video), retiming_(retiming), between_(between), stop_(stop) {}

    Result<void> take(const AVFrame& picture);
    // After the last one, which is shown as long as it was.
    Result<void> finish();

  private:
    Result<void> fill(std::int64_t until, const api::RgbImage* after);
    Result<void> put(const api::RgbImage& image, std::int64_t pts);

    VideoRewrite& video_;
    const api::Retiming& retiming_;
    const api::Between& between_;
    const api::StopFlag& stop_;
    api::RgbImage before_;
    AVRational aspect_{1, 1};
    std::int64_t before_pts_ = AV_NOPTS_VALUE;  // in kRetimeBase, like all times here
    std::int64_t first_pts_ = 0;
    std::int64_t step_ = 0;     // of the input, the last seen
    std::int64_t written_ = 0;  // pictures of the even grid
};

Result<void> Retimer::put(const api::RgbImage& image, std::int64_t pts) {
    ++written_;
    return video_.out().add(image, pts, 0, aspect_);
}

// Pictures at times from `before_pts_` on and before `until`; without `after` the last one is held.
Result<void> Retimer::fill(std::int64_t until, const api::RgbImage* after) {
    const std::int64_t span = until - before_pts_;
    for (std::int64_t i = 0;; ++i) {
        if (stop_.load(std::memory_order_relaxed)) {
            return fail(Errc::kCancelled, "the work was stopped");
        }
        const std::int64_t pts = retiming_.fps > 0
                                     ? first_pts_ + av_rescale(written_, kRetimeBase.den, retiming_.fps)
                                     : before_pts_ + av_rescale(i, span, retiming_.multiplier);
        if (pts >= until) {
            return {};
        }
        const double time = static_cast<double>(pts - before_pts_) / static_cast<double>(span);
        if (after == nullptr || time < 1e-3) {
            FG_CHECK(put(before_, pts));
            continue;
        }
        FG_TRY(image, between_(before_, *after, time));
        if (image.width != before_.width || image.height != before_.height) {
            return fail(Errc::kInternal, "the model returned a picture of the wrong size");
        }
        FG_CHECK(put(image, pts));
    }
}

Result<void> Retimer::take(const AVFrame& picture) {
    const SegmentRun& run = video_.run();
    const std::int64_t pts = av_rescale_q(picture.pts, run.time_base, kRetimeBase);
    FG_TRY(image, video_.rgb(picture));
    if (before_pts_ == AV_NOPTS_VALUE) {
        first_pts_ = pts;
        aspect_ = picture.sample_aspect_ratio;
        const AVRational rate = retiming_.fps > 0 ? AVRational{retiming_.fps, 1}
                                                  : av_mul_q(run.frame_rate, {retiming_.multiplier, 1});
        video_.out().set_clock(kRetimeBase, rate);
        step_ = av_rescale_q(1, av_inv_q(run.frame_rate), kRetimeBase);
    } else {
        if (image.width != before_.width || image.height != before_.height) {
            return fail(Errc::kUnsupported, "the video changes its size");
        }
        if (pts <= before_pts_) {
            return {};
        }
        step_ = pts - before_pts_;
        FG_CHECK(fill(pts, &image));
    }
    before_ = std::move(image);
    before_pts_ = pts;
    return {};
}

Result<void> Retimer::finish() {
    if (before_pts_ == AV_NOPTS_VALUE || (retiming_.open_end && written_ > 0)) {
        return {};
    }
    return fill(before_pts_ + std::max<std::int64_t>(1, step_), nullptr);
}

}  // namespace

Result<api::Artifact> encode_frames(
    const MediaCodecSettings& settings, std::span<const api::RgbImage> frames, AVRational frame_rate,
    api::VideoFormat format, const api::StopFlag& stop
) {
    const bool is_mp4 = format == api::VideoFormat::kMp4;
    RgbVideo out(
        settings, is_mp4 ? media::Encoder::kH264 : media::Encoder::kVp9,
        is_mp4 ? OutputFormat::kMp4 : OutputFormat::kWebm
    );
    out.set_clock(av_inv_q(frame_rate), frame_rate);
    std::int64_t pts = 0;
    for (const auto& frame : frames) {
        if (stop.load(std::memory_order_relaxed)) {
            return fail(Errc::kCancelled, "the work was stopped");
        }
        FG_CHECK(out.add(frame, pts++, 1));
    }
    std::vector<Track> tracks;
    FG_TRY(track, out.finish());
    tracks.push_back(std::move(track));
    FG_TRY(bytes, mux(out.format(), tracks));
    return api::Artifact{
        is_mp4 ? "video.mp4" : "video.webm", is_mp4 ? "video/mp4" : "video/webm", std::move(bytes),
        out.pixels(), std::nullopt
    };
}

Result<api::RgbImage> FfmpegMediaCodec::decode_image(const Blob& file, std::int64_t pixels_max) {
    return guarded([&] { return decode_still_image(file, pixels_max); });
}

Result<Blob> FfmpegMediaCodec::encode_image(
    const api::RgbImage& image, api::ImageFormat format, int quality
) {
    return guarded([&] { return encode_still_image(image, format, quality); });
}

Result<api::RgbImage> FfmpegMediaCodec::resize(const api::RgbImage& image, media::Size size) {
    return guarded([&]() -> Result<api::RgbImage> {
        FG_CHECK(check_size(size.width, size.height));
        FG_TRY(frame, from_rgb(image));
        Scaler scaler;
        return to_rgb(scaler, *frame, size);
    });
}

Result<api::Artifact> FfmpegMediaCodec::encode_video(
    std::span<const api::RgbImage> frames, int fps, api::VideoFormat format, const api::StopFlag& stop
) {
    if (frames.empty() || fps < 1 || fps > 1000) {
        return fail(Errc::kInvalidArgument, "a video needs pictures and 1 to 1000 frames per second", "fps");
    }
    return guarded([&] { return encode_frames(settings_, frames, {fps, 1}, format, stop); });
}

Result<api::Artifact> FfmpegMediaCodec::map_video(
    const Blob& segment, int scale, const std::function<Result<api::RgbImage>(const api::RgbImage&)>& map,
    const api::StopFlag& stop
) {
    if (scale < 1 || scale > 8) {
        return fail(Errc::kInvalidArgument, "the scale must be 1 to 8", "scale");
    }
    if (segment.size() > media::kSegmentBytesMax) {
        return fail(Errc::kTooLarge, "the segment is over 300 MB");
    }
    return guarded([&] {
        VideoRewrite video(settings_, segment, stop);
        return map_frames(video, scale, map);
    });
}

Result<api::Artifact> FfmpegMediaCodec::retime_video(
    const Blob& segment, const api::Retiming& retiming, const api::Between& between, const api::StopFlag& stop
) {
    if (retiming.fps < 0 || retiming.fps > 1000 || retiming.multiplier < 1 || retiming.multiplier > 64) {
        return fail(Errc::kInvalidArgument, "the frame rate must be 1 to 1000", "fps");
    }
    if (segment.size() > media::kSegmentBytesMax) {
        return fail(Errc::kTooLarge, "the segment is over 300 MB");
    }
    return guarded([&]() -> Result<api::Artifact> {
        VideoRewrite video(settings_, segment, stop);
        Retimer retimer(video, retiming, between, stop);
        FG_CHECK(video.read([&](const AVFrame& picture) { return retimer.take(picture); }));
        FG_CHECK(retimer.finish());
        return video.finish();
    });
}

}  // namespace framegrid::media_ffmpeg
