#include <framegrid/gateway/job_work.hpp>

#include <boost/json.hpp>

#include <framegrid/api/stored_files.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/candidates.hpp>
#include <framegrid/gateway/input_loader.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/workflow/plan.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

json::object price_json(const Price& price) {
    return {{"wei", std::to_string(price.wei)}, {"units", price.units}};
}

// Rounded up, as orchestrators bill.
std::string cost_text(Pixels units, const Price& price) {
    const auto wei = workflow::wei_for(units, price);
    return wei ? std::to_string(*wei) : "more than can be counted";
}

// What has left for the job so far, at most: an attempt that is not answered may cost nothing in the end.
Task<Result<void>> tell_price(const JobTeller& tell, Wei& paid, Wei fee) {
    paid += fee;
    tell("price", json::serialize(json::object{{"wei", paid.str()}}), {});
    co_return Result<void>{};
}

class Work final : public JobWork {
  public:
    Work(WorkPorts ports, WorkSettings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          loader_(ports_, settings_),
          files_(
              ports_.objects, ports_.artifacts, ports_.clock, ports_.random, settings_.artifact_life,
              settings_.store_time_max
          ) {}
    Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) override;
    Task<Result<std::string>> quote(std::string owner, job::Document document, Deadline deadline) override;

  private:
    struct Prepared {
        AiJob job;
        std::shared_ptr<ObjectTransfer> transfer = nullptr;  // the job's, if it is one
    };
    Task<Result<Prepared>> prepare(std::string owner, job::Document document, Deadline deadline);
    Task<Result<Prepared>> prepare_echo(std::string owner, job::Document document, Deadline deadline);
    Task<Result<std::string>> keep(
        job::Record record, JobResult result, Pixels units, std::shared_ptr<ObjectTransfer> transfer
    );
    Task<Result<json::object>> keep_one(
        job::Record record, api::Artifact artifact, std::shared_ptr<ObjectTransfer> transfer
    );

    WorkPorts ports_;
    WorkSettings settings_;
    InputLoader loader_;
    api::StoredFiles files_;
};

// Gives back what it gets, whatever that is: large files need not be in memory for that.
Task<Result<Work::Prepared>> Work::prepare_echo(
    std::string owner, job::Document document, Deadline deadline
) {
    Prepared out;
    out.job.units = {1};
    auto& request = out.job.request;
    request.manifest_id = std::string(job::kEcho);
    request.work.kind = api::AiWork{document.pipeline, {}, {}};
    request.work.input_content_type = "application/octet-stream";
    request.work.priority = static_cast<api::Priority>(document.priority);
    request.constraints = document.constraints;
    if (document.inputs.empty()) {
        co_return out;
    }
    const auto& [name, text] = *document.inputs.begin();
    FG_CO_TRY(transfer, co_await loader_.transfer(owner, name, text, settings_.transfer_bytes_max));
    if (transfer) {
        out.transfer = transfer;
        request.work.transfer = std::move(transfer);
    } else {
        FG_CO_TRY(file, co_await loader_.load(owner, name, text, deadline));
        request.work.input = std::move(file);
    }
    co_return out;
}

Task<Result<Work::Prepared>> Work::prepare(std::string owner, job::Document document, Deadline deadline) {
    const auto* spec = job::find_pipeline(document.pipeline);
    if (spec == nullptr) {
        co_return co_await prepare_echo(std::move(owner), std::move(document), deadline);
    }
    std::map<std::string, Blob> files;
    for (const auto& [name, text] : document.inputs) {
        auto file = co_await loader_.load(owner, name, text, deadline);
        if (!file) {
            co_return fail(std::move(file.error()));
        }
        files.emplace(name, std::move(*file));
    }
    auto made =
        make_ai_job(*spec, document.model, document.parameters, std::move(files), settings_.image_pixels_max);
    if (!made) {
        co_return fail(std::move(made.error()));
    }
    Prepared out{std::move(*made)};
    auto& request = out.job.request;
    std::get<api::AiWork>(request.work.kind).preview_steps = document.preview_steps;
    if (document.max_price_wei) {
        request.price_max = Price{*document.max_price_wei, std::max<std::int64_t>(out.job.units.value, 1)};
        request.price_told = true;
    }
    request.work.priority = static_cast<api::Priority>(document.priority);
    request.constraints = document.constraints;
    co_return out;
}

