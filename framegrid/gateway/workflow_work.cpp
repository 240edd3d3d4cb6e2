#include <framegrid/gateway/workflow_work.hpp>

#include <limits>

#include <boost/json.hpp>

#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/workflow_inputs.hpp>
#include <framegrid/gateway/workflow_run.hpp>
#include <framegrid/job/document.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

constexpr std::size_t kForgottenAtOnce = 500;
constexpr Duration kForgetPause = std::chrono::seconds(1);
constexpr Duration kForgetPeriod = std::chrono::minutes(1);
constexpr std::int64_t kSeedsMax = std::int64_t{1} << 53;

json::object quote_json(const workflow::Quote& quote, bool twice) {
    json::array lines;
    for (const auto& line : quote.lines) {
        json::object one{
            {"step", line.step},
            {"items", line.items},
            {"units", line.units.value},
            {"wei", std::to_string(line.wei)},
            {"price", {{"wei", line.offer.price.wei}, {"units", line.offer.price.units}}},
            {"exact", line.exact}
        };
        if (!line.note.empty()) {
            one["note"] = line.note;
        }
        lines.push_back(std::move(one));
    }
    json::object out{{"wei", std::to_string(quote.wei)}, {"exact", quote.exact}, {"lines", std::move(lines)}};
    if (twice) {
        out["runs"] = 2;
    }
    return out;
}

// The price for both runs.
std::int64_t twice(std::int64_t wei) {
    return wei > std::numeric_limits<std::int64_t>::max() / 2 ? std::numeric_limits<std::int64_t>::max()
                                                              : 2 * wei;
}

// A workflow that can be started: checked, priced, its files at hand.
struct Ready {
    workflow::Run run;
    std::vector<StepFile> files;
};

class Work final : public WorkflowWork {
  public:
    Work(Executor executor, WorkPorts ports, WorkSettings settings)
        : executor_(std::move(executor)),
          ports_(std::move(ports)),
          settings_(std::move(settings)),
          loader_(ports_, settings_),
          runner_(ports_, settings_),
          results_(ports_, settings_, runner_.files()) {}

    Task<Result<bool>> serve() override;
    Task<Result<std::string>> run(job::Record record, JobTeller tell, Deadline deadline) override;
    Task<Result<std::string>> quote(std::string owner, job::Document document, Deadline deadline) override;

  private:
    Result<void> check_models(const job::Document& document) const;
    Task<Result<Ready>> make(StepOwner owner, job::Document document, Deadline deadline);
    Task<Result<Ready>> make_or_take_up(
        StepOwner owner, job::Document document, const JobTeller& tell, Deadline deadline
    );

    Executor executor_;
    WorkPorts ports_;
    WorkSettings settings_;
    InputLoader loader_;
    StepRunner runner_;
    KeptResults results_;
};

Task<Result<bool>> Work::serve() {
    for (;;) {
        const auto forgotten = co_await ports_.results.forget(ports_.clock.unix_ms(), kForgottenAtOnce);
        const bool more = forgotten && *forgotten == kForgottenAtOnce;
        co_await sleep_for(ports_.clock, more ? kForgetPause : kForgetPeriod);
    }
}

Result<void> Work::check_models(const job::Document& document) const {
    FG_TRY(workflow, workflow::parse(document.workflow));
    for (const auto& step : workflow->steps) {
        if (const auto* spec = step.action->pipeline) {
            FG_CHECK(check_model(ports_.gateway, *spec, step.model, step.path + ".model"));
        }
    }
    return {};
}

