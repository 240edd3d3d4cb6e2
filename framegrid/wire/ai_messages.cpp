#include <framegrid/wire/ai_messages.hpp>

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/media/sniff.hpp>
#include <framegrid/pay/field_text.hpp>
#include <framegrid/wire/convert.hpp>

namespace framegrid::wire {

namespace {

namespace json = boost::json;

constexpr std::size_t kParameterBytesMax = std::size_t{1} << 20;
constexpr std::size_t kMediaMax = 256;
constexpr std::size_t kRunTextMax = 256;
constexpr std::array<std::string_view, 3> kFileFields{"image", "video", "audio"};
// Fields that stay text even when they look like a number.
constexpr std::array<std::string_view, 8> kTextFields{
    "prompt", "negative_prompt", "loras", "text", "metadata", "model_id", "mask_image", "output_format"
};

std::unexpected<Error> refuse(std::string_view field, std::string_view what) {
    return fail(Errc::kInvalidArgument, std::string(field) + " " + std::string(what), std::string(field));
}

Result<json::object> parse_object(std::string_view text, std::string_view field) {
    boost::system::error_code error;
    json::value value = json::parse(text, error);
    if (error || !value.is_object()) {
        return refuse(field, "is not a JSON object");
    }
    return std::move(value.get_object());
}

bool is_empty_text(const json::value* value) {
    return value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty());
}

template <class Act>
void for_each_stand_in(std::string_view pipeline, Act act) {
    if (const auto* spec = job::find_pipeline(pipeline)) {
        for (const auto& parameter : spec->parameters) {
            if (!parameter.stand_in.empty()) {
                act(parameter);
            }
        }
    }
}

Result<json::object> parameters_of(const api::AiWork& work) {
    json::object object;
    if (!work.parameters.empty()) {
        FG_TRY(parsed, parse_object(work.parameters, "parameters"));
        object = std::move(parsed);
    }
    for_each_stand_in(work.pipeline, [&](const job::ParameterSpec& parameter) {
        if (is_empty_text(object.if_contains(parameter.name))) {
            object[parameter.name] = parameter.stand_in;
        }
    });
    return object;
}

// Not what the client said: both sides of a receipt must have the same parameters.
void drop_stand_ins(std::string_view pipeline, json::object& object) {
    for_each_stand_in(pipeline, [&](const job::ParameterSpec& parameter) {
        const auto* value = object.if_contains(parameter.name);
        if (value != nullptr && value->is_string() && value->get_string() == parameter.stand_in) {
            object.stable_erase(parameter.name);
        }
    });
}

json::value field_value(std::string_view name, std::string_view text) {
    if (std::ranges::find(kTextFields, name) == kTextFields.end()) {
        if (text == "true" || text == "false") {
            return text == "true";
        }
        if (!text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos) {
            boost::system::error_code error;
            json::value number = json::parse(text, error);
            if (!error && number.is_number()) {
                return number;
            }
        }
    }
    return json::value(text);
}

http::Part text_part(std::string name, std::string_view text) {
    http::Part part;
    part.name = std::move(name);
    part.body = Blob::copy_of(text);
    return part;
}

// Takes the model id out of the parameters, where it does not belong twice.
Result<std::string> take_model_id(json::object& object) {
    const auto* value = object.if_contains("model_id");
    if (value == nullptr || value->is_null()) {
        return std::string();
    }
    if (!value->is_string()) {
        return refuse("model_id", "is not a text");
    }
    std::string id(value->get_string());
    FG_CHECK(check_text(id, Limits::kTextBytes, "model_id"));
    object.stable_erase("model_id");
    return id;
}

// What a peer says about the run; nothing when a part of it is missing or odd.
std::optional<api::AiRun> read_ai_run(const json::object& response) {
    const auto* said = response.if_contains("framegrid");
    if (said == nullptr || !said->is_object()) {
        return std::nullopt;
    }
    const auto text = [&](std::string_view name) -> std::string {
        const auto* value = said->get_object().if_contains(name);
        return value != nullptr && value->is_string() && value->get_string().size() <= kRunTextMax
                   ? std::string(value->get_string())
                   : std::string();
    };
    const auto number = [&](std::string_view name) -> std::int64_t {
        const auto* value = said->get_object().if_contains(name);
        return value != nullptr && value->is_int64() ? value->get_int64() : -1;
    };
    api::AiRun run{text("model_id"), text("model_digest"), 0, number("runtime_ms")};
    const std::int64_t steps = number("steps");
    if (run.model_id.empty() || run.runtime_ms < 0 || steps < 0 || steps > 1'000'000) {
        return std::nullopt;
    }
    run.steps = static_cast<int>(steps);
    return run;
}

Result<AiRequest> read_json_request(std::string pipeline, const Blob& body) {
    AiRequest request;
    request.work.pipeline = std::move(pipeline);
    FG_TRY(object, parse_object(body.text(), "body"));
    FG_TRY(model, take_model_id(object));
    request.work.model_id = std::move(model);
    drop_stand_ins(request.work.pipeline, object);
    request.work.parameters = json::serialize(object);
    return request;
}

Result<AiRequest> read_form_request(std::string pipeline, std::string_view content_type, const Blob& body) {
    FG_TRY(boundary, http::boundary_of(content_type));
    FG_TRY(parts, http::parse_multipart(body, boundary));
    AiRequest request;
    request.work.pipeline = std::move(pipeline);
    json::object object;
    bool has_input = false;
    for (auto& part : parts) {
        if (part.name.empty()) {
            return refuse("body", "has a part without a name");
        }
        if (!part.filename.empty() || std::ranges::find(kFileFields, part.name) != kFileFields.end()) {
            if (has_input) {
                return refuse(part.name, "is a second file; one is expected");
            }
            has_input = true;
            request.input = part.body;
            request.input_content_type =
                part.headers.get("content-type").value_or("application/octet-stream");
            continue;
        }
        if (part.body.size() > kParameterBytesMax) {
            return refuse(part.name, "is too long");
        }
        object[part.name] = field_value(part.name, part.body.text());
    }
    FG_TRY(model, take_model_id(object));
    request.work.model_id = std::move(model);
    drop_stand_ins(request.work.pipeline, object);
    request.work.parameters = json::serialize(object);
    return request;
}

}  // namespace

