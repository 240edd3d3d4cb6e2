#include <framegrid/media_ffmpeg/audio_recoder.hpp>

#include <algorithm>
#include <new>

extern "C" {
#include <libavutil/audio_fifo.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mathematics.h>
#include <libswresample/swresample.h>
}

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kBitsPerChannel = 96'000;
constexpr int kOpusRate = 48'000;

int supported_rate(int rate) {
    for (const int known : {8000, 11'025, 12'000, 16'000, 22'050, 24'000, 32'000, 44'100, 48'000}) {
        if (rate == known) {
            return rate;
        }
    }
    return 48'000;
}

}  // namespace

AudioRecoder::~AudioRecoder() {
    swr_free(&resampler_);
    av_audio_fifo_free(fifo_);
}

Result<std::unique_ptr<AudioRecoder>> AudioRecoder::open(
    const AVCodecParameters& parameters, AVRational time_base, To to
) {
    const bool opus = to == To::kOpus;
    const AVCodec* decoder = avcodec_find_decoder(parameters.codec_id);
    // FFmpeg's own Opus encoder is an experiment.
    const AVCodec* encoder =
        opus ? avcodec_find_encoder_by_name("libopus") : avcodec_find_encoder(AV_CODEC_ID_AAC);
    if (decoder == nullptr) {
        return fail(
            Errc::kUnsupported,
            std::string("Decoder not found for audio codec ") + avcodec_get_name(parameters.codec_id)
        );
    }
    if (encoder == nullptr) {
        return fail(
            Errc::kUnsupported, std::string("Encoder not found for audio codec ") + (opus ? "opus" : "aac")
        );
    }
    std::unique_ptr<AudioRecoder> self(new AudioRecoder());
    self->in_time_base_ = time_base;
    self->decoder_.reset(avcodec_alloc_context3(decoder));
    self->encoder_.reset(avcodec_alloc_context3(encoder));
    if (!self->decoder_ || !self->encoder_) {
        throw std::bad_alloc();
    }
    if (const int error = avcodec_parameters_to_context(self->decoder_.get(), &parameters); error < 0) {
        return av_fail(error, "opening the audio decoder", Errc::kUnprocessable);
    }
    self->decoder_->pkt_timebase = time_base;
    if (const int error = avcodec_open2(self->decoder_.get(), decoder, nullptr); error < 0) {
        return av_fail(error, "opening the audio decoder", Errc::kUnprocessable);
    }
    AVCodecContext& out = *self->encoder_;
    out.sample_rate = opus ? kOpusRate : supported_rate(parameters.sample_rate);
    out.sample_fmt = opus ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP;
    av_channel_layout_default(&out.ch_layout, parameters.ch_layout.nb_channels >= 2 ? 2 : 1);
    out.bit_rate = kBitsPerChannel * out.ch_layout.nb_channels;
    out.time_base = {1, out.sample_rate};
    out.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (const int error = avcodec_open2(&out, encoder, nullptr); error < 0) {
        return av_fail(error, "opening the audio encoder");
    }
    self->fifo_ = av_audio_fifo_alloc(out.sample_fmt, out.ch_layout.nb_channels, out.frame_size * 4);
    if (self->fifo_ == nullptr) {
        throw std::bad_alloc();
    }
    return self;
}

Result<void> AudioRecoder::convert(const AVFrame* frame) {
    const AVCodecContext& out = *encoder_;
    if (frame != nullptr && (resampler_ == nullptr || frame->sample_rate != in_rate_ ||
                             frame->format != in_format_ || frame->ch_layout.nb_channels != in_channels_)) {
        swr_free(&resampler_);
        int error = swr_alloc_set_opts2(
            &resampler_, &out.ch_layout, out.sample_fmt, out.sample_rate, &frame->ch_layout,
            static_cast<AVSampleFormat>(frame->format), frame->sample_rate, 0, nullptr
        );
        error = error < 0 ? error : swr_init(resampler_);
        if (error < 0) {
            return av_fail(error, "converting audio", Errc::kUnprocessable);
        }
        in_rate_ = frame->sample_rate;
        in_format_ = frame->format;
        in_channels_ = frame->ch_layout.nb_channels;
    }
    if (resampler_ == nullptr) {
        return {};
    }
    const int room = swr_get_out_samples(resampler_, frame == nullptr ? 0 : frame->nb_samples);
    if (room <= 0) {
        return {};
    }
    FramePtr converted = make_frame();
    converted->format = out.sample_fmt;
    converted->nb_samples = room;
    av_channel_layout_copy(&converted->ch_layout, &out.ch_layout);
    if (av_frame_get_buffer(converted.get(), 0) < 0) {
        throw std::bad_alloc();
    }
    const int count = swr_convert(
        resampler_, converted->extended_data, room,
        frame == nullptr ? nullptr : const_cast<const std::uint8_t**>(frame->extended_data),
        frame == nullptr ? 0 : frame->nb_samples
    );
    if (count < 0) {
        return av_fail(count, "converting audio", Errc::kUnprocessable);
    }
    if (count > 0 &&
        av_audio_fifo_write(fifo_, reinterpret_cast<void**>(converted->extended_data), count) < count) {
        throw std::bad_alloc();
    }
    return {};
}

