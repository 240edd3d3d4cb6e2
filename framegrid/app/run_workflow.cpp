// `framegrid run`: a workflow on a gateway, from local files to local files.
#include <framegrid/app/commands.hpp>

#include <charconv>
#include <cstdio>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/job_outputs.hpp>
#include <framegrid/app/jobs_client.hpp>
#include <framegrid/app/json_lookup.hpp>
#include <framegrid/app/quote.hpp>
#include <framegrid/app/verification_options.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/workflow/document.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;
using workflow::InputDecl;
using workflow::Kind;

struct WorkflowRunOptions {
    std::string file;
    std::string output = ".";
    std::vector<std::string> inputs;  // name=value
    std::string gateway;
    std::string priority = "normal";
    std::int64_t seed = -1;
    std::int64_t max_price = -1;
    std::int64_t deadline_s = 3'600;
    bool quote = false;
    VerificationOptions verification;
};

// Prints what is wrong with the document; warnings only when there is nothing else.
Result<std::shared_ptr<const workflow::Workflow>> read_workflow(const std::string& file, std::string& text) {
    FG_TRY(bytes, host::read_file(file, workflow::kDocumentBytesMax));
    text = as_text(bytes);
    auto reading = workflow::read(text);
    for (const auto& problem : reading.problems) {
        std::fprintf(stderr, "%s:%s\n", file.c_str(), workflow::to_string(problem).c_str());
    }
    if (reading.workflow == nullptr) {
        return fail(Errc::kInvalidArgument, file + " is not a workflow that can be run");
    }
    return std::move(reading.workflow);
}

template <class Number>
Result<json::value> number_in(const InputDecl& input, std::string_view text) {
    Number number{};
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end) {
        return fail(Errc::kInvalidArgument, input.name + " is " + workflow::to_string(input.type), "input");
    }
    return json::value(number);
}

Result<json::value> plain_value(const InputDecl& input, const std::string& text) {
    if (input.type.kind == Kind::kInteger) {
        return number_in<std::int64_t>(input, text);
    }
    if (input.type.kind == Kind::kNumber) {
        return number_in<double>(input, text);
    }
    if (input.type.kind == Kind::kBoolean && (text == "true" || text == "false")) {
        return json::value(text == "true");
    }
    if (input.type.kind == Kind::kBoolean) {
        return fail(Errc::kInvalidArgument, input.name + " is true or false", "input");
    }
    return json::value(text);
}

class WorkflowRunner {
  public:
    WorkflowRunner(Session& session, const WorkflowRunOptions& options, const std::string& url)
        : session_(session),
          options_(options),
          client_(session, url),
          deadline_(Deadline::after(session.clock, std::chrono::seconds(options.deadline_s))) {}

    Task<Result<int>> run();

  private:
    Task<Result<json::object>> document();
    Task<Result<json::object>> read_inputs(const workflow::Workflow& workflow);
    Task<Result<int>> follow(json::object document);
    Task<void> cancel();
    void show_quote(const json::object& quote) const;
    void show_event(const std::string& kind, const json::object& data);
    int report(const json::object& job, const std::vector<std::string>& files, double seconds) const;

    Session& session_;
    const WorkflowRunOptions& options_;
    JobsClient client_;
    Deadline deadline_;
    std::string id_;  // of the job while it runs
    std::optional<host::ProgressBar> bar_;
};

Task<Result<json::object>> WorkflowRunner::read_inputs(const workflow::Workflow& workflow) {
    json::object out;
    for (const auto& given : options_.inputs) {
        const auto equals = given.find('=');
        const std::string name = given.substr(0, equals);
        const auto* input = workflow.find_input(name);
        if (equals == std::string::npos || input == nullptr) {
            co_return fail(
                Errc::kInvalidArgument,
                equals == std::string::npos ? "an input is written as name=value: " + given
                                            : "the workflow has no input " + name,
                "input"
            );
        }
        const std::string text = given.substr(equals + 1);
        if (!workflow::is_media(input->type.kind)) {
            auto value = plain_value(*input, text);
            if (!value) {
                co_return fail(std::move(value.error()));
            }
            out[name] = std::move(*value);
            continue;
        }
        auto file = co_await client_.input(text, deadline_);
        if (!file) {
            co_return fail(std::move(file.error()));
        }
        if (input->type.list) {
            auto& list = out[name];
            if (!list.is_array()) {
                list = json::array{};
            }
            list.get_array().emplace_back(*file);
        } else {
            out[name] = *file;
        }
    }
    co_return out;
}

