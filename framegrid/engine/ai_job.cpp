#include <framegrid/engine/ai_job.hpp>

namespace framegrid::engine {

namespace {

constexpr int kQuality = 90;  // of JPEG and WebP
// Decoders keep up to 16 reference frames of 1.5 bytes a pixel and some more for their threads, encoders 60
// for looking ahead; a few frames are RGB.
constexpr std::int64_t kBytesPerPixelIn = 24 * 3 / 2 + 2 * 3;
constexpr std::int64_t kBytesPerPixelOut = 70 * 3 / 2 + 3 * 3;

struct PictureType {
    api::ImageFormat format;
    std::string_view name;
    std::string_view content_type;
};

PictureType picture_type(std::string_view wanted) {
    if (wanted == "jpeg") {
        return {api::ImageFormat::kJpeg, "image.jpg", "image/jpeg"};
    }
    if (wanted == "webp") {
        return {api::ImageFormat::kWebp, "image.webp", "image/webp"};
    }
    return {api::ImageFormat::kPng, "image.png", "image/png"};
}

}  // namespace

std::int64_t seed_of(const AiJob& job) {
    return job.parameters.integer("seed").value_or(0);
}

Result<api::Artifact> picture_artifact(const AiJob& job, const api::RgbImage& image, std::int64_t seed) {
    const PictureType type = picture_type(job.parameters.text("output_format"));
    FG_TRY(bytes, job.codec.encode_image(image, type.format, kQuality));
    return api::Artifact{
        std::string(type.name), std::string(type.content_type), std::move(bytes), pixels_of(image), seed
    };
}

Result<api::RgbImage> input_picture(const AiJob& job, std::int64_t pixels_max) {
    if (job.input.empty()) {
        return fail(Errc::kInvalidArgument, "the image is empty", "image");
    }
    return job.codec.decode_image(job.input, pixels_max);
}

std::int64_t video_memory(std::int64_t pixels_in, std::int64_t pixels_out) {
    return pixels_in * kBytesPerPixelIn + pixels_out * kBytesPerPixelOut;
}

Pixels pixels_of(const api::RgbImage& image) {
    return {std::int64_t{image.width} * image.height};
}

}  // namespace framegrid::engine
