#include <framegrid/gateway/job_work.hpp>

#include <boost/json.hpp>

#include <framegrid/api/stored_files.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/job/input_files.hpp>
#include <framegrid/media/file_types.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

std::unexpected<Error> bad_input(Errc code, std::string message, const std::string& name) {
    return fail(code, std::move(message), "inputs." + name);
}

Result<Blob> read_data_url(std::string_view text, const std::string& name) {
    auto bytes = crypto::parse_base64(text.substr(text.find(',') + 1));
    if (!bytes) {
        return bad_input(Errc::kInvalidArgument, "the data URL's base64 is damaged", name);
    }
    return Blob(std::move(*bytes));
}

class Work final : public JobRunner {
  public:
    Work(WorkPorts ports, WorkSettings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          files_(
              ports_.objects, ports_.artifacts, ports_.clock, ports_.random, settings_.artifact_life,
              settings_.store_time_max
          ) {}
    Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) override;

  private:
    Task<Result<Blob>> load(std::string owner, std::string name, std::string text, Deadline deadline);
    Task<Result<JobRequest>> prepare(job::Record record, job::Document document, Deadline deadline);
    Task<Result<Pixels>> add_files(
        const job::Record& record, const job::Document& document, JobRequest& request, Deadline deadline
    );
    Task<Result<std::string>> keep(job::Record record, JobResult result, Pixels units);
    Task<Result<json::object>> keep_one(job::Record record, api::Artifact artifact);

    WorkPorts ports_;
    WorkSettings settings_;
    api::StoredFiles files_;
};

Task<Result<Blob>> Work::load(std::string owner, std::string name, std::string text, Deadline deadline) {
    const auto kind = job::input_kind(text);
    if (kind == job::InputKind::kData) {
        co_return read_data_url(text, name);
    }
    if (kind == job::InputKind::kUrl) {
        auto fetched = co_await ports_.fetcher.fetch(text, settings_.input_bytes_max, deadline);
        if (!fetched) {
            // Waiting would not bring it: whoever keeps the file is not of this network.
            const auto code = fetched.error().code;
            const bool away = code == Errc::kUnavailable || code == Errc::kCapacity;
            co_return bad_input(away ? Errc::kUnprocessable : code, fetched.error().message, name);
        }
        co_return fetched;
    }
    auto record = co_await ports_.artifacts.find(text);
    if (record && record->owner != owner) {
        co_return bad_input(Errc::kNotFound, "there is no such file", name);
    }
    if (!record) {
        record.error().field = "inputs." + name;
        co_return fail(std::move(record.error()));
    }
    co_return co_await api::get_object(
        ports_.objects, record->digest, settings_.input_bytes_max,
        deadline.at_most(ports_.clock, settings_.store_time_max)
    );
}

// Reads the files into the request. Returns what the job is paid by.
Task<Result<Pixels>> Work::add_files(
    const job::Record& record, const job::Document& document, JobRequest& request, Deadline deadline
) {
    const auto* spec = job::find_pipeline(document.pipeline);
    media::Size size;
    std::optional<std::string> mask;
    for (const auto& [name, text] : document.inputs) {
        auto file = co_await load(record.owner, name, text, deadline);
        if (!file) {
            co_return fail(std::move(file.error()));
        }
        const auto kind = std::ranges::find(spec->files, name, &job::FileSpec::name);
        const std::string field = "inputs." + name;
        if (kind != spec->files.end()) {
            FG_CO_TRY(found, job::check_file(*kind, *file, settings_.image_pixels_max, field));
            size = found;
            request.work.input = std::move(*file);
        } else {
            FG_CO_CHECK(job::check_picture(*file, settings_.image_pixels_max, field));
            FG_CO_TRY(value, job::mask_parameter(*file, field));
            mask = std::move(value);
        }
    }
    // A required mask joins only now, so the whole is checked now.
    auto object = json::parse(document.parameters).get_object();
    if (mask) {
        object[job::kMaskParameter] = *mask;
    }
    object["model_id"] = document.model;
    const auto parameters = job::Parameters::from_json(*spec, json::serialize(object));
    if (!parameters) {
        co_return fail(parameters.error());
    }
    auto& work = std::get<api::AiWork>(request.work.kind);
    work.parameters = parameters->to_json();
    co_return job::payable_units(*spec, *parameters, size);
}

