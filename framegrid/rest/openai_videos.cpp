#include <framegrid/rest/openai_videos.hpp>

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 2> kVideoPipelines{"text-to-video", "image-to-video"};
constexpr std::uint64_t kLatestEvents = 20;  // looked through for how far a job is

bool is_video(const job::Record& record) {
    return std::ranges::contains(kVideoPipelines, record.kind);
}

json::object parsed(std::string_view text) {
    boost::system::error_code ignored;
    auto value = json::parse(text, ignored);
    return value.is_object() ? std::move(value.get_object()) : json::object{};
}

const json::value* parameter(const json::object& request, std::string_view name) {
    const auto* parameters = request.if_contains("parameters");
    return parameters == nullptr || !parameters->is_object() ? nullptr
                                                             : parameters->get_object().if_contains(name);
}

std::optional<double> number_parameter(const json::object& request, std::string_view name) {
    const auto* value = parameter(request, name);
    return value != nullptr && value->is_number() ? std::optional(value->to_number<double>()) : std::nullopt;
}

std::string_view status_name(job::State state) {
    switch (state) {
        case job::State::kQueued:
            return "queued";
        case job::State::kRunning:
            return "in_progress";
        case job::State::kSucceeded:
            return "completed";
        case job::State::kFailed:
        case job::State::kCancelled:
            break;
    }
    return "failed";
}

// Of what was asked for; what was left to the model stays out.
void add_shape(const json::object& request, json::object& out) {
    const auto width = number_parameter(request, "width");
    const auto height = number_parameter(request, "height");
    if (width && height) {
        const auto side = [](double value) { return std::to_string(static_cast<int>(value)); };
        out["size"] = side(*width) + "x" + side(*height);
    } else {
        out["size"] = "auto";
    }
    const auto frames = number_parameter(request, "num_frames");
    const auto fps = number_parameter(request, "fps");
    if (frames && fps && *fps > 0) {
        const double seconds = *frames / *fps;
        std::string text = std::to_string(seconds);
        text.erase(text.find_last_not_of('0') + 1);
        out["seconds"] = text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
    } else {
        out["seconds"] = "auto";
    }
}

}  // namespace

void OpenAiVideos::add_routes(Router& router) {
    router.add<OpenAiVideos>(
        *this,
        {
            {"POST", "/v1/videos", RouteKind::kIntake, &OpenAiVideos::create},
            {"GET", "/v1/videos", RouteKind::kPage, &OpenAiVideos::list},
            {"GET", "/v1/videos/{}", RouteKind::kPage, &OpenAiVideos::show},
            {"DELETE", "/v1/videos/{}", RouteKind::kPage, &OpenAiVideos::erase},
            {"GET", "/v1/videos/{}/content", RouteKind::kPage, &OpenAiVideos::content, Access::kArtifacts},
        },
        ErrorForm::kOpenAi
    );
}

Task<Result<job::Document>> OpenAiVideos::read_document(Call& call) {
    const auto fields = co_await common_.read_fields(call);
    if (!fields) {
        co_return fail(fields.error());
    }
    auto document = read_video_request(*fields);
    if (!document) {
        co_return fail(std::move(document.error()));
    }
    FG_CO_CHECK(common_.check_model(*document));
    for (const auto& part : fields->files) {
        if (part.name != "input_reference") {
            co_return fail(Errc::kInvalidArgument, "there is no such file here", part.name);
        }
        const auto kept = co_await common_.keep(call, part);
        if (!kept) {
            co_return fail(kept.error());
        }
        document->inputs["image"] = kept->id;
    }
    co_return document;
}

Task<Answer> OpenAiVideos::create(Call& call) {
    auto document = co_await read_document(call);
    if (!document) {
        co_return openai_refusal(call, std::move(document.error()));
    }
    auto submitted = co_await common_.ports().jobs_api.accept(call, *std::move(document));
    if (!submitted) {
        co_return openai_refusal(call, std::move(submitted.error()));
    }
    const auto video = co_await described(call, std::move(submitted->record));
    if (!video) {
        co_return openai_refusal(call, video.error());
    }
    co_return json_answer(json::serialize(*video));
}

Task<int> OpenAiVideos::progress_of(job::Record record) {
    if (record.state == job::State::kSucceeded) {
        co_return 100;
    }
    if (record.state != job::State::kRunning) {
        co_return 0;
    }
    const auto after = record.events > kLatestEvents ? record.events - kLatestEvents : 0;
    const auto events = co_await common_.ports().jobs.store.events(record.id, after, kLatestEvents);
    int progress = 0;
    for (const auto& event : events ? *events : std::vector<job::Event>{}) {
        const auto data = event.kind == "progress" ? parsed(event.data) : json::object{};
        const auto* step = data.if_contains("step");
        const auto* steps = data.if_contains("steps");
        if (step != nullptr && steps != nullptr && step->is_int64() && steps->is_int64() &&
            steps->get_int64() > 0) {
            progress = static_cast<int>(step->get_int64() * 100 / steps->get_int64());
        }
    }
    co_return std::clamp(progress, 0, 99);
}

Task<Result<job::ArtifactRecord>> OpenAiVideos::result_of(Call& call, job::Record record) {
    const auto result = parsed(record.result);
    const auto* outputs = result.if_contains("outputs");
    if (outputs == nullptr || !outputs->is_array() || outputs->get_array().empty()) {
        co_return fail(Errc::kNotFound, "the video has no content", "id");
    }
    const auto* id = outputs->get_array().front().as_object().if_contains("artifact");
    co_return co_await common_.ports().artifacts_api.find(call, std::string(id->as_string()));
}

