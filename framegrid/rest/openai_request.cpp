#include <framegrid/rest/openai_request.hpp>

#include <algorithm>
#include <array>

#include <framegrid/base/log.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr int kPartialImagesMax = 3;
constexpr int kPicturesMax = 16;
constexpr std::int64_t kVideoFps = 8;
constexpr std::string_view kReferenceId = "input_reference[file_id]";
constexpr std::string_view kReferenceUrl = "input_reference[image_url]";
// They steer OpenAI's own models, or who pays; a client that sends them gets the same picture.
constexpr std::array<std::string_view, 7> kWithoutEffect{
    "quality", "style", "moderation", "user", "output_compression", "safety_identifier", "input_fidelity"
};
// Of our own job document, as extensions.
constexpr std::array<std::string_view, 3> kOfTheJob{"max_price", "priority", "webhook"};

struct Renamed {
    std::string_view theirs;
    std::string_view ours;
};
constexpr std::array<Renamed, 3> kRenamed{
    Renamed{"n", "num_images_per_prompt"}, Renamed{"steps", "num_inference_steps"},
    Renamed{"guidance", "guidance_scale"}
};

std::unexpected<Error> wrong_field(std::string_view name, std::string_view what) {
    const std::string field = printable(name, 64);
    return fail(Errc::kInvalidArgument, field + " " + std::string(what), field);
}

std::string_view our_name(std::string_view theirs) {
    const auto known = std::ranges::find(kRenamed, theirs, &Renamed::theirs);
    return known == kRenamed.end() ? theirs : known->ours;
}

Result<bool> read_flag(std::string_view name, const json::value& value) {
    if (value.is_bool()) {
        return value.get_bool();
    }
    if (value.is_string() && (value.get_string() == "true" || value.get_string() == "false")) {
        return value.get_string() == "true";
    }
    return wrong_field(name, "is true or false");
}

Result<std::int64_t> read_count(
    std::string_view name, const json::value& value, std::int64_t min, std::int64_t max
) {
    std::optional<std::int64_t> number;
    if (value.is_string()) {
        number = parse_integer(value.get_string());
    } else if (const auto whole = value.try_to_number<std::int64_t>()) {
        number = *whole;
    }
    if (!number || *number < min || *number > max) {
        return wrong_field(
            name, "is a whole number from " + std::to_string(min) + " to " + std::to_string(max)
        );
    }
    return *number;
}

// nullopt: the model's own.
Result<std::optional<media::Size>> read_size(const json::value& value) {
    const std::string_view text = value.is_string() ? std::string_view(value.get_string()) : "";
    if (text == "auto") {
        return std::nullopt;
    }
    const auto size = parse_resolution(text);
    if (!size) {
        return wrong_field("size", "is a width and a height (1024x1024), or auto");
    }
    return size;
}

// Collects what becomes a job's document.
class Translation {
  public:
    explicit Translation(std::string_view pipeline) : spec_(*job::find_pipeline(pipeline)) {
        job_["pipeline"] = pipeline;
    }

    bool has(std::string_view ours) const {
        return std::ranges::contains(spec_.parameters, ours, &job::ParameterSpec::name);
    }
    void set(std::string_view ours, json::value value) { parameters_[ours] = std::move(value); }
    const json::value* get(std::string_view ours) const { return parameters_.if_contains(ours); }
    void set_input(std::string_view name, json::value value) { inputs_[name] = std::move(value); }
    void set_job(std::string_view name, json::value value) { job_[name] = std::move(value); }

    // What every request may have. kInvalidArgument: nobody knows it.
    Result<void> take(std::string_view name, const json::value& value) {
        if (name == "model") {
            job_["model"] = value;
        } else if (std::ranges::contains(kOfTheJob, name)) {
            job_[name] = value;
        } else if (const auto ours = our_name(name); has(ours) && ours != "model_id" && ours != "loras") {
            parameters_[ours] = value;
        } else if (!std::ranges::contains(kWithoutEffect, name)) {
            return wrong_field(name, "is not known here");
        }
        return {};
    }