Task<Result<JobRequest>> Work::prepare(job::Record record, job::Document document, Deadline deadline) {
    if (document.pipeline != job::kEcho) {
        auto request = make_ai_request(*job::find_pipeline(document.pipeline), document.model);
        request.work.priority = static_cast<api::Priority>(document.priority);
        std::get<api::AiWork>(request.work.kind).preview_steps = document.preview_steps;
        co_return request;
    }
    JobRequest request;
    request.manifest_id = std::string(job::kEcho);
    request.work.priority = static_cast<api::Priority>(document.priority);
    request.work.kind = api::AiWork{document.pipeline, {}, {}};
    request.work.input_content_type = "application/octet-stream";
    if (const auto input = document.inputs.find("data"); input != document.inputs.end()) {
        auto data = co_await load(record.owner, "data", input->second, deadline);
        if (!data) {
            co_return fail(std::move(data.error()));
        }
        request.work.input = std::move(*data);
    }
    co_return request;
}

Task<Result<std::string>> Work::run(job::Record record, JobTeller tell, Deadline deadline) {
    auto document = job::parse_document(record.request);
    if (!document) {
        co_return fail(std::move(document.error()));
    }
    auto request = co_await prepare(record, *document, deadline);
    if (!request) {
        co_return fail(std::move(request.error()));
    }
    Pixels units;
    if (document->pipeline != job::kEcho) {
        auto counted = co_await add_files(record, *document, *request, deadline);
        if (!counted) {
            co_return fail(std::move(counted.error()));
        }
        units = *counted;
        if (document->max_price_wei) {
            request->price_max = Price{*document->max_price_wei, std::max<std::int64_t>(units.value, 1)};
        }
        request->progress = [&tell](const api::Progress& progress) {
            json::object data{{"step", progress.done}, {"steps", progress.total}};
            tell("progress", json::serialize(data), progress.preview);
        };
        request->attempt = [&tell](const std::string& orchestrator, int attempt) {
            json::object data{{"orchestrator", valid_utf8(orchestrator)}, {"attempt", attempt}};
            tell("node", json::serialize(data), {});
        };
    }
    auto result = co_await ports_.gateway.run(*std::move(request), deadline);
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    co_return co_await keep(std::move(record), std::move(*result), units);
}

Task<Result<json::object>> Work::keep_one(job::Record record, api::Artifact artifact) {
    job::ArtifactRecord about;
    about.owner = record.owner;
    about.job_id = record.id;
    about.content_type =
        std::string(media::recognise(artifact.bytes.view()).value_or("application/octet-stream"));
    about.name = record.kind + std::string(media::extension_of(about.content_type));
    const auto kept = co_await files_.keep(std::move(about), std::move(artifact.bytes));
    if (!kept) {
        co_return fail(kept.error());
    }
    json::object out{
        {"artifact", kept->id},
        {"content_type", kept->content_type},
        {"bytes", kept->bytes},
        {"sha256", kept->digest}
    };
    if (artifact.seed) {
        out["seed"] = *artifact.seed;
    }
    co_return out;
}

Task<Result<std::string>> Work::keep(job::Record record, JobResult result, Pixels units) {
    json::array outputs;
    for (auto& artifact : result.output.artifacts) {
        if (artifact.bytes.empty()) {
            continue;
        }
        auto kept = co_await keep_one(record, std::move(artifact));
        if (!kept) {
            co_return fail(std::move(kept.error()).with_context("the result could not be stored"));
        }
        outputs.push_back(std::move(*kept));
    }
    json::object run{
        {"orchestrator", valid_utf8(result.orchestrator)},
        {"attempts", result.attempts},
        {"units", units.value}
    };
    if (const auto& ai = result.output.ai) {
        run["model"] = valid_utf8(ai->model_id);
        run["model_digest"] = valid_utf8(ai->model_digest);
        run["steps"] = ai->steps;
        run["runtime_ms"] = ai->runtime_ms;
    }
    co_return json::serialize(json::object{{"outputs", std::move(outputs)}, {"run", std::move(run)}});
}

}  // namespace

void settle_document(job::Document& document, const WorkSettings& settings, Random& random) {
    const auto* spec = job::find_pipeline(document.pipeline);
    if (spec == nullptr) {
        return;
    }
    document.model = model_for(*spec, std::move(document.model), settings.default_models);
    auto parameters = json::parse(document.parameters).get_object();
    parameters.erase("model_id");
    const auto* seed = parameters.if_contains("seed");
    if (std::ranges::contains(spec->parameters, "seed", &job::ParameterSpec::name) && seed == nullptr) {
        parameters["seed"] = draw_seed(random);
    }
    document.parameters = json::serialize(parameters);
}

std::unique_ptr<JobRunner> make_job_work(WorkPorts ports, WorkSettings settings) {
    return std::make_unique<Work>(std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
