#include <framegrid/media_ffmpeg/segment_decoder.hpp>

#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <framegrid/media_ffmpeg/audio_recoder.hpp>

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
    FG_TRY(frame_rate, self->choose_streams());
    AVFormatContext* format = self->input_->get();
    for (unsigned i = 0; i < format->nb_streams; ++i) {
        AVStream* stream = format->streams[i];
        stream->discard =
            stream == self->video_ || stream == self->audio_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    if (self->audio_ != nullptr) {
        run.audio =
            copy_parameters(session.known ? *session.known->audio_parameters : *self->audio_->codecpar);
        run.audio_time_base = self->audio_->time_base;
    }
    if (self->video_ == nullptr) {
        if (session.had_video && self->audio_ != nullptr) {
            return self;
        }
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: there is no video in the segment");
    }
    const AVCodecParameters& parameters =
        session.known ? *session.known->video_parameters : *self->video_->codecpar;
    run.time_base = self->video_->time_base;
    run.frame_rate = frame_rate;
    self->step_ = std::max<std::int64_t>(1, av_rescale_q(1, av_inv_q(run.frame_rate), run.time_base));
    self->matrix_ = display_matrix_of(parameters);
    if (!is_supported_input(parameters.codec_id)) {
        return fail(
            Errc::kUnsupported,
            std::string("Unsupported input codec ") + avcodec_get_name(parameters.codec_id)
        );
    }
    if (!session.decoder || !session.decoder->fits(parameters)) {
        session.decoder.reset();
        FG_TRY(decoder, VideoDecoder::open(parameters, run.time_base, threads, &hardware));
        session.decoder = std::move(decoder);
    }
    return self;
}

bool SegmentDecoder::recall() {
    const AVFormatContext* format = input_->get();
    if (!session_.known || !session_.decoder || std::string_view(format->iformat->name) != "mpegts") {
        return false;
    }
    const KnownStreams& known = *session_.known;
    if (known.streams.size() != format->nb_streams) {
        return false;
    }
    for (unsigned i = 0; i < format->nb_streams; ++i) {
        const AVStream& stream = *format->streams[i];
        if (!(known.streams[i] == KnownStreams::Stream{stream.id, stream.codecpar->codec_id})) {
            return false;
        }
    }
    video_ = format->streams[known.video];
    audio_ = known.audio >= 0 ? format->streams[known.audio] : nullptr;
    return true;
}

void SegmentDecoder::remember(AVRational frame_rate) {
    const AVFormatContext* format = input_->get();
    session_.known.reset();
    // Only codecs that repeat their parameters inside the stream: nothing is lost when they change later.
    const bool self_describing =
        std::string_view(format->iformat->name) == "mpegts" && video_ != nullptr &&
        video_->codecpar->width > 0 &&
        (video_->codecpar->codec_id == AV_CODEC_ID_H264 || video_->codecpar->codec_id == AV_CODEC_ID_HEVC) &&
        (audio_ == nullptr || audio_->codecpar->codec_id == AV_CODEC_ID_AAC);
    if (!self_describing) {
        return;
    }
    KnownStreams known;
    for (unsigned i = 0; i < format->nb_streams; ++i) {
        known.streams.push_back({format->streams[i]->id, format->streams[i]->codecpar->codec_id});
    }
    known.video = video_->index;
    known.video_parameters = copy_parameters(*video_->codecpar);
    if (audio_ != nullptr) {
        known.audio = audio_->index;
        known.audio_parameters = copy_parameters(*audio_->codecpar);
    }
    known.frame_rate = frame_rate;
    session_.known = std::move(known);
}

Result<AVRational> SegmentDecoder::choose_streams() {
    if (recall()) {
        return session_.known->frame_rate;
    }
    session_.known.reset();
    FG_CHECK(input_->find_streams(kProbeBytes, kProbeMs));
    video_ = input_->video();
    audio_ = input_->audio();
    AVRational rate =
        video_ == nullptr ? AVRational{0, 1} : av_guess_frame_rate(input_->get(), video_, nullptr);
    if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) > 1000) {
        rate = {30, 1};
    }
    remember(rate);
    return rate;
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
        // What the container says about the shape of pixels comes before what the codec says.
        picture->sample_aspect_ratio = av_guess_sample_aspect_ratio(input_->get(), video_, picture.get());
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
        // From the start on: sound that comes a little before the first picture, too.
        return packet->pts == AV_NOPTS_VALUE || (clip_->from_ms > 0 && at_ms < clip_->from_ms) ||
               (clip_->to_ms > 0 && at_ms >= clip_->to_ms);
    });
}

// Sound is passed on as it is, unless a rendition's container does not take it.
Result<void> SegmentDecoder::fit_audio() {
    if (!run_.audio) {
        return {};
    }
    const AVCodecID codec = run_.audio->codec_id;
    if ((!run_.makes_mpegts || fits_mpegts(codec)) && (!run_.makes_mp4 || fits_mp4(codec))) {
        return {};
    }
    auto encoder = AudioRecoder::open(*run_.audio, run_.audio_time_base);
    if (!encoder) {
        run_.audio.reset();  // nobody here can read it: the pictures go on without
        run_.audio_packets.clear();
        return {};
    }
    std::vector<PacketPtr> converted;
    for (const PacketPtr& packet : run_.audio_packets) {
        FG_CHECK((*encoder)->push(packet.get(), converted));
    }
    FG_CHECK((*encoder)->push(nullptr, converted));
    run_.audio = (*encoder)->parameters();
    run_.audio_time_base = (*encoder)->time_base();
    run_.audio_packets = std::move(converted);
    return {};
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
        FG_CHECK(fit_audio());
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
    FG_CHECK(fit_audio());
    session_.had_video = session_.had_video || pictures_ > 0;
    return Pixels{pixels_};
}

}  // namespace framegrid::media_ffmpeg
