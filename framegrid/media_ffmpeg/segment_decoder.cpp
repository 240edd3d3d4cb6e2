#include <framegrid/media_ffmpeg/segment_decoder.hpp>

#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kProbeBytes = 5'000'000;
constexpr std::int64_t kProbeMs = 5'000;

}  // namespace

Result<std::unique_ptr<SegmentDecoder>> SegmentDecoder::open(
    const Blob& segment, Session& session, SegmentRun& run, int threads, const Hardware& hardware
) {
    std::unique_ptr<SegmentDecoder> self(new SegmentDecoder(session, run));
    FG_TRY(input, Input::open(segment));
    self->input_ = std::move(input);
    FG_CHECK(self->input_->find_streams(kProbeBytes, kProbeMs));
    self->video_ = self->input_->video();
    self->audio_ = self->input_->audio();
    AVFormatContext* format = self->input_->get();
    for (unsigned i = 0; i < format->nb_streams; ++i) {
        AVStream* stream = format->streams[i];
        stream->discard =
            stream == self->video_ || stream == self->audio_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    if (self->audio_ != nullptr) {
        run.audio = copy_parameters(*self->audio_->codecpar);
        run.audio_time_base = self->audio_->time_base;
    }
    if (self->video_ == nullptr) {
        if (session.had_video && self->audio_ != nullptr) {
            return self;
        }
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: there is no video in the segment");
    }
    const AVCodecParameters& parameters = *self->video_->codecpar;
    run.time_base = self->video_->time_base;
    const AVRational rate = av_guess_frame_rate(format, self->video_, nullptr);
    run.frame_rate = rate.num > 0 && rate.den > 0 && av_q2d(rate) <= 1000 ? rate : AVRational{30, 1};
    self->step_ = std::max<std::int64_t>(1, av_rescale_q(1, av_inv_q(run.frame_rate), run.time_base));
    self->matrix_ = display_matrix_of(parameters);
    if (!session.decoder || !session.decoder->fits(parameters)) {
        session.decoder.reset();
        FG_TRY(decoder, VideoDecoder::open(parameters, run.time_base, threads, &hardware));
        session.decoder = std::move(decoder);
    }
    return self;
}

void SegmentDecoder::repair_time(AVFrame& picture) {
    std::int64_t pts = picture.best_effort_timestamp;
    if (pts == AV_NOPTS_VALUE) {
        pts = last_pts_ == AV_NOPTS_VALUE ? 0 : last_pts_ + step_;
    }
    if (last_pts_ != AV_NOPTS_VALUE && pts <= last_pts_) {
        pts = last_pts_ + 1;
    }
    last_pts_ = pts;
    picture.pts = pts;
    if (picture.duration <= 0) {
        picture.duration = step_;
    }
}

Result<bool> SegmentDecoder::deliver(FramePtr picture, const Sink& sink) {
    if (clip_) {
        const std::int64_t at_ms = av_rescale_q(picture->pts - first_pts_, run_.time_base, {1, 1000});
        if (at_ms < clip_->from_ms || (clip_->to_ms > 0 && at_ms >= clip_->to_ms)) {
            return true;
        }
    }
    return sink(*picture);
}

Result<bool> SegmentDecoder::drain(const Sink& sink) {
    while (true) {
        if (run_.given_up()) {
            return false;
        }
        FG_TRY(picture, session_.decoder->receive());
        if (!picture) {
            return true;
        }
        ++pictures_;
        pixels_ += std::int64_t{picture->width} * picture->height;
        repair_time(*picture);
        if (first_pts_ == AV_NOPTS_VALUE) {
            first_pts_ = picture->pts;
        }
        if (!filtering_ && !PictureFilter::needed(*picture, matrix_)) {
            FG_TRY(wanted, deliver(std::move(picture), sink));
            if (!wanted) {
                return false;
            }
            continue;
        }
        filtering_ = true;
        FG_CHECK(filter_.push(std::move(picture), matrix_, run_.time_base));
        while (FramePtr filtered = filter_.pull()) {
            FG_TRY(wanted, deliver(std::move(filtered), sink));
            if (!wanted) {
                return false;
            }
        }
    }
}

void SegmentDecoder::clip_audio() {
    if (!clip_ || first_pts_ == AV_NOPTS_VALUE) {
        return;
    }
    std::erase_if(run_.audio_packets, [&](const PacketPtr& packet) {
        const std::int64_t start = av_rescale_q(first_pts_, run_.time_base, {1, 1000});
        const std::int64_t at_ms = av_rescale_q(packet->pts, run_.audio_time_base, {1, 1000}) - start;
        return packet->pts == AV_NOPTS_VALUE || at_ms < clip_->from_ms ||
               (clip_->to_ms > 0 && at_ms >= clip_->to_ms);
    });
}

Result<Pixels> SegmentDecoder::decode(const std::optional<api::Clip>& clip, const Sink& sink) {
    clip_ = clip;
    bool key_seen = false;
    bool video_seen = false;
    PacketPtr packet = make_packet();
    while (true) {
        if (run_.given_up()) {
            return fail(Errc::kCancelled, "stopped");
        }
        FG_TRY(more, input_->read(*packet));
        if (!more) {
            break;
        }
        if (audio_ != nullptr && packet->stream_index == audio_->index) {
            PacketPtr kept = make_packet();
            av_packet_move_ref(kept.get(), packet.get());
            run_.audio_packets.push_back(std::move(kept));
        } else if (video_ != nullptr && packet->stream_index == video_->index) {
            video_seen = true;
            key_seen = key_seen || (packet->flags & AV_PKT_FLAG_KEY) != 0;
            FG_CHECK(session_.decoder->send(packet.get()));
            FG_TRY(wanted, drain(sink));
            if (!wanted) {
                return fail(Errc::kCancelled, "stopped");
            }
        }
    }
    if (video_ == nullptr) {
        return Pixels{0};
    }
    FG_CHECK(session_.decoder->send(nullptr));
    FG_TRY(wanted, drain(sink));
    filter_.finish();
    while (FramePtr filtered = filter_.pull()) {
        FG_TRY(last_wanted, deliver(std::move(filtered), sink));
        wanted = wanted && last_wanted;
    }
    session_.decoder->flush();
    if (!wanted) {
        return fail(Errc::kCancelled, "stopped");
    }
    if (video_seen && !key_seen) {
        return fail(Errc::kUnprocessable, "No keyframes in input");
    }
    if (pictures_ == 0 && (video_seen || !session_.had_video || audio_ == nullptr)) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no picture could be decoded");
    }
    clip_audio();
    session_.had_video = session_.had_video || pictures_ > 0;
    return Pixels{pixels_};
}

}  // namespace framegrid::media_ffmpeg