Task<Result<std::string>> Work::run(job::Record record, JobTeller tell, Deadline deadline) {
    auto document = job::parse_document(record.request);
    if (!document) {
        co_return fail(std::move(document.error()));
    }
    auto prepared = co_await prepare(record.owner, *document, deadline);
    if (!prepared) {
        co_return fail(std::move(prepared.error()));
    }
    AiJob* const job = &prepared->job;
    Wei paid = 0;
    job->request.work.trace = job::parse_trace_text(record.trace);
    if (document->pipeline != job::kEcho) {
        job->request.progress = [&tell](const api::Progress& progress) {
            json::object data{{"step", progress.done}, {"steps", progress.total}};
            tell("progress", json::serialize(data), progress.preview);
        };
        job->request.attempt = [&tell](const std::string& orchestrator, int attempt) {
            json::object data{{"orchestrator", valid_utf8(orchestrator)}, {"attempt", attempt}};
            tell("node", json::serialize(data), {});
        };
        job->request.refused = [&tell](const market::Explanation& why) {
            tell("candidates", json::serialize(candidates_json(why)), {});
        };
        job->request.paying = [&tell, &paid](const Wei& fee) { return tell_price(tell, paid, fee); };
    }
    job->request.owner = record.owner;
    auto result = co_await ports_.gateway.run(std::move(job->request), deadline);
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    co_return co_await keep(std::move(record), std::move(*result), job->units, prepared->transfer);
}

Task<Result<std::string>> Work::quote(std::string owner, job::Document document, Deadline deadline) {
    auto prepared = co_await prepare(std::move(owner), std::move(document), deadline);
    if (!prepared) {
        co_return fail(std::move(prepared.error()));
    }
    const AiJob* const job = &prepared->job;
    const auto offer = ports_.gateway.offer(job->request);
    if (!offer) {
        co_return fail(
            Errc::kUnavailable,
            "nobody would take it now: " + ports_.gateway.explain(job->request).summary() +
                "; GET /v1/models lists what is offered"
        );
    }
    co_return json::serialize(json::object{
        {"wei", cost_text(job->units, offer->price)},
        {"units", job->units.value},
        {"price", price_json(offer->price)}
    });
}

Task<Result<json::object>> Work::keep_one(
    job::Record record, api::Artifact artifact, std::shared_ptr<ObjectTransfer> transfer
) {
    const bool transferred = artifact.file.has_value() && transfer != nullptr;
    const Blob head = transferred ? transfer->result_head() : artifact.bytes;
    job::ArtifactRecord about;
    about.owner = record.owner;
    about.job_id = record.id;
    about.content_type = std::string(media::recognise(head.view()).value_or("application/octet-stream"));
    about.name = record.kind + std::string(media::extension_of(about.content_type));
    auto keeping = transferred ? files_.add_record(std::move(about), transfer->result().value(), head)
                               : files_.keep(std::move(about), std::move(artifact.bytes));
    const auto kept = co_await std::move(keeping);
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

Task<Result<std::string>> Work::keep(
    job::Record record, JobResult result, Pixels units, std::shared_ptr<ObjectTransfer> transfer
) {
    json::array outputs;
    for (auto& artifact : result.output.artifacts) {
        if (artifact.bytes.empty() && !(artifact.file && transfer)) {
            continue;
        }
        auto kept = co_await keep_one(record, std::move(artifact), transfer);
        if (!kept) {
            co_return fail(std::move(kept.error()).with_context("the result could not be stored"));
        }
        outputs.push_back(std::move(*kept));
    }
    json::object run{
        {"orchestrator", valid_utf8(result.orchestrator)},
        {"attempts", result.attempts},
        {"units", units.value},
        {"price", price_json(result.price)},
        {"wei", result.cost ? result.cost->str() : cost_text(units, result.price)}
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

std::unique_ptr<JobWork> make_job_work(WorkPorts ports, WorkSettings settings) {
    return std::make_unique<Work>(std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
