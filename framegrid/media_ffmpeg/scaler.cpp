#include <framegrid/media_ffmpeg/scaler.hpp>

#include <new>

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kAlignment = 64;

// The "J" formats are the plain ones with the range in the name.
AVPixelFormat without_range(int format) {
    switch (format) {
        case AV_PIX_FMT_YUVJ420P:
            return AV_PIX_FMT_YUV420P;
        case AV_PIX_FMT_YUVJ422P:
            return AV_PIX_FMT_YUV422P;
        case AV_PIX_FMT_YUVJ444P:
            return AV_PIX_FMT_YUV444P;
        case AV_PIX_FMT_YUVJ440P:
            return AV_PIX_FMT_YUV440P;
        default:
            return static_cast<AVPixelFormat>(format);
    }
}

bool is_full_range(const AVFrame& frame) {
    return frame.color_range == AVCOL_RANGE_JPEG || without_range(frame.format) != frame.format;
}

bool is_rgb(AVPixelFormat format) {
    const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
    return descriptor != nullptr && (descriptor->flags & AV_PIX_FMT_FLAG_RGB) != 0;
}

// Untagged pictures follow the custom: BT.709 from 720 lines on, else BT.601.
int matrix_of(const AVFrame& frame, int height) {
    switch (frame.colorspace) {
        case AVCOL_SPC_BT709:
            return SWS_CS_ITU709;
        case AVCOL_SPC_BT2020_NCL:
        case AVCOL_SPC_BT2020_CL:
            return SWS_CS_BT2020;
        case AVCOL_SPC_BT470BG:
        case AVCOL_SPC_SMPTE170M:
            return SWS_CS_ITU601;
        default:
            return height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    }
}

}  // namespace

Scaler::~Scaler() {
    sws_freeContext(context_);
    av_buffer_pool_uninit(&pool_);
}

Result<void> Scaler::configure(const AVFrame& source, const Key& key) {
    sws_freeContext(context_);
    av_buffer_pool_uninit(&pool_);
    key_ = Key{};
    const AVPixelFormat from = without_range(source.format);
    const bool to_rgb = is_rgb(key.to);
    const bool from_rgb = is_rgb(from);
    const bool convert = to_rgb || from_rgb;
    const int flags = SWS_BICUBIC | (convert ? SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT : 0);
    context_ = sws_getContext(
        source.width, source.height, from, key.size.width, key.size.height, key.to, flags, nullptr, nullptr,
        nullptr
    );
    if (context_ == nullptr) {
        const char* name = av_get_pix_fmt_name(from);
        return fail(
            Errc::kUnsupported, std::string("Unsupported input pixel format ") + (name ? name : "unknown")
        );
    }
    // The range and matrix stay as they are between two YUV formats; RGB is always full range.
    const int full = is_full_range(source) ? 1 : 0;
    const int* matrix = sws_getCoefficients(matrix_of(source, from_rgb ? key.size.height : source.height));
    sws_setColorspaceDetails(
        context_, matrix, from_rgb ? 1 : full, matrix, to_rgb ? 1 : (from_rgb ? 0 : full), 0, 1 << 16, 1 << 16
    );
    const int bytes = av_image_get_buffer_size(key.to, key.size.width, key.size.height, kAlignment);
    // swscale may write a few bytes past the last row.
    pool_ = bytes > 0 ? av_buffer_pool_init(static_cast<std::size_t>(bytes) + kAlignment, nullptr) : nullptr;
    if (pool_ == nullptr) {
        return fail(Errc::kInternal, "cannot allocate pictures");
    }
    key_ = key;
    return {};
}

Result<FramePtr> Scaler::allocate() {
    FramePtr frame = make_frame();
    frame->width = key_.size.width;
    frame->height = key_.size.height;
    frame->format = key_.to;
    frame->buf[0] = av_buffer_pool_get(pool_);
    if (frame->buf[0] == nullptr) {
        throw std::bad_alloc();
    }
    const int error = av_image_fill_arrays(
        frame->data, frame->linesize, frame->buf[0]->data, key_.to, key_.size.width, key_.size.height,
        kAlignment
    );
    if (error < 0) {
        return av_fail(error, "laying out a picture");
    }
    return frame;
}

Result<FramePtr> Scaler::scale(const AVFrame& source, media::Size size, AVPixelFormat format) {
    if (source.width == size.width && source.height == size.height &&
        without_range(source.format) == format) {
        FramePtr same(av_frame_clone(&source));
        if (!same) {
            throw std::bad_alloc();
        }
        same->color_range = is_full_range(source) ? AVCOL_RANGE_JPEG : source.color_range;
        same->format = format;
        return same;
    }
    const Key key{source.width,      source.height, source.format, source.color_range,
                  source.colorspace, size,          format};
    if (context_ == nullptr || !(key == key_)) {
        FG_CHECK(configure(source, key));
    }
    FG_TRY(out, allocate());
    const int lines =
        sws_scale(context_, source.data, source.linesize, 0, source.height, out->data, out->linesize);
    if (lines != size.height) {
        return fail(Errc::kInternal, "scaling a picture failed");
    }
    if (av_frame_copy_props(out.get(), &source) < 0) {
        throw std::bad_alloc();
    }
    if (is_rgb(format)) {
        out->color_range = AVCOL_RANGE_JPEG;
        out->colorspace = AVCOL_SPC_RGB;
    } else if (is_rgb(without_range(source.format))) {
        out->color_range = AVCOL_RANGE_MPEG;
        out->colorspace = size.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    } else {
        if (is_full_range(source)) {
            out->color_range = AVCOL_RANGE_JPEG;
        }
        // A player would guess another matrix at the new size, and show other colours: say which one it is.
        if (source.colorspace == AVCOL_SPC_UNSPECIFIED && (source.height >= 720) != (size.height >= 720)) {
            out->colorspace = source.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
        }
    }
    // Scaling to even sizes bends the picture a little; the sample aspect ratio takes it back.
    AVRational sar = source.sample_aspect_ratio.num > 0 ? source.sample_aspect_ratio : AVRational{1, 1};
    av_reduce(
        &out->sample_aspect_ratio.num, &out->sample_aspect_ratio.den,
        std::int64_t{sar.num} * size.height * source.width,
        std::int64_t{sar.den} * size.width * source.height, 65'535
    );
    return out;
}

}  // namespace framegrid::media_ffmpeg