Task<Result<json::object>> OpenAiVideos::described(Call& call, job::Record record) {
    json::object out;
    out["id"] = record.id;
    out["object"] = "video";
    out["status"] = status_name(record.state);
    out["progress"] = co_await progress_of(record);
    out["created_at"] = record.created_unix_ms / 1000;
    out["completed_at"] = nullptr;
    out["expires_at"] = nullptr;
    out["error"] = nullptr;
    out["remixed_from_video_id"] = nullptr;
    const auto request = parsed(record.request);
    const auto* prompt = parameter(request, "prompt");
    out["prompt"] = prompt != nullptr ? *prompt : json::value();
    const auto* model = request.if_contains("model");
    out["model"] = model != nullptr ? *model : json::value("");
    add_shape(request, out);
    if (const auto* seed = parameter(request, "seed")) {
        out["seed"] = *seed;
    }
    if (record.state == job::State::kFailed) {
        const auto error = failure_of(record);
        out["error"] = json::object{{"code", to_string(error.code)}, {"message", error.message}};
    }
    if (record.state == job::State::kSucceeded) {
        out["completed_at"] = record.finished_unix_ms / 1000;
        const auto file = co_await result_of(call, record);
        if (!file) {
            co_return fail(file.error());
        }
        out["expires_at"] = file->expires_unix_ms / 1000;
    }
    co_return out;
}

Task<Result<job::Record>> OpenAiVideos::find(Call& call) {
    auto record = co_await common_.ports().jobs_api.find(call, call.parameters.front());
    const bool gone = record && (!is_video(*record) || record->state == job::State::kCancelled);
    if (gone || (!record && record.error().code == Errc::kNotFound)) {
        co_return fail(Errc::kNotFound, "there is no such video", "id");
    }
    co_return record;
}

Task<Answer> OpenAiVideos::show(Call& call) {
    auto record = co_await find(call);
    if (!record) {
        co_return openai_refusal(call, std::move(record.error()));
    }
    const auto video = co_await described(call, *std::move(record));
    if (!video) {
        co_return openai_refusal(call, video.error());
    }
    auto answer = json_answer(json::serialize(*video));
    answer.headers.add("cache-control", "no-store");
    co_return answer;
}

// Of both kinds, one more than the page has: then there is another one.
Task<Result<std::vector<job::Record>>> OpenAiVideos::newest(Call& call, OpenAiPage page) {
    std::vector<job::Record> out;
    for (const auto pipeline : kVideoPipelines) {
        api::JobFilter filter;
        filter.kind = pipeline;
        filter.before = page.after;
        filter.limit = page.limit + 1;
        if (!call.is_admin()) {
            filter.owner = call.owner;
        }
        auto records = co_await common_.ports().jobs.store.list(std::move(filter));
        if (!records) {
            co_return fail(std::move(records.error()));
        }
        std::ranges::move(*records, std::back_inserter(out));
    }
    std::ranges::sort(out, std::ranges::greater{}, &job::Record::id);
    co_return out;
}

Task<Answer> OpenAiVideos::list(Call& call) {
    const auto page = read_openai_page(call.exchange.head, "job", 20);
    if (!page) {
        co_return openai_refusal(call, page.error());
    }
    auto records = co_await newest(call, *page);
    if (!records) {
        co_return openai_refusal(call, std::move(records.error()));
    }
    const bool more = records->size() > page->limit;
    records->resize(std::min(records->size(), page->limit));
    json::array data;
    for (auto& record : *records) {
        if (record.state == job::State::kCancelled) {
            continue;
        }
        auto video = co_await described(call, std::move(record));
        if (video) {
            data.push_back(std::move(*video));
        } else if (video.error().code != Errc::kNotFound) {
            co_return openai_refusal(call, std::move(video.error()));
        }
    }
    co_return openai_page(std::move(data), more);
}

// What runs is cancelled, what was made is deleted. The job itself stays until its retention ends.
Task<Answer> OpenAiVideos::erase(Call& call) {
    auto record = co_await find(call);
    if (!record) {
        co_return openai_refusal(call, std::move(record.error()));
    }
    const auto id = record->id;
    if (!job::is_final(record->state)) {
        record = co_await common_.ports().jobs.desk.cancel(id);
        if (!record) {
            co_return openai_refusal(call, std::move(record.error()));
        }
    }
    if (record->state == job::State::kFailed) {
        auto error = make_error(
            Errc::kInvalidArgument, "a failed video has no files; its record leaves by itself", "id"
        );
        co_return openai_refusal(call, std::move(error));
    }
    if (record->state == job::State::kSucceeded) {
        auto file = co_await result_of(call, *std::move(record));
        if (!file) {
            co_return openai_refusal(call, std::move(file.error()));
        }
        const auto removed = co_await common_.ports().artifacts_api.remove(*std::move(file));
        if (!removed) {
            co_return openai_refusal(call, removed.error());
        }
    }
    co_return json_answer(
        json::serialize(json::object{{"id", id}, {"object", "video.deleted"}, {"deleted", true}})
    );
}

Task<Answer> OpenAiVideos::content(Call& call) {
    for (const auto& [name, value] : query_of(call.exchange.head.query())) {
        if (name == "variant" && value != "video") {
            co_return openai_refusal(
                call, make_error(Errc::kInvalidArgument, "the only variant here is video", "variant")
            );
        }
    }
    auto record = co_await find(call);
    if (!record) {
        co_return openai_refusal(call, std::move(record.error()));
    }
    if (record->state != job::State::kSucceeded) {
        const std::string state(status_name(record->state));
        co_return openai_refusal(
            call, make_error(Errc::kNotFound, "the video has no content: it is " + state, "id")
        );
    }
    auto file = co_await result_of(call, *std::move(record));
    co_return co_await common_.ports().artifacts_api.send_content(call, std::move(file));
}

}  // namespace framegrid::rest