Task<Result<Ready>> Work::make(StepOwner owner, job::Document document, Deadline deadline) {
    auto workflow = workflow::parse(document.workflow);
    if (!workflow) {
        co_return fail(std::move(workflow.error()));
    }
    auto inputs = co_await read_inputs(loader_, runner_, **workflow, owner, document.values, deadline);
    if (!inputs) {
        co_return fail(std::move(inputs.error()));
    }
    const auto offer_for = [this, &document](std::string_view pipeline, std::string_view model) {
        auto offer = runner_.offer(pipeline, std::string(model), document.constraints);
        if (offer && document.verification.repeats()) {
            offer->price.wei = twice(offer->price.wei);
        }
        return offer;
    };
    const std::int64_t seed = document.seed.value_or((*workflow)->seed.value_or(0));
    // All inputs that must be there are: a quote for a file that is still to come is for quote() alone.
    auto quote = workflow::make_quote(**workflow, inputs->values, seed, offer_for);
    if (!quote) {
        co_return fail(std::move(quote.error()));
    }
    if (document.max_price_wei && quote->wei > *document.max_price_wei) {
        co_return fail(
            Errc::kInvalidArgument,
            "it may cost " + std::to_string(quote->wei) +
                " wei, which is above max_price; raise that, or name "
                "smaller limits for the workflow's inputs",
            "max_price"
        );
    }
    workflow::RunSettings limits;
    limits.running_max = settings_.items_max;
    auto run =
        workflow::Run::make(std::move(*workflow), std::move(inputs->values), seed, std::move(*quote), limits);
    if (!run) {
        co_return fail(std::move(run.error()));
    }
    co_return Ready{std::move(*run), std::move(inputs->files)};
}

Task<Result<Ready>> Work::make_or_take_up(
    StepOwner owner, job::Document document, const JobTeller& tell, Deadline deadline
) {
    auto begun = co_await results_.find_start(owner);
    if (!begun) {
        co_return fail(std::move(begun.error()));
    }
    if (*begun) {
        workflow::RunSettings limits;
        limits.running_max = settings_.items_max;
        auto run = workflow::Run::from_json(**begun, limits);
        if (!run) {
            co_return fail(std::move(run.error()));
        }
        co_return Ready{std::move(*run), {}};
    }
    auto ready = co_await make(owner, std::move(document), deadline);
    if (!ready) {
        co_return fail(std::move(ready.error()));
    }
    // The quote limits the bill whatever happens to this process, so it is kept before anything is bought.
    FG_CO_CHECK(co_await results_.keep_start(owner, ready->run.to_json()));
    tell("quote", json::serialize(quote_json(ready->run.quote(), owner.verification.repeats())), {});
    co_return ready;
}

Task<Result<std::string>> Work::run(job::Record record, JobTeller tell, Deadline deadline) {
    auto document = job::parse_document(record.request);
    if (!document) {
        co_return fail(std::move(document.error()));
    }
    const int priority = document->priority;
    const StepOwner owner{
        record.owner, record.id, job::parse_trace_text(record.trace), document->constraints,
        document->verification
    };
    auto ready = co_await make_or_take_up(owner, std::move(*document), tell, deadline);
    if (!ready) {
        co_return fail(std::move(ready.error()));
    }
    WorkflowRun run(
        executor_, ports_, settings_, runner_, results_,
        {std::move(ready->run), std::move(ready->files), owner, std::move(tell)}
    );
    co_return co_await run.to_end(priority, deadline);
}

Task<Result<std::string>> Work::quote(std::string owner, job::Document document, Deadline deadline) {
    FG_CO_CHECK(check_models(document));
    const bool twice = document.verification.repeats();
    auto ready = co_await make({std::move(owner), {}}, std::move(document), deadline);
    if (!ready) {
        co_return fail(std::move(ready.error()));
    }
    co_return json::serialize(quote_json(ready->run.quote(), twice));
}

}  // namespace

Result<void> settle_workflow(job::Document& document, Random& random) {
    FG_TRY(workflow, workflow::parse(document.workflow));
    if (!document.seed) {
        document.seed = workflow->seed.value_or(static_cast<std::int64_t>(random.below(kSeedsMax)));
    }
    return {};
}

std::unique_ptr<WorkflowWork> make_workflow_work(Executor executor, WorkPorts ports, WorkSettings settings) {
    return std::make_unique<Work>(std::move(executor), std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
