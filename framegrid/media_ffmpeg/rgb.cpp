#include <framegrid/media_ffmpeg/rgb.hpp>

#include <new>

namespace framegrid::media_ffmpeg {

Result<api::RgbImage> to_rgb(Scaler& scaler, const AVFrame& picture, media::Size size) {
    FG_TRY(frame, scaler.scale(picture, size, AV_PIX_FMT_RGB24));
    api::RgbImage image;
    image.width = size.width;
    image.height = size.height;
    const auto row = static_cast<std::size_t>(size.width) * 3;
    image.pixels.resize(row * static_cast<std::size_t>(size.height));
    for (int y = 0; y < size.height; ++y) {
        std::memcpy(
            image.pixels.data() + row * static_cast<std::size_t>(y),
            frame->data[0] + std::ptrdiff_t{frame->linesize[0]} * y, row
        );
    }
    return image;
}

Result<FramePtr> from_rgb(const api::RgbImage& image) {
    FG_CHECK(check_size(image.width, image.height));
    const auto row = static_cast<std::size_t>(std::max(0, image.width)) * 3;
    if (image.width <= 0 || image.height <= 0 ||
        image.pixels.size() != row * static_cast<std::size_t>(image.height)) {
        return fail(Errc::kInvalidArgument, "the picture's pixels do not match its size");
    }
    FramePtr frame = make_frame();
    frame->width = image.width;
    frame->height = image.height;
    frame->format = AV_PIX_FMT_RGB24;
    frame->colorspace = AVCOL_SPC_RGB;
    frame->color_range = AVCOL_RANGE_JPEG;
    frame->sample_aspect_ratio = {1, 1};
    if (av_frame_get_buffer(frame.get(), 0) < 0) {
        throw std::bad_alloc();
    }
    for (int y = 0; y < image.height; ++y) {
        std::memcpy(
            frame->data[0] + std::ptrdiff_t{frame->linesize[0]} * y,
            image.pixels.data() + row * static_cast<std::size_t>(y), row
        );
    }
    return frame;
}

}  // namespace framegrid::media_ffmpeg
