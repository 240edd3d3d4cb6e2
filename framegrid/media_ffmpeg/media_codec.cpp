#include <framegrid/media_ffmpeg/media_codec.hpp>

#include <new>

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

Result<api::RgbImage> decode_image_file(const Blob& file, std::int64_t pixels_max) {
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

Result<Blob> encode_png_file(const api::RgbImage& image) {
    FG_TRY(frame, from_rgb(image));
    const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    CodecPtr context(codec == nullptr ? nullptr : avcodec_alloc_context3(codec));
    if (!context) {
        return fail(Errc::kUnsupported, "Encoder not found: PNG");
    }
    context->width = image.width;
    context->height = image.height;
    context->pix_fmt = AV_PIX_FMT_RGB24;
    context->time_base = {1, 1};
    context->thread_count = 1;
    context->compression_level = 4;
    Options options;
    options.set("pred", "mixed");
    int error = avcodec_open2(context.get(), codec, options.get());
    PacketPtr packet = make_packet();
    frame->pts = 0;
    error = error < 0 ? error : avcodec_send_frame(context.get(), frame.get());
    if (error >= 0) {
        (void)avcodec_send_frame(context.get(), nullptr);
        error = avcodec_receive_packet(context.get(), packet.get());
    }
    if (error < 0) {
        return av_fail(error, "encoding a PNG");
    }
    // The Blob owns FFmpeg's buffer: no copy.
    std::shared_ptr<AVPacket> owner(packet.release(), AvFree{});
    const BytesView view{owner->data, static_cast<std::size_t>(owner->size)};
    return Blob(std::move(owner), view);
}

// Decode, map, encode, one picture at a time.
class VideoMap {
  public:
    using Map = std::function<Result<api::RgbImage>(const api::RgbImage&)>;
    VideoMap(const MediaCodecSettings& settings, int scale, const Map& map, const api::StopFlag& stop)
        : settings_(settings), scale_(scale), map_(map) {
        run_.hardware = &hardware_;
        run_.stop = &stop;
        profile_.name = "mapped";
        profile_.quality = static_cast<std::uint32_t>(std::clamp(settings.crf, 1, 51));
        profile_.h264_profile = media::H264Profile::kHigh;
    }

    Result<api::Artifact> run(const Blob& segment);

  private:
    Result<void> take(const AVFrame& picture);
    Result<void> open_encoder(const AVFrame& picture);

    const MediaCodecSettings& settings_;
    int scale_;
    const Map& map_;
    Hardware hardware_;
    SegmentRun run_;
    media::VideoProfile profile_;
    OutputFormat format_ = OutputFormat::kMp4;
    Scaler to_rgb_;
    Scaler to_yuv_;
    std::unique_ptr<VideoEncoder> encoder_;
    media::Size size_;  // of the pictures that go to the encoder
    std::vector<PacketPtr> packets_;
    std::int64_t pixels_ = 0;
};

Result<void> VideoMap::open_encoder(const AVFrame& picture) {
    FG_TRY(
        encoder, VideoEncoder::open(
                     profile_, picture, run_.time_base, run_.frame_rate, format_,
                     {settings_.preset, "", settings_.encoder_threads}, hardware_
                 )
    );
    encoder_ = std::move(encoder);
    size_ = {picture.width, picture.height};
    return {};
}

Result<void> VideoMap::take(const AVFrame& picture) {
    FG_TRY(source, to_rgb(to_rgb_, picture, {picture.width, picture.height}));
    FG_TRY(mapped, map_(source));
    if (mapped.width != source.width * scale_ || mapped.height != source.height * scale_) {
        return fail(Errc::kInternal, "the model returned a picture of the wrong size");
    }
    FG_TRY(rgb, from_rgb(mapped));
    rgb->sample_aspect_ratio = picture.sample_aspect_ratio;
    // 4:2:0 needs even sides. Pictures keep the first one's size: MP4 has one size per track.
    const media::Size even{std::max(2, mapped.width & ~1), std::max(2, mapped.height & ~1)};
    FG_TRY(yuv, to_yuv_.scale(*rgb, encoder_ ? size_ : even, AV_PIX_FMT_YUV420P));
    yuv->pts = picture.pts;
    yuv->duration = picture.duration;
    yuv->time_base = run_.time_base;
    yuv->pict_type = encoder_ ? AV_PICTURE_TYPE_NONE : AV_PICTURE_TYPE_I;
    if (!encoder_) {
        FG_CHECK(open_encoder(*yuv));
    }
    pixels_ += std::int64_t{yuv->width} * yuv->height;
    return encoder_->encode(std::move(yuv), packets_);
}

Result<api::Artifact> VideoMap::run(const Blob& segment) {
    format_ = media::looks_like_mpegts(segment.view()) ? OutputFormat::kMpegTs : OutputFormat::kMp4;
    Session session;
    FG_TRY(decoder, SegmentDecoder::open(segment, session, run_, settings_.decoder_threads, hardware_));
    Result<void> taken;
    const auto decoded = decoder->decode(std::nullopt, [&](const AVFrame& picture) {
        taken = take(picture);
        return taken.has_value();
    });
    FG_CHECK(std::move(taken));
    if (!decoded) {
        return fail(decoded.error());
    }
    if (!encoder_) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no picture could be decoded");
    }
    FG_CHECK(encoder_->encode(nullptr, packets_));
    std::vector<Track> tracks(1);
    tracks[0].parameters = encoder_->parameters();
    tracks[0].time_base = run_.time_base;
    tracks[0].frame_rate = run_.frame_rate;
    tracks[0].packets = std::move(packets_);
    if (run_.audio && (format_ == OutputFormat::kMpegTs || fits_mp4(run_.audio->codec_id))) {
        Track audio;
        audio.parameters = std::move(run_.audio);
        audio.time_base = run_.audio_time_base;
        audio.packets = std::move(run_.audio_packets);
        tracks.push_back(std::move(audio));
    }
    FG_TRY(bytes, mux(format_, tracks));
    const bool is_ts = format_ == OutputFormat::kMpegTs;
    return api::Artifact{
        is_ts ? "video.ts" : "video.mp4", is_ts ? "video/mp2t" : "video/mp4", std::move(bytes),
        Pixels{pixels_}, std::nullopt
    };
}

}  // namespace

Result<api::RgbImage> FfmpegMediaCodec::decode_image(const Blob& file, std::int64_t pixels_max) {
    quiet_av_logs();
    try {
        return decode_image_file(file, pixels_max);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

Result<Blob> FfmpegMediaCodec::encode_png(const api::RgbImage& image) {
    quiet_av_logs();
    try {
        return encode_png_file(image);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
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
    try {
        return VideoMap(settings_, scale, map, stop).run(segment);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

}  // namespace framegrid::media_ffmpeg
