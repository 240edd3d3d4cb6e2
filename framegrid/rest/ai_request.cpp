#include <framegrid/rest/ai_request.hpp>

#include <algorithm>

#include <framegrid/job/input_files.hpp>

namespace framegrid::rest {

namespace {

std::unexpected<Error> invalid(std::string message, std::string field) {
    return fail(Errc::kInvalidArgument, std::move(message), std::move(field));
}

// The mask travels with the parameters.
Result<std::pair<std::string, std::string>> mask_field(const Blob& file, std::int64_t pixels_max) {
    if (file.empty()) {
        return invalid("the picture is empty", "mask");
    }
    FG_CHECK(job::check_picture(file, pixels_max, "mask"));
    FG_TRY(mask, job::mask_parameter(file, "mask"));
    return std::pair{std::string(job::kMaskParameter), std::move(mask)};
}

bool is_mask(std::string_view name) {
    return name == "mask" || name == job::kMaskParameter;
}

Result<void> check_file(const job::FileSpec& kind, std::int64_t image_pixels_max, AiRequest& request) {
    const std::string field(kind.name);
    if (kind.kind == job::FileKind::kPicture && request.file.empty()) {
        return invalid("the picture is empty", field);
    }
    FG_TRY(size, job::check_file(kind, request.file, image_pixels_max, field));
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
        return invalid(job::file_names(spec) + " is missing", std::string(spec.files.front().name));
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
            "the body must be multipart/form-data with the file " + job::file_names(spec),
            std::string(spec.files.front().name)
        );
    }
    AiRequest request;
    FG_TRY(parameters, job::Parameters::from_json(spec, body));
    request.parameters = std::move(parameters);
    return request;
}

}  // namespace framegrid::rest