    Result<job::Document> finish() && {
        job_["parameters"] = std::move(parameters_);
        job_["inputs"] = std::move(inputs_);
        auto document = job::parse_document(json::serialize(job_));
        if (!document) {
            return fail(openai_named(std::move(document.error())));
        }
        return document;
    }

  private:
    const job::PipelineSpec& spec_;
    json::object job_;
    json::object parameters_;
    json::object inputs_;
};

// A document is only complete with its files: something that looks like one stands for them.
constexpr char kToCome[] = "art_00000000000000000000000000";

Result<bool> take_image_option(
    std::string_view name, const json::value& value, std::optional<media::Size> picture, ImageRequest& out,
    Translation& job
) {
    if (name == "stream") {
        FG_TRY(stream, read_flag(name, value));
        out.stream = stream;
    } else if (name == "partial_images") {
        FG_TRY(count, read_count(name, value, 0, kPartialImagesMax));
        out.partial_images = static_cast<int>(count);
    } else if (name == "n" && !value.is_null()) {  // stricter than the pipelines' own routes
        FG_TRY(count, read_count(name, value, 1, kPicturesMax));
        job.set("num_images_per_prompt", count);
    } else if (name == "response_format") {
        const bool url = value.is_string() && value.get_string() == "url";
        if (!url && (!value.is_string() || value.get_string() != "b64_json")) {
            return wrong_field(name, "is url or b64_json");
        }
        out.url = url;
        out.base64 = !url;
    } else if (name == "size") {
        FG_TRY(size, read_size(value));
        if (size && picture && (size->width != picture->width || size->height != picture->height)) {
            return wrong_field(name, "stays as the picture's own when it is changed; leave it out");
        }
        if (size && !picture) {
            job.set("width", size->width);
            job.set("height", size->height);
        }
    } else if (name == "background") {
        if (value.is_string() && value.get_string() == "transparent") {
            return wrong_field(name, "is opaque: no model here makes transparent pictures");
        }
    } else {
        return false;
    }
    return true;
}

// Previews often enough for as many partial pictures.
std::int64_t preview_steps(const Translation& job, int partial_images) {
    const auto* steps = job.get("num_inference_steps");
    std::optional<std::int64_t> count;
    if (steps != nullptr && steps->is_int64()) {
        count = steps->get_int64();
    } else if (steps != nullptr && steps->is_string()) {
        count = parse_integer(steps->get_string());
    }
    return std::clamp<std::int64_t>(count.value_or(1) / (partial_images + 1), 1, 100);
}

Result<void> take_seconds(const json::value& value, Translation& job) {
    constexpr std::string_view kName = "seconds";
    FG_TRY(seconds, read_count(kName, value, 1, 60));
    if (job.get("num_frames") != nullptr) {
        return wrong_field(kName, "or num_frames, not both");
    }
    std::int64_t fps = kVideoFps;
    if (const auto* given = job.get("fps")) {
        FG_TRY(read, read_count("fps", *given, 1, 120));
        fps = read;
    }
    const auto frames = std::ranges::find(
        job::find_pipeline("text-to-video")->parameters, "num_frames", &job::ParameterSpec::name
    );
    const auto most = static_cast<std::int64_t>(frames->max);
    if (seconds * fps > most) {
        return wrong_field(
            kName,
            "times fps is at most " + std::to_string(most) + " frames (fps: " + std::to_string(fps) + ")"
        );
    }
    job.set("num_frames", seconds * fps);
    job.set("fps", fps);
    return {};
}

std::string one_name(std::string name) {
    if (name.ends_with("[]")) {
        name.resize(name.size() - 2);
    }
    return name;
}

bool is_file(const http::Part& part) {
    constexpr std::array<std::string_view, 4> kFiles{"image", "mask", "file", "input_reference"};
    return !part.filename.empty() || std::ranges::contains(kFiles, part.name);
}

}  // namespace