Task<Result<json::object>> WorkflowRunner::document() {
    std::string text;
    auto workflow = read_workflow(options_.file, text);
    if (!workflow) {
        co_return fail(std::move(workflow.error()));
    }
    auto inputs = co_await read_inputs(**workflow);
    if (!inputs) {
        co_return fail(std::move(inputs.error()));
    }
    json::object out{
        {"workflow", text},
        {"inputs", std::move(*inputs)},
        {"priority", options_.priority},
        {"deadline_ms", options_.deadline_s * 1'000}
    };
    if (options_.seed >= 0) {
        out["seed"] = options_.seed;
    }
    if (options_.max_price >= 0) {
        out["max_price"] = std::to_string(options_.max_price);
    }
    put_verification(options_.verification, out);
    if (!session_.common.json) {
        bar_.emplace((*workflow)->name);
    }
    co_return out;
}

void WorkflowRunner::show_quote(const json::object& quote) const {
    std::printf("%-20s %8s %16s %16s\n", "step", "items", "units", "wei at most");
    for (const auto& line : list_of(quote, "lines")) {
        if (!line.is_object()) {
            continue;
        }
        const auto& step = line.get_object();
        std::printf(
            "%-20s %8s %16s %16s  %s\n", text_of(step, "step").c_str(),
            std::to_string(number_of(step, "items")).c_str(),
            std::to_string(number_of(step, "units")).c_str(), text_of(step, "wei").c_str(),
            text_of(step, "note").c_str()
        );
    }
    std::printf("%-20s %8s %16s %16s\n", "all", "", "", text_of(quote, "wei").c_str());
}

void WorkflowRunner::show_event(const std::string& kind, const json::object& data) {
    if (kind == "waiting") {
        session_.log.info("workflow.waiting", {{"why", json::serialize(data)}});
    }
    const auto steps = list_of(data, "steps");
    if (!bar_ || kind != "progress" || steps.empty()) {
        return;
    }
    double done = 0;
    std::string detail;
    for (const auto& one : steps) {
        const auto step = one.is_object() ? one.get_object() : json::object{};
        const auto over = number_of(step, "done") + number_of(step, "skipped");
        const auto all = over + number_of(step, "running") + number_of(step, "waiting");
        done += all > 0 ? static_cast<double>(over) / static_cast<double>(all) : 0;
        if (number_of(step, "running") > 0) {
            detail += fmt::format("{}{} {}/{}", detail.empty() ? "" : ", ", text_of(step, "step"), over, all);
        }
    }
    bar_->update(done / static_cast<double>(steps.size()), detail);
}

// Whoever stops waiting does not want to pay for the rest.
Task<void> WorkflowRunner::cancel() {
    if (!id_.empty()) {
        const auto soon = Deadline::after(session_.clock, std::chrono::seconds(2));
        (void)co_await client_.cancel(id_, soon);
    }
}

int WorkflowRunner::report(const json::object& job, const std::vector<std::string>& files, double seconds)
    const {
    const auto* run = job.if_contains("run");
    if (session_.common.json) {
        json::object body{{"job", text_of(job, "id")}, {"files", json::value_from(files)}};
        body["wall_seconds"] = seconds;
        body["run"] = run == nullptr ? json::value() : *run;
        if (const auto* verification = job.if_contains("verification")) {
            body["verification"] = *verification;
        }
        std::printf("%s\n", json::serialize(body).c_str());
        return kExitOk;
    }
    for (const auto& file : files) {
        std::printf("%s\n", file.c_str());
    }
    const auto ran = run != nullptr && run->is_object() ? run->get_object() : json::object{};
    print_steps(ran);
    if (const auto verified = verification_line(object_of(job, "verification")); !verified.empty()) {
        std::printf("verified: %s\n", verified.c_str());
    }
    std::printf(
        "done in %s for %s wei (quoted: %s), seed %lld, job %s\n", host::format_seconds(seconds).c_str(),
        text_of(ran, "wei").c_str(), text_of(ran, "quote_wei").c_str(),
        static_cast<long long>(number_of(ran, "seed")), text_of(job, "id").c_str()
    );
    return kExitOk;
}

Task<Result<int>> WorkflowRunner::follow(json::object document) {
    const TimePoint started = session_.clock.now();
    auto job = co_await client_.submit(std::move(document), deadline_);
    if (!job) {
        co_return fail(std::move(job.error()));
    }
    id_ = text_of(*job, "id");
    auto told = [this](const std::string& kind, const json::object& data) { show_event(kind, data); };
    job = co_await client_.follow(id_, std::move(told), deadline_);
    if (!job) {
        co_return fail(std::move(job.error()));
    }
    id_.clear();
    if (bar_) {
        bar_->finish(text_of(*job, "state"));
    }
    FG_CO_CHECK(check_succeeded(*job));
    auto files = co_await fetch_outputs(client_, *job, host::expand_home(options_.output), deadline_);
    if (!files) {
        co_return fail(std::move(files.error()));
    }
    const double seconds = std::chrono::duration<double>(session_.clock.now() - started).count();
    co_return report(*job, *files, seconds);
}

Task<Result<int>> WorkflowRunner::run() {
    auto made = co_await document();
    if (!made) {
        co_return fail(std::move(made.error()));
    }
    if (options_.quote) {
        bar_.reset();
        const auto quote = co_await client_.quote(std::move(*made), deadline_);
        if (!quote) {
            co_return fail(quote.error());
        }
        if (session_.common.json) {
            std::printf("%s\n", json::serialize(*quote).c_str());
        } else {
            show_quote(*quote);
        }
        co_return kExitOk;
    }
    co_return co_await with_cleanup<int>(follow(std::move(*made)), cancel());
}

Task<Result<int>> run_workflow(Session& session, WorkflowRunOptions options) {
    auto access = co_await reach_gateway(session, options.gateway, {});
    if (!access) {
        co_return fail(std::move(access.error()));
    }
    WorkflowRunner runner(session, options, access->url);
    co_return co_await with_cleanup<int>(runner.run(), leave_gateway(*access));
}

}  // namespace

