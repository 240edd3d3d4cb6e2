#include <framegrid/rest/upscale.hpp>

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/media/sniff.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kFieldBytesMax = 64 * 1024;
constexpr std::size_t kModelIdBytesMax = 128;
constexpr std::size_t kParseHereBytesMax = 256 * 1024;          // larger messages are searched off the loop
constexpr std::int64_t kSeedMax = (std::int64_t{1} << 53) - 1;  // what JavaScript can hold

std::unexpected<Error> invalid(std::string message, std::string field) {
    return fail(Errc::kInvalidArgument, std::move(message), std::move(field));
}

Result<std::int64_t> read_number(
    std::string_view text, std::string field, std::int64_t min, std::int64_t max, std::int64_t fallback
) {
    if (text.empty()) {
        return fallback;
    }
    const auto number = parse_integer(text);
    if (!number) {
        return invalid(field + " must be a whole number", field);
    }
    if (*number < min || *number > max) {
        return invalid(fmt::format("{} must be between {} and {}", field, min, max), field);
    }
    return *number;
}

Result<bool> read_bool(std::string_view text, std::string field, bool fallback) {
    if (text.empty()) {
        return fallback;
    }
    if (text == "true" || text == "True" || text == "1") {
        return true;
    }
    if (text == "false" || text == "False" || text == "0") {
        return false;
    }
    return invalid(field + " must be true or false", field);
}

