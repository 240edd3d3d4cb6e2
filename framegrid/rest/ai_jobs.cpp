#include <framegrid/rest/ai_jobs.hpp>

#include <charconv>
#include <optional>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/http/event_stream.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/media/sniff.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr int kPreviewStepsMax = 1000;
constexpr std::size_t kParseHereBytesMax = 256 * 1024;  // larger messages are searched off the loop

// Peers treat a seed of 0 as none where they enlarge (section 2.4).
bool has_seed(const job::PipelineSpec& spec, const job::Parameters& parameters) {
    const auto seed = parameters.integer("seed");
    return seed && (*seed != 0 || spec.capability != job::Capability::kUpscale);
}

json::object describe(const gateway::JobResult& result, Pixels units) {
    json::object out;
    out["orchestrator"] = valid_utf8(result.orchestrator);
    out["attempts"] = result.attempts;
    out["units"] = units.value;
    if (result.cost) {
        out["price"] = json::object{{"wei", std::to_string(result.price.wei)}, {"units", result.price.units}};
        out["wei"] = result.cost->str();
    }
    if (const auto& run = result.output.ai) {
        out["model_id"] = valid_utf8(run->model_id);
        out["model_digest"] = valid_utf8(run->model_digest);
        out["steps"] = run->steps;
        out["runtime_ms"] = run->runtime_ms;
    }
    return out;
}

bool wants_events(const Call& call) {
    return asks_for(accepted_types(call.headers().get("accept").value_or("")), http::kEventStreamType);
}

std::string progress_json(const api::Progress& progress) {
    json::object out{{"step", progress.done}, {"steps", progress.total}};
    if (!progress.preview.empty()) {
        out["preview"] = "data:image/jpeg;base64," + crypto::base64(progress.preview.view());
    }
    return json::serialize(out);
}

// The end of an event stream. An error of which the client has not seen the beginning stays a plain one.
Answer as_event(const Call& call, Answer answer) {
    const bool started = call.exchange.response.started();
    if (!wants_events(call) || (answer.status >= 400 && !started)) {
        return answer;
    }
    std::string data(http::join(std::move(answer.body)).text());
    if (answer.status >= 400) {
        data = R"({"status":)" + std::to_string(answer.status) + "," + data.substr(1);
    }
    Answer out;
    out.body.push_back(
        Blob(to_bytes(http::format_event({answer.status >= 400 ? "error" : "result", std::move(data)})))
    );
    if (started) {
        out.trailers = std::move(answer.headers);
    } else {
        out.headers.add("content-type", std::string(http::kEventStreamType));
        out.headers.add("cache-control", "no-store");
    }
    return out;
}

// X-Framegrid-Priority and X-Framegrid-Previews. kInvalidArgument names the field.
Result<void> read_urgency(const http::Headers& headers, gateway::JobRequest& job) {
    const auto priority = headers.get("x-framegrid-priority").value_or("normal");
    if (priority == "low" || priority == "high") {
        job.work.priority = priority == "low" ? api::Priority::kLow : api::Priority::kHigh;
    } else if (priority != "normal") {
        return fail(Errc::kInvalidArgument, "the priority is low, normal or high", "x-framegrid-priority");
    }
    const std::string previews(headers.get("x-framegrid-previews").value_or("0"));
    int& steps = std::get<api::AiWork>(job.work.kind).preview_steps;
    const auto end = previews.data() + previews.size();
    const auto [at, error] = std::from_chars(previews.data(), end, steps);
    if (error != std::errc() || at != end || steps < 0 || steps > kPreviewStepsMax) {
        return fail(
            Errc::kInvalidArgument, "previews come every 1 to 1000 steps; 0: none", "x-framegrid-previews"
        );
    }
    return {};
}

}  // namespace

