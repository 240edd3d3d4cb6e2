#include <framegrid/gateway/job_work.hpp>

#include <boost/json.hpp>

#include <framegrid/api/stored_files.hpp>
#include <framegrid/gateway/single_run.hpp>
#include <framegrid/workflow/plan.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

class Work final : public JobWork {
  public:
    Work(WorkPorts ports, WorkSettings settings)
        : ports_(std::move(ports)),
          settings_(std::move(settings)),
          loader_(ports_, settings_),
          files_(
              ports_.objects, ports_.artifacts, ports_.clock, ports_.random, settings_.artifact_life,
              settings_.store_time_max
          ),
          results_(ports_, settings_, files_) {}
    Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) override;
    Task<Result<std::string>> quote(std::string owner, job::Document document, Deadline deadline) override;

  private:
    Task<Result<PreparedJob>> prepare(std::string owner, job::Document document, Deadline deadline);
    Task<Result<PreparedJob>> prepare_echo(std::string owner, job::Document document, Deadline deadline);

    WorkPorts ports_;
    WorkSettings settings_;
    InputLoader loader_;
    api::StoredFiles files_;
    KeptResults results_;
};

// Gives back what it gets, whatever that is: large files need not be in memory for that.
Task<Result<PreparedJob>> Work::prepare_echo(std::string owner, job::Document document, Deadline deadline) {
    PreparedJob out;
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

Task<Result<PreparedJob>> Work::prepare(std::string owner, job::Document document, Deadline deadline) {
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
    PreparedJob out{std::move(*made)};
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
    SingleRun run(
        ports_, settings_, files_, results_, std::move(record), *std::move(document), std::move(tell)
    );
    co_return co_await run.to_end(*std::move(prepared), deadline);
}

Task<Result<std::string>> Work::quote(std::string owner, job::Document document, Deadline deadline) {
    if (const auto* spec = job::find_pipeline(document.pipeline)) {
        FG_CO_CHECK(check_model(ports_.gateway, *spec, document.model, "model"));
    }
    const bool repeats = document.verification.repeats();
    auto prepared = co_await prepare(std::move(owner), std::move(document), deadline);
    if (!prepared) {
        co_return fail(std::move(prepared.error()));
    }
    if (repeats && prepared->job.request.price_max) {
        prepared->job.request.price_max = half_of(*prepared->job.request.price_max);
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
    const auto once = workflow::wei_for(job->units, offer->price);
    json::object out{
        {"wei", once ? Wei(Wei(*once) * (repeats ? 2 : 1)).str() : std::string(kUncountable)},
        {"units", job->units.value},
        {"price", price_json(offer->price)}
    };
    if (repeats) {
        out["runs"] = 2;
    }
    co_return json::serialize(out);
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