Result<void> read_field(const http::Part& part, UpscaleForm& form) {
    if (part.body.size() > kFieldBytesMax) {
        return invalid(part.name + " is longer than 64 KiB", part.name);
    }
    const std::string_view text = part.body.text();
    if (part.name == "model_id") {
        const auto is_bad = [](char c) { return c <= ' ' || c >= 0x7f; };
        if (text.size() > kModelIdBytesMax || std::ranges::any_of(text, is_bad)) {
            return invalid("model_id must be at most 128 printable characters", "model_id");
        }
        form.model_id = text;
    } else if (part.name == "prompt") {
        form.prompt = valid_utf8(text);
    } else if (part.name == "safety_check") {
        FG_TRY(value, read_bool(text, part.name, true));
        form.safety_check = value;
    } else if (part.name == "seed") {
        FG_TRY(value, read_number(text, part.name, 0, kSeedMax, 0));
        form.seed = value;
    } else if (part.name == "num_inference_steps") {
        FG_TRY(value, read_number(text, part.name, 0, 10'000, 75));
        form.num_inference_steps = value;
    }
    return {};
}

Result<void> check_image(const Blob& file, std::int64_t pixels_max) {
    if (file.empty()) {
        return invalid("the picture is empty", "image");
    }
    if (!media::still_format(file.view())) {
        return fail(Errc::kUnprocessable, "not a PNG, JPEG, WebP, GIF or BMP picture", "image");
    }
    const auto size = media::picture_size(file.view());
    if (!size) {
        return fail(Errc::kUnprocessable, "the picture's header is damaged", "image");
    }
    if (std::int64_t{size->width} * size->height > pixels_max) {
        return fail(
            Errc::kTooLarge,
            fmt::format(
                "the picture is {}x{}; {} pixels is the limit", size->width, size->height, pixels_max
            ),
            "image"
        );
    }
    return {};
}

// What a result is, from its bytes: a peer's word for it is not passed on.
struct ResultType {
    std::string_view content_type;
    std::string_view name;
};

std::optional<ResultType> type_of(BytesView bytes) {
    if (const auto still = media::still_format(bytes)) {
        switch (*still) {
            case media::StillFormat::kPng:
                return ResultType{"image/png", "image.png"};
            case media::StillFormat::kJpeg:
                return ResultType{"image/jpeg", "image.jpg"};
            case media::StillFormat::kWebp:
                return ResultType{"image/webp", "image.webp"};
            case media::StillFormat::kGif:
                return ResultType{"image/gif", "image.gif"};
            case media::StillFormat::kBmp:
                return ResultType{"image/bmp", "image.bmp"};
        }
    }
    if (media::looks_like_mpegts(bytes)) {
        return ResultType{"video/mp2t", "video.ts"};
    }
    if (media::looks_like_video(bytes)) {
        return ResultType{"video/mp4", "video.mp4"};
    }
    return std::nullopt;
}

std::string parameters_of(const UpscaleForm& form, const std::string& model_id, std::int64_t seed) {
    boost::json::object out;
    out["model_id"] = model_id;
    out["prompt"] = form.prompt;
    out["safety_check"] = form.safety_check;
    out["seed"] = seed;
    if (form.num_inference_steps > 0) {
        out["num_inference_steps"] = form.num_inference_steps;
    }
    return boost::json::serialize(out);
}

}  // namespace

Result<UpscaleForm> read_upscale_form(const std::vector<http::Part>& parts, std::int64_t image_pixels_max) {
    UpscaleForm form;
    std::string file_field;
    for (const auto& part : parts) {
        if (part.name == "image" || part.name == "video") {
            if (!file_field.empty()) {
                return invalid("one image or one video, not both", part.name);
            }
            file_field = part.name;
            form.file = part.body;
        } else {
            FG_CHECK(read_field(part, form));
        }
    }
    if (file_field.empty()) {
        return invalid("the picture is missing", "image");
    }
    form.is_video = file_field == "video";
    if (form.is_video) {
        if (!media::looks_like_video(form.file.view())) {
            return fail(Errc::kUnprocessable, "not a video file", "video");
        }
    } else {
        FG_CHECK(check_image(form.file, image_pixels_max));
    }
    return form;
}

Upscale::Upscale(
    gateway::Gateway& gateway, ResultsStore& results, WorkPool& pool, Clock& clock, Random& random,
    AiSettings settings, Duration upload_time_max, std::string public_url, Logger log
)
    : gateway_(gateway),
      results_(results),
      pool_(pool),
      clock_(clock),
      random_(random),
      settings_(std::move(settings)),
      upload_time_max_(upload_time_max),
      public_url_(std::move(public_url)),
      log_(std::move(log)) {}

Task<Result<UpscaleForm>> Upscale::read_form(Call& call) {
    const auto type = call.headers().get("content-type").value_or("");
    auto boundary = http::boundary_of(type);
    if (!boundary) {
        co_return fail(std::move(boundary.error()).with_context("the body must be multipart/form-data"));
    }
    const TimePoint began = clock_.now();
    auto body = co_await read_body(
        call.exchange, call.memory, settings_.body_bytes_max, clock_, Deadline{began + upload_time_max_}
    );
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    call.bytes_in = body->size();
    Result<std::vector<http::Part>> parts;
    if (body->size() <= kParseHereBytesMax) {
        parts = http::parse_multipart(*body, *boundary);
    } else {
        auto parse = [&body, &boundary] { return http::parse_multipart(*body, *boundary); };
        parts = co_await offload(pool_, std::move(parse));
    }
    if (!parts) {
        co_return fail(std::move(parts.error()));
    }
    co_return read_upscale_form(*parts, settings_.image_pixels_max);
}

Task<Answer> Upscale::post(Call& call) {
    auto form = co_await read_form(call);
    if (!form) {
        co_return error_answer(form.error(), form.error().code == Errc::kDeadline ? 408 : 0);
    }
    const std::string model_id = form->model_id.empty() ? settings_.upscale_model : form->model_id;
    const std::int64_t seed =
        form->seed != 0 ? form->seed : 1 + static_cast<std::int64_t>(random_.below(0xFFFF'FFFF));
    gateway::JobRequest job;
    job.manifest_id = "upscale_" + model_id;
    job.needs = job::ai_needs(job::Capability::kUpscale, model_id);
    job.work.kind = api::AiWork{"upscale", model_id, parameters_of(*form, model_id, seed)};
    job.work.input = std::move(form->file);
    job.work.input_content_type = "application/octet-stream";
    const Deadline deadline = Deadline::after(clock_, settings_.time_max);
    const TimePoint began = clock_.now();
    auto result = co_await gateway_.run(std::move(job), deadline);
    if (!result) {
        const std::string what = "upscale with model " + printable(model_id);
        co_return error_answer(std::move(result.error()).with_context(what));
    }
    if (log_.enabled(LogLevel::kInfo)) {
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - began);
        log_.info(
            "rest.upscaled", {{"model", model_id},
                              {"orchestrator", result->orchestrator},
                              {"attempts", result->attempts},
                              {"took_ms", took.count()},
                              {"request", call.request_id}}
        );
    }
    if (result->output.artifacts.empty()) {
        co_return error_answer(make_error(Errc::kProtocol, "the answer holds no file"));
    }
    auto out = answer(call, std::move(result->output.artifacts.front()), seed);
    out.headers.add("x-framegrid-attempts", std::to_string(result->attempts));
    out.headers.add("x-framegrid-orchestrator", result->orchestrator);
    co_return out;
}

Answer Upscale::answer(Call& call, api::Artifact artifact, std::int64_t seed) {
    const auto type = type_of(artifact.bytes.view());
    if (!type) {
        return error_answer(
            make_error(Errc::kProtocol, "the orchestrator's answer is neither picture nor video")
        );
    }
    call.memory.hold(artifact.bytes.size());
    const auto accepted = accepted_types(call.headers().get("accept").value_or(""));
    const bool wants_bytes =
        asks_for(accepted, type->content_type) || asks_for(accepted, "application/octet-stream");
    if (wants_bytes && !asks_for(accepted, "application/json")) {
        Answer direct;
        direct.headers.add("content-type", std::string(type->content_type));
        direct.headers.add("x-content-type-options", "nosniff");
        direct.headers.add("x-seed", std::to_string(artifact.seed.value_or(seed)));
        direct.body.push_back(std::move(artifact.bytes));
        return direct;
    }
    const std::int64_t used_seed = artifact.seed.value_or(seed);
    const auto path =
        results_.put(std::string(type->name), {std::string(type->content_type), std::move(artifact.bytes)});
    if (!path) {
        return error_answer(make_error(
            Errc::kTooLarge, "the result is larger than this gateway stores; ask for its type with Accept"
        ));
    }
    const auto& head = call.exchange.head;
    std::string origin = public_url_;
    if (origin.empty() && !head.authority.empty()) {
        origin = (head.scheme.empty() ? "http" : head.scheme) + "://" + head.authority;
    }
    while (origin.ends_with('/')) {
        origin.pop_back();
    }
    boost::json::object image;
    image["url"] = valid_utf8(origin + *path);
    image["seed"] = used_seed;
    image["nsfw"] = false;
    boost::json::array images;
    images.push_back(std::move(image));
    boost::json::object out;
    out["images"] = std::move(images);
    return json_answer(boost::json::serialize(out));
}

}  // namespace framegrid::rest