Result<void> AudioRecoder::encode(bool last, std::vector<PacketPtr>& out) {
    AVCodecContext& codec = *encoder_;
    while (av_audio_fifo_size(fifo_) >= codec.frame_size || (last && av_audio_fifo_size(fifo_) > 0)) {
        FramePtr frame = make_frame();
        frame->nb_samples = std::min(codec.frame_size, av_audio_fifo_size(fifo_));
        frame->format = codec.sample_fmt;
        frame->sample_rate = codec.sample_rate;
        av_channel_layout_copy(&frame->ch_layout, &codec.ch_layout);
        if (av_frame_get_buffer(frame.get(), 0) < 0) {
            throw std::bad_alloc();
        }
        av_audio_fifo_read(fifo_, reinterpret_cast<void**>(frame->extended_data), frame->nb_samples);
        frame->pts = next_pts_;
        next_pts_ += frame->nb_samples;
        if (const int error = avcodec_send_frame(&codec, frame.get()); error < 0) {
            return av_fail(error, "encoding audio");
        }
        take_packets(out);
    }
    if (last) {
        (void)avcodec_send_frame(&codec, nullptr);
        take_packets(out);
    }
    return {};
}

void AudioRecoder::take_packets(std::vector<PacketPtr>& out) {
    PacketPtr packet = make_packet();
    while (avcodec_receive_packet(encoder_.get(), packet.get()) >= 0) {
        out.push_back(std::move(packet));
        packet = make_packet();
    }
}

Result<void> AudioRecoder::push(const AVPacket* packet, std::vector<PacketPtr>& out) {
    (void)avcodec_send_packet(decoder_.get(), packet);  // damaged audio is skipped
    FramePtr frame = make_frame();
    while (avcodec_receive_frame(decoder_.get(), frame.get()) >= 0) {
        if (frame->sample_rate <= 0 || frame->ch_layout.nb_channels <= 0) {
            continue;
        }
        const std::int64_t pts =
            frame->best_effort_timestamp == AV_NOPTS_VALUE
                ? AV_NOPTS_VALUE
                : av_rescale_q(frame->best_effort_timestamp, in_time_base_, encoder_->time_base);
        const std::int64_t expected =
            next_pts_ == AV_NOPTS_VALUE ? AV_NOPTS_VALUE : next_pts_ + av_audio_fifo_size(fifo_);
        const bool jumped = pts != AV_NOPTS_VALUE && expected != AV_NOPTS_VALUE &&
                            pts > expected + encoder_->sample_rate / 10;
        if (next_pts_ == AV_NOPTS_VALUE || jumped) {
            if (jumped) {
                av_audio_fifo_reset(fifo_);  // less than one frame of sound before a gap
            }
            next_pts_ = pts == AV_NOPTS_VALUE ? 0 : pts;
        }
        FG_CHECK(convert(frame.get()));
        FG_CHECK(encode(false, out));
    }
    if (packet == nullptr) {
        FG_CHECK(convert(nullptr));
        FG_CHECK(encode(true, out));
    }
    return {};
}

ParametersPtr AudioRecoder::parameters() const {
    ParametersPtr parameters(avcodec_parameters_alloc());
    if (!parameters || avcodec_parameters_from_context(parameters.get(), encoder_.get()) < 0) {
        throw std::bad_alloc();
    }
    return parameters;
}

}  // namespace framegrid::media_ffmpeg
