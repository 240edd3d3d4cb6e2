#include <framegrid/media_ffmpeg/video_decoder.hpp>

#include <algorithm>
#include <cmath>
#include <new>

extern "C" {
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/display.h>
#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>
}

#include <framegrid/job/capabilities.hpp>

namespace framegrid::media_ffmpeg {
namespace {

const std::int32_t* matrix_of(const AVFrame& frame, const std::int32_t* stream_matrix) {
    const AVFrameSideData* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (side != nullptr && side->size >= 9 * sizeof(std::int32_t)) {
        return reinterpret_cast<const std::int32_t*>(side->data);
    }
    return stream_matrix;
}

// The filters that make a picture upright. Mirrored matrices keep their mirror.
std::string upright_chain(const std::int32_t* matrix) {
    if (matrix == nullptr) {
        return {};
    }
    const bool mirrored = std::int64_t{matrix[0]} * matrix[4] - std::int64_t{matrix[1]} * matrix[3] < 0;
    switch (rotation_of(matrix)) {
        case 90:
            return mirrored ? "transpose=cclock_flip" : "transpose=clock";
        case 180:
            return mirrored ? "vflip" : "hflip,vflip";
        case 270:
            return mirrored ? "transpose=clock_flip" : "transpose=cclock";
        default:
            return mirrored ? "hflip" : "";
    }
}

// Pictures in between that are whole stay as they are.
const std::string kDeinterlace = "yadif=deint=interlaced";

std::string chain_for(const AVFrame& frame, const std::int32_t* stream_matrix) {
    std::string chain = upright_chain(matrix_of(frame, stream_matrix));
    if ((frame.flags & AV_FRAME_FLAG_INTERLACED) != 0) {
        chain = chain.empty() ? kDeinterlace : kDeinterlace + ("," + chain);
    }
    return chain;
}

}  // namespace

bool is_supported_input(AVCodecID codec) {
    return job::source_codec(avcodec_get_name(codec)).has_value();
}

int rotation_of(const std::int32_t* matrix) {
    if (matrix == nullptr) {
        return 0;
    }
    const double degrees = -av_display_rotation_get(matrix);  // FFmpeg counts counter-clockwise
    if (!std::isfinite(degrees)) {
        return 0;
    }
    const auto quarter = static_cast<int>(std::lround(degrees / 90.0));
    return ((quarter % 4) + 4) % 4 * 90;
}

const std::int32_t* display_matrix_of(const AVCodecParameters& parameters) {
    const AVPacketSideData* side = av_packet_side_data_get(
        parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX
    );
    return side != nullptr && side->size >= 9 * sizeof(std::int32_t)
               ? reinterpret_cast<const std::int32_t*>(side->data)
               : nullptr;
}

PictureFilter::~PictureFilter() {
    reset();
}

void PictureFilter::reset() {
    avfilter_graph_free(&graph_);
    source_ = nullptr;
    sink_ = nullptr;
    key_.clear();
}

bool PictureFilter::needed(const AVFrame& frame, const std::int32_t* stream_matrix) {
    return !chain_for(frame, stream_matrix).empty();
}

Result<void> PictureFilter::build(const AVFrame& frame, const std::string& chain, AVRational time_base) {
    reset();
    graph_ = avfilter_graph_alloc();
    if (graph_ == nullptr) {
        throw std::bad_alloc();
    }
    graph_->nb_threads = 1;
    time_base_ = time_base;
    const AVRational sar = frame.sample_aspect_ratio.num > 0 ? frame.sample_aspect_ratio : AVRational{1, 1};
    const std::string arguments =
        "video_size=" + std::to_string(frame.width) + "x" + std::to_string(frame.height) +
        ":pix_fmt=" + std::to_string(frame.format) + ":time_base=" + std::to_string(time_base.num) + "/" +
        std::to_string(time_base.den) + ":pixel_aspect=" + std::to_string(sar.num) + "/" +
        std::to_string(sar.den) + ":colorspace=" + std::to_string(frame.colorspace) +
        ":range=" + std::to_string(frame.color_range);
    int error = avfilter_graph_create_filter(
        &source_, avfilter_get_by_name("buffer"), "in", arguments.c_str(), nullptr, graph_
    );
    if (error >= 0) {
        error = avfilter_graph_create_filter(
            &sink_, avfilter_get_by_name("buffersink"), "out", nullptr, nullptr, graph_
        );
    }
    if (error >= 0) {
        AVFilterInOut* outputs = avfilter_inout_alloc();
        AVFilterInOut* inputs = avfilter_inout_alloc();
        outputs->name = av_strdup("in");
        outputs->filter_ctx = source_;
        inputs->name = av_strdup("out");
        inputs->filter_ctx = sink_;
        error = avfilter_graph_parse_ptr(graph_, chain.c_str(), &inputs, &outputs, nullptr);
        avfilter_inout_free(&inputs);
        avfilter_inout_free(&outputs);
    }
    if (error >= 0) {
        error = avfilter_graph_config(graph_, nullptr);
    }
    if (error < 0) {
        reset();
        return av_fail(error, "Error initializing filtergraph", Errc::kUnprocessable);
    }
    return {};
}

Result<void> PictureFilter::push(FramePtr frame, const std::int32_t* stream_matrix, AVRational time_base) {
    // Interlacing may come and go between pictures; the filter itself leaves progressive ones alone.
    const std::string chain = chain_for(*frame, stream_matrix);
    const std::string key = std::to_string(frame->width) + "x" + std::to_string(frame->height) + "/" +
                            std::to_string(frame->format) + "/" + chain;
    if (graph_ == nullptr || (key != key_ && !chain.empty())) {
        FG_CHECK(build(*frame, chain.empty() ? "null" : chain, time_base));
        key_ = key;
    }
    av_frame_remove_side_data(frame.get(), AV_FRAME_DATA_DISPLAYMATRIX);
    if (const int error = av_buffersrc_add_frame(source_, frame.get()); error < 0) {
        return av_fail(error, "filtering a picture");
    }
    return {};
}

void PictureFilter::finish() {
    if (source_ != nullptr) {
        [[maybe_unused]] const int error = av_buffersrc_add_frame(source_, nullptr);
    }
}

FramePtr PictureFilter::pull() {
    if (sink_ == nullptr) {
        return nullptr;
    }
    FramePtr frame = make_frame();
    if (av_buffersink_get_frame(sink_, frame.get()) < 0) {
        return nullptr;
    }
    // Filters may count in other units: yadif halves them, for pictures between the source's.
    const AVRational from = av_buffersink_get_time_base(sink_);
    if (frame->pts != AV_NOPTS_VALUE) {
        frame->pts = av_rescale_q(frame->pts, from, time_base_);
    }
    frame->duration = av_rescale_q(frame->duration, from, time_base_);
    return frame;
}

AVPixelFormat VideoDecoder::choose_format(AVCodecContext* context, const AVPixelFormat* formats) {
    if (context->hw_device_ctx != nullptr) {
        const auto* device = reinterpret_cast<const AVHWDeviceContext*>(context->hw_device_ctx->data);
        const AVPixelFormat wanted =
            device->type == AV_HWDEVICE_TYPE_CUDA ? AV_PIX_FMT_CUDA : AV_PIX_FMT_VAAPI;
        for (const AVPixelFormat* format = formats; *format != AV_PIX_FMT_NONE; ++format) {
            if (*format == wanted) {
                return wanted;
            }
        }
    }
    for (const AVPixelFormat* format = formats; *format != AV_PIX_FMT_NONE; ++format) {
        const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(*format);
        if (descriptor != nullptr && (descriptor->flags & AV_PIX_FMT_FLAG_HWACCEL) == 0) {
            return *format;
        }
    }
    return AV_PIX_FMT_NONE;
}

Result<std::unique_ptr<VideoDecoder>> VideoDecoder::open(
    const AVCodecParameters& parameters, AVRational time_base, int threads, const Hardware* hardware
) {
    const AVCodec* codec =
        parameters.codec_id == AV_CODEC_ID_AV1 ? avcodec_find_decoder_by_name("libdav1d") : nullptr;
    if (codec == nullptr) {
        codec = avcodec_find_decoder(parameters.codec_id);
    }
    if (codec == nullptr) {
        return fail(
            Errc::kUnsupported, std::string("Decoder not found for ") + avcodec_get_name(parameters.codec_id)
        );
    }
    std::unique_ptr<VideoDecoder> decoder(new VideoDecoder());
    decoder->codec_.reset(avcodec_alloc_context3(codec));
    if (!decoder->codec_) {
        throw std::bad_alloc();
    }
    AVCodecContext& context = *decoder->codec_;
    if (const int error = avcodec_parameters_to_context(&context, &parameters); error < 0) {
        return av_fail(error, "opening the decoder", Errc::kUnprocessable);
    }
    context.pkt_timebase = time_base;
    context.max_pixels = kPixelsMax;
    context.thread_count = threads;
    context.get_format = &VideoDecoder::choose_format;
    if (hardware != nullptr && hardware->device) {
        context.hw_device_ctx = av_buffer_ref(hardware->device.get());
    }
    if (const int error = avcodec_open2(&context, codec, nullptr); error < 0) {
        return av_fail(error, "opening the decoder", Errc::kUnprocessable);
    }
    decoder->parameters_ = copy_parameters(parameters);
    return decoder;
}

bool VideoDecoder::fits(const AVCodecParameters& parameters) const {
    const AVCodecParameters& mine = *parameters_;
    // The decoder puts its stream's matrix on every picture.
    const std::int32_t* my_matrix = display_matrix_of(mine);
    const std::int32_t* matrix = display_matrix_of(parameters);
    const bool same_matrix = my_matrix == nullptr || matrix == nullptr
                                 ? my_matrix == matrix
                                 : std::equal(my_matrix, my_matrix + 9, matrix);
    if (!same_matrix) {
        return false;
    }
    return mine.codec_id == parameters.codec_id && mine.format == parameters.format &&
           mine.width == parameters.width && mine.height == parameters.height &&
           mine.extradata_size == parameters.extradata_size &&
           (mine.extradata_size == 0 ||
            std::memcmp(
                mine.extradata, parameters.extradata, static_cast<std::size_t>(mine.extradata_size)
            ) == 0);
}

Result<void> VideoDecoder::send(const AVPacket* packet) {
    const int error = avcodec_send_packet(codec_.get(), packet);
    // Damaged input is normal on a network: the decoder conceals or drops it, and goes on with the next
    // packet.
    if (error >= 0 || error == AVERROR_EOF || error == AVERROR_INVALIDDATA || error == AVERROR(EINVAL) ||
        error == AVERROR_PATCHWELCOME) {
        return {};
    }
    return av_fail(error, "decoding", Errc::kUnprocessable);
}

Result<FramePtr> VideoDecoder::receive() {
    FramePtr frame = make_frame();
    while (true) {
        const int error = avcodec_receive_frame(codec_.get(), frame.get());
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) {
            return FramePtr();
        }
        if (error == AVERROR_INVALIDDATA) {
            continue;
        }
        if (error < 0) {
            return av_fail(error, "decoding", Errc::kUnprocessable);
        }
        break;
    }
    FG_CHECK(check_size(frame->width, frame->height));
    if (frame->hw_frames_ctx != nullptr) {
        FramePtr local = make_frame();
        if (const int error = av_hwframe_transfer_data(local.get(), frame.get(), 0); error < 0) {
            return av_fail(error, "copying a picture from the GPU");
        }
        av_frame_copy_props(local.get(), frame.get());
        return local;
    }
    return frame;
}

void VideoDecoder::flush() {
    avcodec_flush_buffers(codec_.get());
}

}  // namespace framegrid::media_ffmpeg