AiJobs::AiJobs(
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

Task<Result<AiRequest>> AiJobs::read_request(Call& call, const job::PipelineSpec& spec) {
    const auto type = call.headers().get("content-type").value_or("");
    const bool is_json = type.starts_with("application/json");
    auto boundary = http::boundary_of(type);
    if (!boundary && (!is_json || !spec.files.empty())) {
        const std::string_view wanted = spec.files.empty() ? "the body must be JSON or multipart/form-data"
                                                           : "the body must be multipart/form-data";
        co_return fail(std::move(boundary.error()).with_context(wanted));
    }
    const TimePoint began = clock_.now();
    const std::size_t bytes_max = is_json ? job::kParametersBytesMax : settings_.body_bytes_max;
    auto body =
        co_await read_body(call.exchange, call.memory, bytes_max, clock_, Deadline{began + upload_time_max_});
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    call.bytes_in = body->size();
    if (is_json) {
        co_return read_ai_json(spec, body->text());
    }
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
    co_return read_ai_form(spec, *parts, settings_.image_pixels_max);
}

gateway::JobRequest AiJobs::make_job(const job::PipelineSpec& spec, AiRequest request, std::int64_t seed)
    const {
    const std::string model_id =
        gateway::model_for(spec, request.parameters.text("model_id"), settings_.default_models);
    request.parameters.set("model_id", model_id);
    request.parameters.set("seed", seed);
    gateway::JobRequest job = gateway::make_ai_request(spec, model_id);
    std::get<api::AiWork>(job.work.kind).parameters = request.parameters.to_json();
    job.work.input = std::move(request.file);
    return job;
}

void AiJobs::log_done(
    const Call& call, const job::PipelineSpec& spec, const gateway::JobResult& result, TimePoint began,
    Pixels units
) const {
    if (log_.enabled(LogLevel::kInfo)) {
        const auto took = milliseconds(clock_.now() - began);
        log_.info(
            "rest.ai_done", {{"pipeline", std::string(spec.name)},
                             {"model", result.output.ai ? result.output.ai->model_id : ""},
                             {"orchestrator", result.orchestrator},
                             {"attempts", result.attempts},
                             {"units", units.value},
                             {"took_ms", took},
                             {"request", call.request_id},
                             {"trace", call.trace_id}}
        );
    }
}

Task<Answer> AiJobs::post(Call& call, const job::PipelineSpec& spec) {
    auto request = co_await read_request(call, spec);
    if (!request) {
        co_return error_answer(request.error(), request.error().code == Errc::kDeadline ? 408 : 0);
    }
    const std::int64_t seed = has_seed(spec, request->parameters) ? *request->parameters.integer("seed")
                                                                  : gateway::draw_seed(random_);
    const Pixels units = job::payable_units(spec, request->parameters, request->size);
    gateway::JobRequest job = make_job(spec, *std::move(request), seed);
    job.units = units;
    job.owner = call.owner;
    job.key_limits = call.key_limits();
    if (auto urgency = read_urgency(call.headers(), job); !urgency) {
        co_return error_answer(urgency.error());
    }
    job.work.trace = call.trace;
    const std::string what =
        std::string(spec.name) + " with model " + printable(std::get<api::AiWork>(job.work.kind).model_id);
    const Deadline deadline = Deadline::after(clock_, settings_.time_max);
    const TimePoint began = clock_.now();
    http::EventOutlet outlet(call.start, call.exchange.response, clock_);
    if (wants_events(call)) {
        job.progress = [&outlet, &call](const api::Progress& progress) {
            std::string event = progress_json(progress);
            call.bytes_out += event.size();
            outlet.put({"progress", std::move(event)});
        };
    }
    auto result = co_await http::while_telling(outlet, gateway_.run(std::move(job), deadline));
    if (!result) {
        co_return as_event(call, error_answer(std::move(result.error()).with_context(what)));
    }
    log_done(call, spec, *result, began, units);
    if (result->output.artifacts.empty()) {
        co_return as_event(call, error_answer(make_error(Errc::kProtocol, "the answer holds no file")));
    }
    std::string described = json::serialize(describe(*result, units));
    auto out = answer(call, std::move(result->output.artifacts), std::move(described), seed);
    out.headers.add("x-framegrid-attempts", std::to_string(result->attempts));
    out.headers.add("x-framegrid-orchestrator", result->orchestrator);
    if (result->cost) {
        out.headers.add("x-framegrid-wei", result->cost->str());
    }
    co_return as_event(call, std::move(out));
}

// Keeps one result and returns its URL.
Result<std::string> AiJobs::store(Call& call, api::Artifact artifact, std::string_view content_type) {
    std::string name = content_type.starts_with("image/") ? "image" : "video";
    name += media::extension_of(content_type);
    const auto path = results_.put(std::move(name), {std::string(content_type), std::move(artifact.bytes)});
    if (!path) {
        return fail(
            Errc::kTooLarge, "the result is larger than this gateway stores; ask for its type with Accept"
        );
    }
    return origin_of(call.exchange.head, public_url_) + *path;
}

Answer AiJobs::answer(
    Call& call, std::vector<api::Artifact> artifacts, std::string described, std::int64_t seed
) {
    const auto accepted = accepted_types(call.headers().get("accept").value_or(""));
    json::array images;
    for (std::size_t i = 0; i < artifacts.size(); ++i) {
        auto& artifact = artifacts[i];
        const auto type = media::recognise(artifact.bytes.view());
        if (!type) {
            return error_answer(
                make_error(Errc::kProtocol, "the orchestrator's answer is neither picture nor video")
            );
        }
        call.memory.hold(artifact.bytes.size());
        const std::int64_t used_seed = artifact.seed.value_or(seed + static_cast<std::int64_t>(i));
        const bool nsfw = artifact.nsfw.value_or(false);
        const bool wants_bytes = asks_for(accepted, *type) || asks_for(accepted, "application/octet-stream");
        if (artifacts.size() == 1 && wants_bytes && !asks_for(accepted, "application/json")) {
            Answer direct;
            direct.headers.add("content-type", std::string(*type));
            direct.headers.add("x-content-type-options", "nosniff");
            direct.headers.add("x-seed", std::to_string(used_seed));
            direct.headers.add("x-nsfw", nsfw ? "true" : "false");
            direct.headers.add("x-framegrid-run", std::move(described));
            direct.body.push_back(std::move(artifact.bytes));
            return direct;
        }
        auto url = store(call, std::move(artifact), *type);
        if (!url) {
            return error_answer(url.error());
        }
        images.push_back(json::object{{"url", *url}, {"seed", used_seed}, {"nsfw", nsfw}});
    }
    return json_answer(R"({"images":)" + json::serialize(images) + R"(,"framegrid":)" + described + "}");
}

}  // namespace framegrid::rest
