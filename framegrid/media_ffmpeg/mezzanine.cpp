#include <framegrid/media_ffmpeg/mezzanine.hpp>

#include <algorithm>
#include <new>
#include <thread>

extern "C" {
#include <libavutil/opt.h>
}

namespace framegrid::media_ffmpeg {
namespace {

int threads_max() {
    constexpr unsigned kMax = 8;
    return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMax));
}

// The encoder's format that loses nothing of `format`, or the least.
AVPixelFormat closest_format(const AVCodecContext& context, const AVCodec& codec, AVPixelFormat format) {
    const void* formats = nullptr;
    constexpr int kHasAlpha = 1;
    if (avcodec_get_supported_config(&context, &codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &formats, nullptr) <
            0 ||
        formats == nullptr) {
        return format;
    }
    return avcodec_find_best_pix_fmt_of_list(
        static_cast<const AVPixelFormat*>(formats), format, kHasAlpha, nullptr
    );
}

}  // namespace

Result<std::unique_ptr<Mezzanine>> Mezzanine::open(
    const AVCodecParameters& parameters, AVRational time_base
) {
    std::unique_ptr<Mezzanine> out(new Mezzanine());
    FG_TRY(decoder, VideoDecoder::open(parameters, time_base, threads_max(), nullptr));
    out->decoder_ = std::move(decoder);
    out->time_base_ = time_base;
    out->field_order_ = parameters.field_order;
    return out;
}

Result<void> Mezzanine::begin(const AVFrame& picture) {
    const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_FFV1);
    if (codec == nullptr) {
        return fail(Errc::kUnsupported, "this FFmpeg has no FFV1 encoder");
    }
    CodecPtr encoder(avcodec_alloc_context3(codec));
    if (!encoder) {
        throw std::bad_alloc();
    }
    AVCodecContext& context = *encoder;
    context.width = picture.width;
    context.height = picture.height;
    context.sample_aspect_ratio = picture.sample_aspect_ratio;
    context.pix_fmt = closest_format(context, *codec, static_cast<AVPixelFormat>(picture.format));
    context.color_range = picture.color_range;
    context.colorspace = picture.colorspace;
    context.color_primaries = picture.color_primaries;
    context.color_trc = picture.color_trc;
    context.field_order = field_order_;
    context.time_base = time_base_;
    context.gop_size = 1;
    context.level = 3;  // the version with slices, for threads
    context.slices = 4;
    context.thread_count = threads_max();
    context.thread_type = FF_THREAD_SLICE;
    context.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (const int error = avcodec_open2(&context, codec, nullptr); error < 0) {
        return av_fail(error, "opening the FFV1 encoder");
    }
    encoder_ = std::move(encoder);
    return {};
}

Result<void> Mezzanine::encode(const AVFrame* picture, std::vector<PacketPtr>& out) {
    int error = avcodec_send_frame(encoder_.get(), picture);
    while (error >= 0) {
        PacketPtr packet = make_packet();
        error = avcodec_receive_packet(encoder_.get(), packet.get());
        if (error >= 0) {
            packet->flags |= AV_PKT_FLAG_KEY;
            packet->dts = packet->pts;
            out.push_back(std::move(packet));
        }
    }
    if (error != AVERROR(EAGAIN) && error != AVERROR_EOF) {
        return av_fail(error, "encoding with FFV1");
    }
    return {};
}

Result<void> Mezzanine::push(const AVPacket* packet, std::vector<PacketPtr>& out) {
    FG_CHECK(decoder_->send(packet));
    for (;;) {
        FG_TRY(picture, decoder_->receive());
        if (!picture) {
            break;
        }
        if (!encoder_) {
            FG_CHECK(begin(*picture));
        }
        const AVCodecContext& context = *encoder_;
        FG_TRY(fitting, scaler_.scale(*picture, {context.width, context.height}, context.pix_fmt));
        std::int64_t pts = fitting->pts != AV_NOPTS_VALUE ? fitting->pts : fitting->best_effort_timestamp;
        if (last_pts_ && (pts == AV_NOPTS_VALUE || pts <= *last_pts_)) {
            pts = *last_pts_ + 1;
        }
        fitting->pts = pts == AV_NOPTS_VALUE ? 0 : pts;
        last_pts_ = fitting->pts;
        fitting->pict_type = AV_PICTURE_TYPE_NONE;  // the encoder's choice, not the source's
        FG_CHECK(encode(fitting.get(), out));
    }
    if (packet == nullptr && encoder_) {
        return encode(nullptr, out);
    }
    return {};
}

Result<ParametersPtr> Mezzanine::parameters() const {
    if (!encoder_) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no picture of the video can be read");
    }
    ParametersPtr out(avcodec_parameters_alloc());
    if (!out || avcodec_parameters_from_context(out.get(), encoder_.get()) < 0) {
        throw std::bad_alloc();
    }
    return out;
}

}  // namespace framegrid::media_ffmpeg