Result<AiRequestBody> write_ai_request(
    const api::AiWork& work, const Blob& input, std::string_view input_content_type, std::string_view boundary
) {
    FG_TRY(object, parameters_of(work));
    if (input.empty()) {
        object["model_id"] = work.model_id;
        return AiRequestBody{"application/json", Blob(to_bytes(json::serialize(object)))};
    }
    std::vector<http::Part> parts;
    parts.push_back(text_part("model_id", work.model_id));
    for (const auto& [name, value] : object) {
        if (name != "model_id" && !value.is_null()) {
            parts.push_back(text_part(std::string(name), pay::field_text(value)));
        }
    }
    http::Part file;
    file.name = media::looks_like_video(input.view()) ? "video" : "image";
    file.filename = "input";
    file.headers.add(
        "content-type",
        input_content_type.empty() ? "application/octet-stream" : std::string(input_content_type)
    );
    file.body = input;
    parts.push_back(std::move(file));
    return AiRequestBody{
        "multipart/form-data; boundary=" + std::string(boundary),
        http::join(http::format_multipart(parts, boundary))
    };
}

Result<AiRequest> read_ai_request(std::string pipeline, std::string_view content_type, const Blob& body) {
    if (content_type.starts_with("multipart/form-data")) {
        return read_form_request(std::move(pipeline), content_type, body);
    }
    if (content_type.starts_with("application/json")) {
        return read_json_request(std::move(pipeline), body);
    }
    return fail(
        Errc::kUnsupported, "the content type must be multipart/form-data or application/json", "content-type"
    );
}

std::string write_ai_response(const AiResponse& response) {
    json::array images;
    for (const auto& entry : response.media) {
        images.push_back(
            {{"url", entry.url}, {"seed", entry.seed.value_or(0)}, {"nsfw", entry.nsfw.value_or(false)}}
        );
    }
    json::object out{{"images", std::move(images)}};
    if (response.run) {
        out["framegrid"] = {
            {"model_id", response.run->model_id},
            {"model_digest", response.run->model_digest},
            {"steps", response.run->steps},
            {"runtime_ms", response.run->runtime_ms}
        };
    }
    return json::serialize(out);
}

