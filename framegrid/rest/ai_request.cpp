#include <framegrid/rest/ai_request.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::rest {

namespace {

std::unexpected<Error> invalid(std::string message, std::string field) {
    return fail(Errc::kInvalidArgument, std::move(message), std::move(field));
}

Result<media::Size> check_picture(const Blob& file, std::int64_t pixels_max, const std::string& field) {
    if (file.empty()) {
        return invalid("the picture is empty", field);
    }
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

// The mask travels with the parameters.
Result<std::pair<std::string, std::string>> mask_field(const Blob& file, std::int64_t pixels_max) {
    FG_CHECK(check_picture(file, pixels_max, "mask"));
    if (file.size() > job::kMaskBytesMax) {
        return fail(
            Errc::kTooLarge,
            fmt::format(
                "the mask's file has over {} bytes; a PNG with two colours is small", job::kMaskBytesMax
            ),
            "mask"
        );
    }
    return std::pair{
        std::string(job::kMaskParameter), "data:image/png;base64," + crypto::base64(file.view())
    };
}

bool is_mask(std::string_view name) {
    return name == "mask" || name == job::kMaskParameter;
}

std::string file_names(const job::PipelineSpec& spec) {
    std::string names;
    for (const auto& file : spec.files) {
        names += (names.empty() ? "" : " or ") + std::string(file.name);
    }
    return names;
}

Result<void> check_file(const job::FileSpec& kind, std::int64_t image_pixels_max, AiRequest& request) {
    const std::string field(kind.name);
    if (kind.kind == job::FileKind::kVideo) {
        if (!media::looks_like_video(request.file.view())) {
            return fail(Errc::kUnprocessable, "not a video file", field);
        }
        return {};
    }
    FG_TRY(size, check_picture(request.file, image_pixels_max, field));
    request.size = size;
    return {};
}

}  // namespace

Result<AiRequest> read_ai_form(
    const job::PipelineSpec& spec, const std::vector<http::Part>& parts, std::int64_t image_pixels_max
) {
    AiRequest request;
    const job::FileSpec* file = nullptr;
    std::vector<std::pair<std::string, std::string>> fields;
    for (const auto& part : parts) {
        const auto kind = std::ranges::find(spec.files, part.name, &job::FileSpec::name);
        if (kind != spec.files.end()) {
            if (file != nullptr) {
                return invalid("one file, not several", part.name);
            }
            file = &*kind;
            request.file = part.body;
        } else if (spec.wants_mask && is_mask(part.name)) {
            FG_TRY(field, mask_field(part.body, image_pixels_max));
            fields.push_back(std::move(field));
        } else if (part.body.size() > job::kParametersBytesMax) {
            return invalid(part.name + " is too long", part.name);
        } else {
            fields.emplace_back(part.name, part.body.text());
        }
    }
    if (file == nullptr && !spec.files.empty()) {
        return invalid(file_names(spec) + " is missing", std::string(spec.files.front().name));
    }
    if (file != nullptr) {
        FG_CHECK(check_file(*file, image_pixels_max, request));
    }
    FG_TRY(parameters, job::Parameters::from_fields(spec, fields));
    request.parameters = std::move(parameters);
    return request;
}

Result<AiRequest> read_ai_json(const job::PipelineSpec& spec, std::string_view body) {
    if (!spec.files.empty()) {
        return invalid(
            "the body must be multipart/form-data with the file " + file_names(spec),
            std::string(spec.files.front().name)
        );
    }
    AiRequest request;
    FG_TRY(parameters, job::Parameters::from_json(spec, body));
    request.parameters = std::move(parameters);
    return request;
}

}  // namespace framegrid::rest
