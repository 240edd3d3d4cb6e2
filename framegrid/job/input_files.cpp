#include <framegrid/job/input_files.hpp>

#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::job {

Result<media::Size> check_picture(const Blob& file, std::int64_t pixels_max, const std::string& field) {
    if (!media::still_format(file.view())) {
        return fail(Errc::kUnprocessable, "not a PNG, JPEG, WebP, GIF or BMP picture", field);
    }
    const auto size = media::picture_size(file.view());
    if (!size) {
        return fail(Errc::kUnprocessable, "the picture's header is damaged", field);
    }
    if (std::int64_t{size->width} * size->height > pixels_max) {
        return fail(
            Errc::kTooLarge,
            fmt::format(
                "the picture is {}x{}; {} pixels is the limit", size->width, size->height, pixels_max
            ),
            field
        );
    }
    return *size;
}

Result<media::Size> check_file(
    const FileSpec& kind, const Blob& file, std::int64_t pixels_max, const std::string& field
) {
    if (kind.kind == FileKind::kPicture) {
        return check_picture(file, pixels_max, field);
    }
    if (!media::looks_like_video(file.view())) {
        return fail(Errc::kUnprocessable, "not a video file", field);
    }
    return media::Size{};
}

Result<std::string> mask_parameter(const Blob& mask, const std::string& field) {
    if (mask.size() > kMaskBytesMax) {
        return fail(
            Errc::kTooLarge,
            fmt::format("the mask's file has over {} bytes; a PNG with two colours is small", kMaskBytesMax),
            field
        );
    }
    return "data:image/png;base64," + crypto::base64(mask.view());
}

std::string file_names(const PipelineSpec& spec) {
    std::string names;
    for (const auto& file : spec.files) {
        names += (names.empty() ? "" : " or ") + std::string(file.name);
    }
    return names;
}

}  // namespace framegrid::job
