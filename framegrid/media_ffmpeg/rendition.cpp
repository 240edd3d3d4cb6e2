#include <framegrid/media_ffmpeg/rendition.hpp>

#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

namespace framegrid::media_ffmpeg {
namespace {

AVRational rate_of(const media::VideoProfile& profile) {
    if (profile.fps_num == 0) {
        return {0, 1};
    }
    AVRational rate;
    av_reduce(&rate.num, &rate.den, profile.fps_num, std::max(1U, profile.fps_den), INT32_MAX);
    return rate;
}

}  // namespace

OutputFormat format_of(const media::VideoProfile& profile) {
    return output_format(media::container_for(profile.encoder, profile.container));
}

Rendition::Rendition(
    const media::VideoProfile& profile, SegmentRun& run, Scaler& scaler, std::size_t frames_queued_max,
    int encoder_threads
)
    : profile_(profile),
      run_(run),
      scaler_(scaler),
      encoder_threads_(encoder_threads),
      format_(format_of(profile)),
      queue_(frames_queued_max),
      rate_(run.time_base, rate_of(profile)) {}

bool Rendition::push(const AVFrame& picture) {
    FramePtr reference(av_frame_clone(&picture));
    if (!reference) {
        throw std::bad_alloc();
    }
    return queue_.push(std::move(reference));
}

Result<api::Artifact> Rendition::make(Turns* turns, int rank) {
    const FrameRate::Emit emit = [this](const FrameRate::Shown& shown) { return encode(shown); };
    while (auto picture = queue_.pop()) {
        const Turns::Turn turn(turns, rank);
        FG_CHECK(rate_.push(std::move(*picture), emit));
        if (run_.given_up()) {
            break;
        }
    }
    const Turns::Turn turn(turns, rank);
    if (!run_.given_up()) {
        FG_CHECK(rate_.finish(emit));
    }
    return finish();
}

Result<void> Rendition::prepare_encoder(const AVFrame& picture) {
    const media::Size wanted = media::output_size({picture.width, picture.height}, profile_);
    // MP4 has one picture size per track; MPEG-TS may change it at a keyframe.
    if (encoder_ && (wanted == size_ || format_ == OutputFormat::kMp4)) {
        return {};
    }
    if (encoder_) {
        FG_CHECK(encoder_->encode(nullptr, packets_));
        encoder_.reset();
    }
    FG_TRY(format, encoder_pixel_format(profile_, *run_.hardware));
    pixel_format_ = format;
    size_ = wanted;
    FG_TRY(sample, scaler_.scale(picture, size_, pixel_format_));
    const AVRational rate = rate_of(profile_);
    FG_TRY(
        encoder, VideoEncoder::open(
                     profile_, *sample, rate_.time_base(), rate.num > 0 ? rate : run_.frame_rate, format_,
                     {run_.preset, run_.tune, encoder_threads_}, *run_.hardware
                 )
    );
    encoder_ = std::move(encoder);
    if (!first_parameters_) {
        first_parameters_ = encoder_->parameters();
    }
    scaled_ = std::move(sample);
    next_key_ = AV_NOPTS_VALUE;
    return {};
}

// The first picture is a keyframe; with the source's own frame rate the profile's interval is kept in time.
bool Rendition::is_key(std::int64_t pts) {
    if (next_key_ == AV_NOPTS_VALUE) {
        next_key_ = pts;
    }
    if (pts < next_key_) {
        return false;
    }
    const bool timed = profile_.fps_num == 0 && profile_.gop_ms > 0;
    const std::int64_t step = timed ? av_rescale_q(profile_.gop_ms, {1, 1000}, rate_.time_base()) : INT64_MAX;
    while (next_key_ <= pts) {
        next_key_ = step >= INT64_MAX - std::max<std::int64_t>(0, next_key_)
                        ? INT64_MAX
                        : next_key_ + std::max<std::int64_t>(1, step);
    }
    return true;
}

Result<void> Rendition::encode(const FrameRate::Shown& shown) {
    if (run_.given_up()) {
        return fail(Errc::kCancelled, "stopped");
    }
    // A repeated picture is scaled once.
    if (!scaled_ || scaled_serial_ != shown.serial) {
        scaled_.reset();
        FG_CHECK(prepare_encoder(shown.picture));
        if (!scaled_) {
            FG_TRY(scaled, scaler_.scale(shown.picture, size_, pixel_format_));
            scaled_ = std::move(scaled);
        }
        scaled_serial_ = shown.serial;
    }
    FramePtr frame(av_frame_clone(scaled_.get()));
    if (!frame) {
        throw std::bad_alloc();
    }
    frame->pts = shown.pts;
    frame->duration = shown.duration;
    frame->time_base = rate_.time_base();
    frame->pict_type = is_key(shown.pts) ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    pixels_ += std::int64_t{frame->width} * frame->height;
    return encoder_->encode(std::move(frame), packets_);
}

Track Rendition::audio_track() const {
    Track track;
    track.parameters = copy_parameters(*run_.audio);
    track.time_base = run_.audio_time_base;
    for (const PacketPtr& packet : run_.audio_packets) {
        track.packets.emplace_back(av_packet_clone(packet.get()));
        if (!track.packets.back()) {
            throw std::bad_alloc();
        }
    }
    return track;
}

Result<api::Artifact> Rendition::finish() {
    if (run_.given_up()) {
        return fail(Errc::kCancelled, "stopped");
    }
    if (!encoder_) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no pictures in the segment");
    }
    FG_CHECK(encoder_->encode(nullptr, packets_));
    std::vector<Track> tracks(1);
    tracks[0].parameters = std::move(first_parameters_);
    tracks[0].time_base = rate_.time_base();
    tracks[0].frame_rate = rate_of(profile_).num > 0 ? rate_of(profile_) : run_.frame_rate;
    tracks[0].packets = std::move(packets_);
    encoder_.reset();
    if (run_.audio) {
        tracks.push_back(audio_track());
    }
    FG_TRY(bytes, mux(format_, tracks));
    return api::Artifact{
        profile_.name, std::string(format_ == OutputFormat::kMp4 ? "video/mp4" : "video/mp2t"),
        std::move(bytes), Pixels{pixels_}, std::nullopt
    };
}

Result<api::Artifact> Rendition::make_audio_only() {
    std::vector<Track> tracks;
    tracks.push_back(audio_track());
    FG_TRY(bytes, mux(format_, tracks));
    return api::Artifact{
        profile_.name, std::string(format_ == OutputFormat::kMp4 ? "video/mp4" : "video/mp2t"),
        std::move(bytes), Pixels{0}, std::nullopt
    };
}

}  // namespace framegrid::media_ffmpeg
