#include <framegrid/rest/async_videos.hpp>

#include <boost/json.hpp>

#include <framegrid/job/document.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kAskBytesMax = 4096;
constexpr Duration kAskTimeMax = std::chrono::seconds(10);

std::unexpected<Error> no_such_request() {
    return fail(Errc::kInvalidArgument, "invalid request ID", "request_id");
}

Answer status_answer(const json::object& body, int status) {
    auto answer = json_answer(json::serialize(body));
    answer.status = status;
    answer.headers.add("cache-control", "no-store");
    return answer;
}

// What the form says as a job's document; its file is stored already.
Result<job::Document> document_of(
    const job::PipelineSpec& spec, const job::Parameters& parameters, const std::string& file
) {
    json::value values = json::parse(parameters.to_json());
    json::object document{{"pipeline", spec.name}, {"inputs", {{spec.files.front().name, file}}}};
    if (const auto model = parameters.text("model_id"); !model.empty()) {
        document["model"] = model;
    }
    values.get_object().erase("model_id");
    document["parameters"] = std::move(values);
    return job::parse_document(json::serialize(document));
}

}  // namespace

void AsyncVideos::add_routes(Router& router) {
    for (const auto* method : {"GET", "POST", "PUT"}) {
        router.add({method, "/image-to-video/result", RouteKind::kPage, [this](Call& call) {
                        return result(call);
                    }});
    }
}

bool AsyncVideos::is_wanted(const Call& call, const job::PipelineSpec& spec) {
    return spec.capability == job::Capability::kImageToVideo &&
           call.headers().get("prefer").value_or("").find("respond-async") != std::string_view::npos;
}

Task<Answer> AsyncVideos::submit(Call& call, const job::PipelineSpec& spec) {
    auto request = co_await ai_jobs_.read_request(call, spec);
    if (!request) {
        co_return error_answer(request.error(), request.error().code == Errc::kDeadline ? 408 : 0);
    }
    http::Part file;
    file.name = spec.files.front().name;
    file.filename = file.name;
    file.body = std::move(request->file);
    const auto kept = co_await common_.keep(call, std::move(file));
    if (!kept) {
        co_return error_answer(kept.error());
    }
    auto document = document_of(spec, request->parameters, kept->id);
    if (!document) {
        co_return error_answer(document.error());
    }
    const auto submitted = co_await common_.ports().jobs_api.accept(call, *std::move(document));
    if (!submitted) {
        co_return error_answer(submitted.error(), JobsApi::refusal_status(submitted.error()));
    }
    co_return status_answer({{"request_id", submitted->record.id}}, 202);
}

Task<Result<job::Record>> AsyncVideos::find(Call& call) {
    const auto& ports = common_.ports();
    const auto deadline = Deadline::after(ports.clock, kAskTimeMax);
    auto body = co_await read_body(call.exchange, call.memory, kAskBytesMax, ports.clock, deadline);
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    std::string id;
    boost::system::error_code error;
    const auto asked = body->empty() ? json::value() : json::parse(body->text(), error);
    const auto* named = !error && asked.is_object() ? asked.get_object().if_contains("request_id") : nullptr;
    if (named != nullptr && named->is_string()) {
        id = named->get_string();
    }
    for (const auto& [name, value] : query_of(call.exchange.head.query())) {
        id = name == "request_id" && body->empty() ? value : id;
    }
    if (!job::is_id("job", id)) {
        co_return no_such_request();
    }
    auto record = co_await ports.jobs_api.find(call, std::move(id));
    const bool other = record && record->kind != "image-to-video";
    if (other || (!record && record.error().code == Errc::kNotFound)) {
        co_return no_such_request();
    }
    co_return record;
}

json::object AsyncVideos::images_of(const Call& call, const job::Record& record) const {
    boost::system::error_code ignored;
    const auto made = json::parse(record.result, ignored);
    const auto* outputs = made.is_object() ? made.get_object().if_contains("outputs") : nullptr;
    json::array images;
    for (const auto& output :
         outputs != nullptr && outputs->is_array() ? outputs->get_array() : json::array()) {
        const auto& file = output.as_object();
        const auto member = [&](std::string_view name, const json::value& absent) {
            const auto* value = file.if_contains(name);
            return value == nullptr ? absent : *value;
        };
        images.push_back(json::object{
            {"url", common_.artifact_url(call, std::string(file.at("artifact").as_string()))},
            {"seed", member("seed", 0)},
            {"nsfw", member("nsfw", false)}
        });
    }
    return {{"images", std::move(images)}};
}

Task<Answer> AsyncVideos::result(Call& call) {
    const auto record = co_await find(call);
    if (!record) {
        co_return error_answer(record.error());
    }
    if (!job::is_final(record->state)) {
        co_return status_answer({{"status", "processing"}}, 202);
    }
    json::object result;
    if (record->state == job::State::kSucceeded) {
        result = images_of(call, *record);
    } else {
        result["error"] = {{"message", failure_of(*record).message}};
    }
    co_return status_answer({{"status", "complete"}, {"result", std::move(result)}}, 200);
}

}  // namespace framegrid::rest
