#include <framegrid/media_ffmpeg/still_image.hpp>

#include <algorithm>
#include <new>

extern "C" {
#include <libswscale/swscale.h>
}

#include <framegrid/media/sniff.hpp>
#include <framegrid/media_ffmpeg/rgb.hpp>
#include <framegrid/media_ffmpeg/segment_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

AVCodecID codec_of(media::StillFormat format) {
    switch (format) {
        case media::StillFormat::kPng:
            return AV_CODEC_ID_PNG;
        case media::StillFormat::kJpeg:
            return AV_CODEC_ID_MJPEG;
        case media::StillFormat::kWebp:
            return AV_CODEC_ID_WEBP;
        case media::StillFormat::kGif:
            return AV_CODEC_ID_GIF;
        case media::StillFormat::kBmp:
            return AV_CODEC_ID_BMP;
    }
    return AV_CODEC_ID_NONE;
}

// The compressed picture as one packet. All formats but GIF are their own packet.
Result<PacketPtr> still_packet(const Blob& file, media::StillFormat format) {
    PacketPtr packet = make_packet();
    if (format == media::StillFormat::kGif) {
        FG_TRY(input, Input::open(file));
        FG_TRY(more, input->read(*packet));
        if (!more || av_packet_make_refcounted(packet.get()) < 0) {
            return fail(Errc::kUnprocessable, "the picture is damaged");
        }
        return packet;
    }
    if (file.size() > media::kSegmentBytesMax) {
        return fail(Errc::kTooLarge, "the picture's file is over 300 MB");
    }
    if (av_new_packet(packet.get(), static_cast<int>(file.size())) < 0) {
        throw std::bad_alloc();
    }
    std::memcpy(packet->data, file.data(), file.size());
    return packet;
}

Result<FramePtr> decode_still(const Blob& file, media::StillFormat format, std::int64_t pixels_max) {
    const AVCodec* codec = avcodec_find_decoder(codec_of(format));
    if (codec == nullptr) {
        return fail(Errc::kUnsupported, "Decoder not found");
    }
    CodecPtr context(avcodec_alloc_context3(codec));
    if (!context) {
        throw std::bad_alloc();
    }
    context->max_pixels = pixels_max;
    context->thread_count = 1;
    if (const int error = avcodec_open2(context.get(), codec, nullptr); error < 0) {
        return av_fail(error, "opening the picture decoder");
    }
    FG_TRY(packet, still_packet(file, format));
    FramePtr frame = make_frame();
    int error = avcodec_send_packet(context.get(), packet.get());
    if (error >= 0) {
        (void)avcodec_send_packet(context.get(), nullptr);
        error = avcodec_receive_frame(context.get(), frame.get());
    }
    if (error < 0) {
        return av_fail(error, "the picture cannot be decoded", Errc::kUnprocessable);
    }
    if (frame->colorspace == AVCOL_SPC_UNSPECIFIED) {
        frame->colorspace = AVCOL_SPC_BT470BG;  // stills are BT.601 whatever their size
    }
    return frame;
}

Result<FramePtr> upright(FramePtr frame) {
    if (!PictureFilter::needed(*frame, nullptr)) {
        return frame;
    }
    PictureFilter filter;
    frame->pts = 0;
    FG_CHECK(filter.push(std::move(frame), nullptr, {1, 1}));
    filter.finish();
    FramePtr turned = filter.pull();
    if (!turned) {
        return fail(Errc::kInternal, "turning a picture failed");
    }
    return turned;
}

}  // namespace

Result<api::RgbImage> decode_still_image(const Blob& file, std::int64_t pixels_max) {
    const auto format = media::still_format(file.view());
    if (!format) {
        return fail(Errc::kUnprocessable, "not a picture: PNG, JPEG, WebP, GIF and BMP are known");
    }
    const auto size = media::picture_size(file.view());
    if (!size) {
        return fail(Errc::kUnprocessable, "the picture's header is damaged");
    }
    pixels_max = std::min(pixels_max, kPixelsMax);
    if (std::int64_t{size->width} * size->height > pixels_max || size->width > kSideMax ||
        size->height > kSideMax) {
        return fail(
            Errc::kTooLarge, "the picture is " + std::to_string(size->width) + "x" +
                                 std::to_string(size->height) + ", over the limit of " +
                                 std::to_string(pixels_max) + " pixels"
        );
    }
    FG_TRY(decoded, decode_still(file, *format, pixels_max));
    FG_TRY(frame, upright(std::move(decoded)));
    Scaler scaler;
    return to_rgb(scaler, *frame, {frame->width, frame->height});
}