Result<AiResponse> read_ai_response(std::string_view text) {
    FG_TRY(object, parse_object(text, "the result"));
    const auto* images = object.if_contains("images");
    if (images == nullptr || !images->is_array() || images->get_array().size() > kMediaMax) {
        return refuse("images", "is not a list of results");
    }
    AiResponse response;
    response.run = read_ai_run(object);
    for (const auto& entry : images->get_array()) {
        const auto* url = entry.is_object() ? entry.get_object().if_contains("url") : nullptr;
        if (url == nullptr || !url->is_string()) {
            return refuse("images.url", "is missing");
        }
        AiMedia item{.url = std::string(url->get_string()), .seed = std::nullopt};
        const auto* nsfw = entry.get_object().if_contains("nsfw");
        if (nsfw != nullptr && nsfw->is_bool()) {
            item.nsfw = nsfw->get_bool();
        }
        const auto* seed = entry.get_object().if_contains("seed");
        if (seed != nullptr && seed->is_int64()) {
            item.seed = seed->get_int64();
        }
        response.media.push_back(std::move(item));
    }
    return response;
}

bool is_data_url(std::string_view url) {
    return url.starts_with("data:");
}

std::string data_url(std::string_view content_type, BytesView bytes) {
    return "data:" + std::string(content_type) + ";base64," + crypto::base64(bytes);
}

Result<DataUrl> parse_data_url(std::string_view url) {
    constexpr std::string_view kMark = ";base64,";
    // The type is short; not searching a whole result for the mark keeps hostile text cheap.
    const auto mark = url.substr(0, 256).find(kMark);
    if (!is_data_url(url) || mark == std::string_view::npos) {
        return refuse("url", "is not a base64 data URL");
    }
    FG_TRY(bytes, crypto::parse_base64(url.substr(mark + kMark.size())));
    return DataUrl{std::string(url.substr(5, mark - 5)), std::move(bytes)};
}

Result<std::string> write_ai_job(
    const api::AiWork& work, api::Priority priority, const TraceContext& trace, std::string_view input_url
) {
    FG_TRY(object, parameters_of(work));
    object["model_id"] = work.model_id;
    json::object ours{
        {"progress", work.progress},
        {"preview_steps", work.preview_steps},
        {"priority", static_cast<int>(priority)}
    };
    if (auto text = write_traceparent(trace); !text.empty()) {
        ours["traceparent"] = std::move(text);
    }
    return json::serialize(
        json::object{{"input_url", input_url}, {"request", std::move(object)}, {"framegrid", std::move(ours)}}
    );
}

namespace {

// What is missing or odd is left as it is.
void read_extras(const json::object& extras, AiJob& job) {
    const auto* progress = extras.if_contains("progress");
    job.work.progress = progress != nullptr && progress->is_bool() && progress->get_bool();
    const auto* previews = extras.if_contains("preview_steps");
    if (previews != nullptr && previews->is_int64()) {
        job.work.preview_steps =
            static_cast<int>(std::clamp<std::int64_t>(previews->get_int64(), 0, api::kProgressStepsMax));
    }
    if (const auto* trace = extras.if_contains("traceparent"); trace != nullptr && trace->is_string()) {
        job.trace = parse_traceparent(std::string_view(trace->get_string()));
    }
    const auto* priority = extras.if_contains("priority");
    if (priority != nullptr && priority->is_int64()) {
        job.priority = static_cast<api::Priority>(std::clamp<std::int64_t>(priority->get_int64(), -1, 1));
    }
}

}  // namespace

Result<AiJob> read_ai_job(std::string pipeline, std::string_view text) {
    FG_TRY(object, parse_object(text, "requestData"));
    AiJob job;
    job.work.pipeline = std::move(pipeline);
    if (const auto* url = object.if_contains("input_url"); url != nullptr && url->is_string()) {
        job.input_url = std::string(url->get_string());
    }
    auto* request = object.if_contains("request");
    if (request == nullptr || !request->is_object()) {
        return refuse("requestData.request", "is not a JSON object");
    }
    FG_TRY(model, take_model_id(request->get_object()));
    job.work.model_id = std::move(model);
    drop_stand_ins(job.work.pipeline, request->get_object());
    job.work.parameters = json::serialize(*request);
    if (const auto* ours = object.if_contains("framegrid"); ours != nullptr && ours->is_object()) {
        read_extras(ours->get_object(), job);
    }
    return job;
}

}  // namespace framegrid::wire