Task<Result<int>> quote_workflow(Session& session, QuoteOptions asked) {
    WorkflowRunOptions options;
    options.file = std::move(asked.file);
    options.inputs = std::move(asked.inputs);
    options.gateway = std::move(asked.gateway);
    options.deadline_s = asked.timeout_s;
    options.quote = true;
    co_return co_await run_workflow(session, std::move(options));
}

void add_run_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<WorkflowRunOptions>();
    auto* command = app.add_subcommand("run", "Run a workflow, from local files to local files");
    command->add_option("FILE", options->file, "a workflow, YAML or JSON")->required();
    command->add_option(
        "-i,--input", options->inputs,
        "name=value, for each input; a file's value is a path, an URL or a stored file's id; again for lists"
    );
    command->add_option("-o,--output", options->output, "directory for the outputs")->capture_default_str();
    command->add_flag("--quote", options->quote, "only say what it may cost at most");
    command->add_option("--max-price", options->max_price, "wei; refuse to run if it may cost more");
    command->add_option("--seed", options->seed, "the same seed gives the same files")
        ->check(CLI::NonNegativeNumber);
    add_verification_options(*command, options->verification);
    command->add_option("--priority", options->priority, "low, normal or high")
        ->check(CLI::IsMember({"low", "normal", "high"}))
        ->capture_default_str();
    command->add_option("--deadline", options->deadline_s, "seconds until it must be done")
        ->check(CLI::Range(1, 7 * 24 * 3600))
        ->capture_default_str();
    command
        ->add_option(
            "--gateway", options->gateway,
            "the gateway's URL; without it one on this machine, or a private network made for this call"
        )
        ->envname("FRAMEGRID_GATEWAY");
    command->footer(
        "Examples:\n"
        "  framegrid run examples/workflows/text-to-video.yaml -i prompt=\"a red ball rolls left\" -o out\n"
        "  framegrid run examples/workflows/upscale-images.yaml -i pictures=a.png -i pictures=b.png -o out\n"
        "  framegrid run examples/workflows/ladder.yaml -i video=film.mp4 --quote"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "run");
            return session.run([&] { return run_workflow(session, *options); });
        };
    });
}

}  // namespace framegrid::app