namespace {

struct StillEncoder {
    AVCodecID codec;
    const char* name;  // of the encoder; null: the codec's own
    AVPixelFormat format;
};

StillEncoder encoder_of(api::ImageFormat format) {
    switch (format) {
        case api::ImageFormat::kJpeg:
            return {AV_CODEC_ID_MJPEG, nullptr, AV_PIX_FMT_YUVJ444P};
        case api::ImageFormat::kWebp:
            return {AV_CODEC_ID_WEBP, "libwebp", AV_PIX_FMT_RGB32};
        case api::ImageFormat::kPng:
            break;
    }
    return {AV_CODEC_ID_PNG, nullptr, AV_PIX_FMT_RGB24};
}

// The encoder's scale for a quality of 1 to 100.
void set_quality(AVCodecContext& context, Options& options, api::ImageFormat format, int quality) {
    quality = std::clamp(quality, 1, 100);
    switch (format) {
        case api::ImageFormat::kPng:
            context.compression_level = 4;
            options.set("pred", "mixed");
            break;
        case api::ImageFormat::kJpeg:
            context.flags |= AV_CODEC_FLAG_QSCALE;
            context.global_quality = FF_QP2LAMBDA * std::max(1, 1 + (100 - quality) * 30 / 99);
            break;
        case api::ImageFormat::kWebp:
            options.set("quality", std::int64_t{quality});
            break;
    }
}

// BT.601 over the full range, whatever the picture's size: what JPEG files are.
Result<FramePtr> jpeg_planes(const AVFrame& rgb) {
    FramePtr out = make_frame();
    out->width = rgb.width;
    out->height = rgb.height;
    out->format = AV_PIX_FMT_YUVJ444P;
    out->colorspace = AVCOL_SPC_BT470BG;
    out->color_range = AVCOL_RANGE_JPEG;
    if (av_frame_get_buffer(out.get(), 0) < 0) {
        throw std::bad_alloc();
    }
    SwsContext* context = sws_getContext(
        rgb.width, rgb.height, AV_PIX_FMT_RGB24, rgb.width, rgb.height, AV_PIX_FMT_YUV444P, SWS_ACCURATE_RND,
        nullptr, nullptr, nullptr
    );
    if (context == nullptr) {
        return fail(Errc::kInternal, "converting a picture failed");
    }
    const int* matrix = sws_getCoefficients(SWS_CS_ITU601);
    sws_setColorspaceDetails(context, matrix, 1, matrix, 1, 0, 1 << 16, 1 << 16);
    const int lines = sws_scale(context, rgb.data, rgb.linesize, 0, rgb.height, out->data, out->linesize);
    sws_freeContext(context);
    if (lines != rgb.height) {
        return fail(Errc::kInternal, "converting a picture failed");
    }
    return out;
}

}  // namespace

Result<Blob> encode_still_image(const api::RgbImage& image, api::ImageFormat format, int quality) {
    FG_TRY(rgb, from_rgb(image));
    const StillEncoder chosen = encoder_of(format);
    const AVCodec* codec = chosen.name != nullptr ? avcodec_find_encoder_by_name(chosen.name)
                                                  : avcodec_find_encoder(chosen.codec);
    CodecPtr context(codec == nullptr ? nullptr : avcodec_alloc_context3(codec));
    if (!context) {
        return fail(Errc::kUnsupported, "the installed FFmpeg has no encoder for this kind of picture");
    }
    FramePtr frame = std::move(rgb);
    if (format == api::ImageFormat::kJpeg) {
        FG_TRY(planes, jpeg_planes(*frame));
        frame = std::move(planes);
    } else if (chosen.format != AV_PIX_FMT_RGB24) {
        Scaler scaler;
        FG_TRY(repacked, scaler.scale(*frame, {image.width, image.height}, chosen.format));
        frame = std::move(repacked);
    }
    context->width = image.width;
    context->height = image.height;
    context->pix_fmt = chosen.format;
    context->colorspace = frame->colorspace;
    context->color_range = frame->color_range;
    context->time_base = {1, 1};
    context->thread_count = 1;
    Options options;
    set_quality(*context, options, format, quality);
    int error = avcodec_open2(context.get(), codec, options.get());
    PacketPtr packet = make_packet();
    frame->pts = 0;
    frame->quality = context->global_quality;
    error = error < 0 ? error : avcodec_send_frame(context.get(), frame.get());
    if (error >= 0) {
        (void)avcodec_send_frame(context.get(), nullptr);
        error = avcodec_receive_packet(context.get(), packet.get());
    }
    if (error < 0) {
        return av_fail(error, "encoding a picture");
    }
    // The Blob owns FFmpeg's buffer: no copy.
    std::shared_ptr<AVPacket> owner(packet.release(), AvFree{});
    const BytesView view{owner->data, static_cast<std::size_t>(owner->size)};
    return Blob(std::move(owner), view);
}

}  // namespace framegrid::media_ffmpeg