std::string OpenAiFields::text(std::string_view name) const {
    const auto* value = values.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

Result<OpenAiFields> openai_fields(std::string_view text) {
    boost::system::error_code error;
    const auto root = json::parse(text, error);
    if (error || !root.is_object()) {
        return fail(Errc::kInvalidArgument, "the body is a JSON object", "body");
    }
    OpenAiFields out;
    for (const auto& [name, value] : root.get_object()) {
        if (!value.is_object()) {
            out.values[name] = value;
            continue;
        }
        for (const auto& [inner, one] : value.get_object()) {
            out.values[std::string(name) + "[" + std::string(inner) + "]"] = one;
        }
    }
    return out;
}

OpenAiFields openai_fields(std::vector<http::Part> parts) {
    OpenAiFields out;
    for (auto& part : parts) {
        part.name = one_name(std::move(part.name));
        if (is_file(part)) {
            out.files.push_back(std::move(part));
        } else {
            out.values[part.name] = valid_utf8(part.body.text());
        }
    }
    return out;
}

Error openai_named(Error error) {
    for (const std::string_view prefix : {"parameters.", "inputs."}) {
        if (error.field.starts_with(prefix)) {
            error.field.erase(0, prefix.size());
        }
    }
    for (const auto& [theirs, ours] : kRenamed) {
        if (error.field == ours) {
            error.field = theirs;
            if (error.message.starts_with(ours)) {
                error.message.replace(0, ours.size(), theirs);
            }
            break;
        }
    }
    if (error.field == "width" || error.field == "height") {
        error.message = "size: " + error.message;
        error.field = "size";
    }
    return error;
}

Result<ImageRequest> read_image_request(const OpenAiFields& fields, std::optional<media::Size> picture) {
    const bool masked = picture && std::ranges::contains(fields.files, "mask", &http::Part::name);
    Translation job(masked ? "inpaint" : picture ? "image-to-image" : "text-to-image");
    ImageRequest out;
    for (const auto& [name, value] : fields.values) {
        if (value.is_null()) {
            continue;
        }
        FG_TRY(taken, take_image_option(name, value, picture, out, job));
        if (!taken) {
            FG_CHECK(job.take(name, value));
        }
    }
    if (out.stream && out.partial_images > 0) {
        job.set_job("preview_steps", preview_steps(job, out.partial_images));
    }
    if (picture) {
        job.set_input("image", kToCome);
    }
    if (masked) {
        job.set_input("mask", kToCome);
    }
    FG_TRY(document, std::move(job).finish());
    out.document = std::move(document);
    return out;
}

Result<job::Document> read_video_request(const OpenAiFields& fields) {
    const bool has_file = std::ranges::contains(fields.files, "input_reference", &http::Part::name);
    const bool has_reference = fields.values.contains(kReferenceId) || fields.values.contains(kReferenceUrl);
    Translation job(has_file || has_reference ? "image-to-video" : "text-to-video");
    if (has_file || has_reference) {
        job.set_input("image", kToCome);
    }
    const json::value* seconds = nullptr;
    for (const auto& [name, value] : fields.values) {
        if (value.is_null()) {
            continue;
        }
        if (name == "seconds") {
            seconds = &value;  // needs fps
        } else if (name == "size") {
            FG_TRY(size, read_size(value));
            if (size) {
                job.set("width", size->width);
                job.set("height", size->height);
            }
        } else if (name == kReferenceId || name == kReferenceUrl) {
            const std::string_view text = value.is_string() ? std::string_view(value.get_string()) : "";
            if (!job::input_kind(text)) {
                return wrong_field(name, "is the id of a stored file, an http(s) URL or a base64 data URL");
            }
            job.set_input("image", value);
        } else {
            FG_CHECK(job.take(name, value));
        }
    }
    if (seconds != nullptr) {
        FG_CHECK(take_seconds(*seconds, job));
    }
    auto document = std::move(job).finish();
    if (document && fields.text("prompt").empty()) {
        return wrong_field("prompt", "is missing");
    }
    return document;
}

}  // namespace framegrid::rest
