#include <framegrid/rest/openai_files.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kFilesOfAPage = 100;

json::object file_json(const job::ArtifactRecord& record) {
    return {
        {"id", record.id},
        {"object", "file"},
        {"bytes", record.bytes},
        {"created_at", record.created_unix_ms / 1000},
        {"expires_at", record.expires_unix_ms / 1000},
        {"filename", record.name.empty() ? record.id : record.name},
        {"purpose", "user_data"},
        {"status", "processed"},
        {"content_type", record.content_type}
    };
}

// A model once, whatever it can do.
json::array model_list(const std::vector<market::OfferedModel>& models) {
    json::array out;
    for (std::size_t i = 0; i < models.size();) {
        const auto& id = models[i].id;
        json::array pipelines;
        for (; i < models.size() && models[i].id == id; ++i) {
            pipelines.push_back(json::object{
                {"pipeline", job::pipeline_of(models[i].capability)},
                {"nodes", models[i].nodes},
                {"warm_nodes", models[i].warm_nodes}
            });
        }
        out.push_back(json::object{
            {"id", valid_utf8(id)},
            {"object", "model"},
            {"created", 0},  // nobody says
            {"owned_by", valid_utf8(id.substr(0, id.find('/')))},
            {"pipelines", std::move(pipelines)}
        });
    }
    return out;
}

}  // namespace

void OpenAiFiles::add_routes(Router& router) {
    using enum Access;
    router.add<OpenAiFiles>(
        *this,
        {
            {"POST", "/v1/files", RouteKind::kIntake, &OpenAiFiles::upload, kArtifacts},
            {"GET", "/v1/files", RouteKind::kPage, &OpenAiFiles::list, kArtifacts},
            {"GET", "/v1/files/{}", RouteKind::kPage, &OpenAiFiles::show, kArtifacts},
            {"DELETE", "/v1/files/{}", RouteKind::kPage, &OpenAiFiles::erase, kArtifacts},
            {"GET", "/v1/files/{}/content", RouteKind::kPage, &OpenAiFiles::content, kArtifacts},
            {"GET", "/v1/models", RouteKind::kPage, &OpenAiFiles::models},
            {"GET", "/v1/models/{*}", RouteKind::kPage, &OpenAiFiles::model},
            {"POST", "/v1/chat/completions", RouteKind::kPage, &OpenAiFiles::not_here_yet},
            {"POST", "/v1/audio/{*}", RouteKind::kPage, &OpenAiFiles::not_here_yet},
        },
        ErrorForm::kOpenAi
    );
}

Task<Answer> OpenAiFiles::upload(Call& call) {
    auto fields = co_await common_.read_fields(call);
    if (!fields) {
        co_return openai_refusal(call, std::move(fields.error()));
    }
    if (fields->files.size() != 1 || fields->files.front().name != "file") {
        auto error = make_error(Errc::kInvalidArgument, "file is one file of a multipart form", "file");
        co_return openai_refusal(call, std::move(error));
    }
    const auto purpose = fields->text("purpose");
    if (purpose != "user_data" && purpose != "vision") {
        auto error = make_error(Errc::kInvalidArgument, "purpose is user_data or vision", "purpose");
        co_return openai_refusal(call, std::move(error));
    }
    const auto kept = co_await common_.keep(call, std::move(fields->files.front()));
    if (!kept) {
        co_return openai_refusal(call, kept.error());
    }
    co_return json_answer(json::serialize(file_json(*kept)));
}

Task<Answer> OpenAiFiles::list(Call& call) {
    const auto page = read_openai_page(call.exchange.head, "art", kFilesOfAPage);
    if (!page) {
        co_return openai_refusal(call, page.error());
    }
    auto records = co_await common_.ports().jobs.artifacts.list(call.owner, page->after, page->limit + 1);
    if (!records) {
        co_return openai_refusal(call, std::move(records.error()));
    }
    const bool more = records->size() > page->limit;
    records->resize(std::min(records->size(), page->limit));
    json::array data;
    for (const auto& record : *records) {
        data.push_back(file_json(record));
    }
    co_return openai_page(std::move(data), more);
}

Task<Answer> OpenAiFiles::show(Call& call) {
    const auto record = co_await common_.ports().artifacts_api.find(call, call.parameters.front());
    if (!record) {
        co_return openai_refusal(call, record.error());
    }
    co_return json_answer(json::serialize(file_json(*record)));
}

Task<Answer> OpenAiFiles::erase(Call& call) {
    auto record = co_await common_.ports().artifacts_api.find(call, call.parameters.front());
    if (!record) {
        co_return openai_refusal(call, std::move(record.error()));
    }
    const auto id = record->id;
    const auto removed = co_await common_.ports().artifacts_api.remove(*std::move(record));
    if (!removed) {
        co_return openai_refusal(call, removed.error());
    }
    co_return json_answer(json::serialize(json::object{{"id", id}, {"object", "file"}, {"deleted", true}}));
}

Task<Answer> OpenAiFiles::content(Call& call) {
    auto record = co_await common_.ports().artifacts_api.find(call, call.parameters.front());
    co_return co_await common_.ports().artifacts_api.send_content(call, std::move(record));
}

Task<Answer> OpenAiFiles::models(Call& /*call*/) {
    const auto models = common_.ports().gateway.models();
    co_return json_answer(json::serialize(json::object{{"object", "list"}, {"data", model_list(models)}}));
}

// Names of models have slashes, which clients send as they are or encoded.
Task<Answer> OpenAiFiles::model(Call& call) {
    const auto name = percent_decode(call.parameters.front()).value_or("");
    auto models = common_.ports().gateway.models();
    std::erase_if(models, [&name](const market::OfferedModel& one) { return one.id != name; });
    const auto found = model_list(models);
    if (found.empty()) {
        auto error = make_error(Errc::kNotFound, "no node offers the model " + printable(name, 128), "model");
        co_return openai_refusal(call, std::move(error));
    }
    co_return json_answer(json::serialize(found.front()));
}

Task<Answer> OpenAiFiles::not_here_yet(Call& call) {
    const std::string path = printable(call.exchange.head.path(), 100);
    auto error = make_error(
        Errc::kNotFound, path + " is not here yet: the pipelines of speech and text have not arrived"
    );
    co_return openai_refusal(call, std::move(error));
}

}  // namespace framegrid::rest
