#include <framegrid/media_ffmpeg/video_encoder.hpp>

#include <algorithm>
#include <array>
#include <new>

extern "C" {
#include <libavutil/hwcontext.h>
#include <libavutil/opt.h>
}

namespace framegrid::media_ffmpeg {
namespace {

using media::Encoder;
using media::H264Profile;
using Kind = Hardware::Kind;

std::string codec_name(Encoder encoder, Kind kind) {
    switch (encoder) {
        case Encoder::kH264:
            return kind == Kind::kNvidia ? "h264_nvenc" : kind == Kind::kVaapi ? "h264_vaapi" : "libx264";
        case Encoder::kHevc:
            return kind == Kind::kNvidia ? "hevc_nvenc" : kind == Kind::kVaapi ? "hevc_vaapi" : "libx265";
        case Encoder::kVp9:
            return kind == Kind::kVaapi ? "vp9_vaapi" : "libvpx-vp9";
        case Encoder::kVp8:
            return "libvpx";
    }
    return {};
}

const AVCodec* find_codec(Encoder encoder, const Hardware& hardware, Kind& kind) {
    kind = hardware.encodes ? hardware.kind : Kind::kNone;
    const AVCodec* codec = avcodec_find_encoder_by_name(codec_name(encoder, kind).c_str());
    const bool has_gpu_codec =
        encoder != Encoder::kVp8 && !(encoder == Encoder::kVp9 && kind == Kind::kNvidia);
    if (codec == nullptr || !has_gpu_codec) {
        kind = Kind::kNone;
        codec = avcodec_find_encoder_by_name(codec_name(encoder, kind).c_str());
    }
    return codec;
}

// B-frames, as the network's profiles define them.
int b_frames(const media::VideoProfile& profile, Kind kind) {
    if (profile.encoder == Encoder::kVp9 || profile.encoder == Encoder::kVp8) {
        return 0;
    }
    switch (profile.h264_profile) {
        case H264Profile::kBaseline:
        case H264Profile::kConstrainedHigh:
            return 0;
        case H264Profile::kMain:
        case H264Profile::kHigh:
            return kind == Kind::kNvidia && profile.fps_num == 0 ? 0 : 3;
        case H264Profile::kDefault:
            break;
    }
    return kind == Kind::kNone ? 3 : 0;
}

// The interval between keyframes that the encoder makes by itself; the pipeline forces the others.
int keyframe_interval(const media::VideoProfile& profile) {
    constexpr int kNever = 100'000;
    constexpr int kDefault = 250;
    if (profile.gop_ms == media::kGopIntra) {
        return 1;
    }
    if (profile.gop_ms > 0) {
        return profile.fps_num == 0 ? kNever : media::gop_frames(profile);
    }
    return kDefault;
}

void set_rate(AVCodecContext& context, const media::VideoProfile& profile) {
    if (profile.bitrate_bps <= 0) {
        return;
    }
    if (profile.quality == 0) {
        context.bit_rate = profile.bitrate_bps;
        context.rc_min_rate = profile.bitrate_bps;
    }
    context.rc_max_rate = profile.bitrate_bps;
    context.rc_buffer_size = static_cast<int>(profile.bitrate_bps);
}

void set_x264(
    Options& options, const media::VideoProfile& profile, const EncoderSettings& settings, bool plain
) {
    options.set("preset", settings.preset);
    if (!settings.tune.empty()) {
        options.set("tune", settings.tune);
    }
    options.set("forced-idr", "1");
    // A scene cut found in one rendition only would put keyframes at different places.
    options.set("sc_threshold", "0");
    if (profile.quality > 0) {
        options.set("crf", std::int64_t{profile.quality});
    }
    if (!plain) {
        return;  // more than 8 bits or 4:2:0: the encoder picks the profile that has it
    }
    switch (profile.h264_profile) {
        case H264Profile::kBaseline:
            options.set("profile", "baseline");
            break;
        case H264Profile::kMain:
            options.set("profile", "main");
            break;
        case H264Profile::kHigh:
        case H264Profile::kConstrainedHigh:
            options.set("profile", "high");
            break;
        case H264Profile::kDefault:
            break;
    }
}

void set_x265(
    Options& options, const media::VideoProfile& profile, const EncoderSettings& settings, int interval
) {
    options.set("preset", settings.preset);
    options.set("forced-idr", "1");
    if (profile.quality > 0) {
        options.set("crf", std::int64_t{profile.quality});
    }
    options.set(
        "x265-params", "log-level=none:scenecut=0:open-gop=0:repeat-headers=1:frame-threads=1:pools=" +
                           std::string(settings.threads > 1 ? std::to_string(settings.threads) : "none") +
                           ":keyint=" + std::to_string(interval) + ":min-keyint=1"
    );
}

void set_vpx(
    Options& options, const media::VideoProfile& profile, const EncoderSettings& settings, bool is_vp9
) {
    // x264's preset names, as libvpx speeds.
    static constexpr std::array<std::pair<std::string_view, int>, 9> kSpeeds{{
        {"ultrafast", 8},
        {"superfast", 7},
        {"veryfast", 6},
        {"faster", 5},
        {"fast", 5},
        {"medium", 4},
        {"slow", 2},
        {"slower", 1},
        {"veryslow", 0},
    }};
    int speed = 4;
    for (const auto& [name, value] : kSpeeds) {
        speed = name == settings.preset ? value : speed;
    }
    options.set("deadline", speed >= 5 ? "realtime" : "good");
    options.set("cpu-used", std::int64_t{speed});
    options.set("lag-in-frames", "0");
    options.set("auto-alt-ref", "0");
    if (is_vp9) {
        options.set("row-mt", "1");
    }
    if (profile.quality > 0) {
        options.set("crf", std::int64_t{profile.quality});
    }
}

void set_nvenc(Options& options, const media::VideoProfile& profile) {
    options.set("preset", "p4");
    options.set("forced-idr", "1");
    options.set("no-scenecut", "1");
    options.set("rc", profile.quality > 0 ? "vbr" : "cbr");
    if (profile.quality > 0) {
        options.set("cq", std::int64_t{std::min(51U, profile.quality + 7)});
    }
    if (profile.encoder == Encoder::kH264 && profile.h264_profile != H264Profile::kDefault) {
        options.set(
            "profile", profile.h264_profile == H264Profile::kBaseline ? "baseline"
                       : profile.h264_profile == H264Profile::kMain   ? "main"
                                                                      : "high"
        );
    }
}

AVPixelFormat software_format(const media::VideoProfile& profile) {
    using media::Chroma;
    if (profile.color_depth > 0) {
        return profile.chroma == Chroma::k444   ? AV_PIX_FMT_YUV444P10
               : profile.chroma == Chroma::k422 ? AV_PIX_FMT_YUV422P10
                                                : AV_PIX_FMT_YUV420P10;
    }
    return profile.chroma == Chroma::k444   ? AV_PIX_FMT_YUV444P
           : profile.chroma == Chroma::k422 ? AV_PIX_FMT_YUV422P
                                            : AV_PIX_FMT_YUV420P;
}

}  // namespace

Result<AVPixelFormat> encoder_pixel_format(const media::VideoProfile& profile, const Hardware& hardware) {
    if (profile.color_depth > 2) {
        return fail(Errc::kUnsupported, "Invalid argument: more than 10 bits per sample cannot be encoded");
    }
    if (profile.color_depth > 0 && profile.encoder == Encoder::kVp9) {
        return fail(Errc::kUnsupported, "Invalid argument: VP9 is encoded with 8 bits per sample only");
    }
    Kind kind = Kind::kNone;
    if (profile.encoder == Encoder::kVp8 || find_codec(profile.encoder, hardware, kind) == nullptr) {
        return fail(
            Errc::kUnsupported, "Encoder not found: " + std::string(media::encoder_name(profile.encoder))
        );
    }
    if (kind == Kind::kVaapi) {
        return AV_PIX_FMT_NV12;
    }
    return kind == Kind::kNvidia ? AV_PIX_FMT_YUV420P : software_format(profile);
}

Result<std::unique_ptr<VideoEncoder>> VideoEncoder::open(
    const media::VideoProfile& profile, const AVFrame& like, AVRational time_base, AVRational frame_rate,
    OutputFormat format, const EncoderSettings& settings, const Hardware& hardware
) {
    Kind kind = Kind::kNone;
    const AVCodec* codec = find_codec(profile.encoder, hardware, kind);
    if (codec == nullptr) {
        return fail(
            Errc::kUnsupported, "Encoder not found: " + std::string(media::encoder_name(profile.encoder))
        );
    }
    std::unique_ptr<VideoEncoder> encoder(new VideoEncoder());
    encoder->codec_.reset(avcodec_alloc_context3(codec));
    if (!encoder->codec_) {
        throw std::bad_alloc();
    }
    AVCodecContext& context = *encoder->codec_;
    context.width = like.width;
    context.height = like.height;
    context.pix_fmt = static_cast<AVPixelFormat>(like.format);
    context.sample_aspect_ratio = like.sample_aspect_ratio;
    context.color_range = like.color_range;
    context.colorspace = like.colorspace;
    context.color_primaries = like.color_primaries;
    context.color_trc = like.color_trc;
    context.chroma_sample_location = like.chroma_location;
    context.time_base = time_base;
    context.framerate = frame_rate;
    context.gop_size = keyframe_interval(profile);
    context.max_b_frames = b_frames(profile, kind);
    context.thread_count = settings.threads;
    context.flags |= format == OutputFormat::kMpegTs ? 0 : AV_CODEC_FLAG_GLOBAL_HEADER;
    set_rate(context, profile);

    Options options;
    if (kind == Kind::kNvidia) {
        set_nvenc(options, profile);
    } else if (kind == Kind::kNone && profile.encoder == Encoder::kH264) {
        set_x264(options, profile, settings, context.pix_fmt == AV_PIX_FMT_YUV420P);
    } else if (kind == Kind::kNone && profile.encoder == Encoder::kHevc) {
        set_x265(options, profile, settings, context.gop_size);
    } else if (kind == Kind::kNone) {
        set_vpx(options, profile, settings, profile.encoder == Encoder::kVp9);
    }
    if (kind == Kind::kVaapi) {
        FG_CHECK(encoder->attach_gpu_frames(hardware, like));
    }
    if (const int error = avcodec_open2(&context, codec, options.get()); error < 0) {
        return av_fail(error, "the encoder refuses the profile " + profile.name, Errc::kUnsupported);
    }
    return encoder;
}

Result<void> VideoEncoder::attach_gpu_frames(const Hardware& hardware, const AVFrame& like) {
    BufferPtr frames(av_hwframe_ctx_alloc(hardware.device.get()));
    if (!frames) {
        throw std::bad_alloc();
    }
    auto* pool = reinterpret_cast<AVHWFramesContext*>(frames->data);
    pool->format = AV_PIX_FMT_VAAPI;
    pool->sw_format = static_cast<AVPixelFormat>(like.format);
    pool->width = like.width;
    pool->height = like.height;
    pool->initial_pool_size = 20;
    if (const int error = av_hwframe_ctx_init(frames.get()); error < 0) {
        return av_fail(error, "preparing the GPU's pictures", Errc::kUnsupported);
    }
    codec_->pix_fmt = AV_PIX_FMT_VAAPI;
    codec_->hw_frames_ctx = frames.release();
    return {};
}

Result<void> VideoEncoder::encode(FramePtr picture, std::vector<PacketPtr>& packets) {
    if (picture && codec_->hw_frames_ctx != nullptr) {
        FramePtr uploaded = make_frame();
        int error = av_hwframe_get_buffer(codec_->hw_frames_ctx, uploaded.get(), 0);
        if (error >= 0) {
            error = av_hwframe_transfer_data(uploaded.get(), picture.get(), 0);
        }
        if (error < 0) {
            return av_fail(error, "copying a picture to the GPU");
        }
        av_frame_copy_props(uploaded.get(), picture.get());
        picture = std::move(uploaded);
    }
    if (const int error = avcodec_send_frame(codec_.get(), picture.get());
        error < 0 && error != AVERROR_EOF) {
        return av_fail(error, "encoding");
    }
    while (true) {
        PacketPtr packet = make_packet();
        const int error = avcodec_receive_packet(codec_.get(), packet.get());
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) {
            return {};
        }
        if (error < 0) {
            return av_fail(error, "encoding");
        }
        packets.push_back(std::move(packet));
    }
}

ParametersPtr VideoEncoder::parameters() const {
    ParametersPtr parameters(avcodec_parameters_alloc());
    if (!parameters || avcodec_parameters_from_context(parameters.get(), codec_.get()) < 0) {
        throw std::bad_alloc();
    }
    return parameters;
}

}  // namespace framegrid::media_ffmpeg
