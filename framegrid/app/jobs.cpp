// `framegrid jobs`: the durable jobs of a gateway, from the command line.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <fmt/format.h>

#include <framegrid/app/job_outputs.hpp>
#include <framegrid/app/jobs_client.hpp>
#include <framegrid/app/json_lookup.hpp>
#include <framegrid/app/quote.hpp>
#include <framegrid/app/verification_options.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/job/record.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

struct JobsOptions {
    std::string gateway = kDefaultGateway;
    std::string id;
    std::string file;
    std::vector<std::string> inputs;  // name=value
    std::string output = ".";
    std::string state;
    std::string pipeline;
    std::string before;
    int limit = 20;
    VerificationOptions verification;
    bool wait = false;
    bool quote = false;
    std::int64_t timeout_s = 3'600;
};

// One call of the command: the session, what was asked, and the gateway.
struct JobsCall {
    Session& session;
    const JobsOptions& options;
    JobsClient client;
    Deadline deadline;
};

void print_json(const json::object& value) {
    std::printf("%s\n", json::serialize(value).c_str());
}

std::string coloured_state(const host::Colours& colours, const std::string& state) {
    const auto padded = fmt::format("{:<9}", state);
    return state == "succeeded" ? colours.green(padded)
           : state == "failed"  ? colours.red(padded)
           : state == "running" ? colours.cyan(padded)
                                : colours.yellow(padded);
}

// What a job cost, in wei: of single jobs and workflows alike.
std::string cost_of(const json::object& job) {
    const auto wei = text_of(object_of(job, "run"), "wei");
    return wei.empty() ? "-" : wei;
}

void print_list(const json::object& answer) {
    const host::Colours colours{host::has_colours(1)};
    std::printf("%-34s %-9s %-20s %-24s %12s\n", "ID", "STATE", "PIPELINE", "CREATED", "WEI");
    for (const auto& job : objects_of(answer, "data")) {
        std::printf(
            "%-34s %s %-20s %-24s %12s\n", text_of(job, "id").c_str(),
            coloured_state(colours, text_of(job, "state")).c_str(), text_of(job, "pipeline").c_str(),
            text_of(job, "created_at").c_str(), cost_of(job).c_str()
        );
    }
    if (const auto next = text_of(answer, "next_before"); !next.empty()) {
        std::printf("older ones: --before %s\n", next.c_str());
    }
}

void print_job(const json::object& job) {
    const host::Colours colours{host::has_colours(1)};
    const auto line = [](const char* name, const std::string& value) {
        if (!value.empty()) {
            std::printf("%-12s %s\n", name, value.c_str());
        }
    };
    const auto run = object_of(job, "run");
    const auto price = object_of(run, "price");
    line("id", text_of(job, "id"));
    line("state", coloured_state(colours, text_of(job, "state")));
    line("pipeline", text_of(job, "pipeline"));
    line("model", text_of(run, "model").empty() ? text_of(job, "model") : text_of(run, "model"));
    line("digest", text_of(run, "model_digest"));
    line("created", text_of(job, "created_at"));
    line("started", text_of(job, "started_at"));
    line("finished", text_of(job, "finished_at"));
    line("node", text_of(run, "orchestrator"));
    if (!price.empty()) {
        line("price", text_of(price, "wei") + " wei per " + std::to_string(number_of(price, "units")));
        line("units", std::to_string(number_of(run, "units")));
    }
    line("cost", run.empty() ? "" : cost_of(job) + " wei");
    line("quoted", text_of(run, "quote_wei").empty() ? "" : text_of(run, "quote_wei") + " wei");
    line("verified", verification_line(object_of(job, "verification")));
    line("trace", text_of(job, "trace_id"));
    const auto error = object_of(job, "error");
    line("error", text_of(error, "message"));
    line("field", text_of(error, "field"));
    print_steps(run);
    for (const auto& output : objects_of(job, "outputs")) {
        line(
            "output", text_of(output, "artifact") + "  " + text_of(output, "content_type") + "  " +
                          host::format_bytes(static_cast<std::uint64_t>(number_of(output, "bytes")))
        );
    }
}

// One line for people, for each event that says something.
void print_event(const std::string& kind, const json::object& data) {
    std::string text;
    if (kind == "progress") {
        return;
    }
    if (kind == "node") {
        text = text_of(data, "orchestrator") + ", try " + std::to_string(number_of(data, "attempt"));
    } else if (kind == "price") {
        text = text_of(data, "wei") + " wei so far";
    } else if (kind == "candidates") {
        text = text_of(data, "summary");
    } else if (kind == "place") {
        text = std::to_string(number_of(data, "ahead")) + " ahead";
    } else if (kind == "waiting" || kind == "failed") {
        text = text_of(object_of(data, "error"), "message");
    } else if (kind == "verification") {
        text = verification_line(data);
    } else if (kind == "step") {
        text = text_of(data, "step") + " " + text_of(data, "state");
    }
    std::fprintf(stderr, "%s  %-10s %s\n", text_of(data, "at").c_str(), kind.c_str(), text.c_str());
}

Task<Result<json::object>> follow(JobsCall& call, std::string id) {
    const bool quiet = call.session.common.json;
    std::optional<host::ProgressBar> bar;
    if (!quiet && host::is_terminal(2)) {
        bar.emplace(id);
    }
    const auto told = [&](const std::string& kind, const json::object& data) {
        const auto steps = number_of(data, "steps");
        if (kind == "progress" && bar && steps > 0) {
            const auto step = number_of(data, "step");
            bar->update(
                static_cast<double>(step) / static_cast<double>(steps), fmt::format("step {}/{}", step, steps)
            );
        } else if (!quiet && !bar) {
            print_event(kind, data);
        }
    };
    auto job = co_await call.client.follow(std::move(id), told, call.deadline);
    if (bar) {
        bar->finish(job ? text_of(*job, "state") : "");
    }
    co_return job;
}

Task<Result<int>> list(JobsCall& call) {
    std::string query = "limit=" + std::to_string(call.options.limit);
    const auto add = [&query](const char* name, const std::string& value) {
        query += value.empty() ? "" : "&" + std::string(name) + "=" + value;
    };
    add("state", call.options.state);
    add("pipeline", call.options.pipeline);
    add("before", call.options.before);
    FG_CO_TRY(answer, co_await call.client.list(query, call.deadline));
    if (call.session.common.json) {
        print_json(answer);
    } else {
        print_list(answer);
    }
    co_return kExitOk;
}

// Shows a finished job; its exit status is the command's.
int report(const JobsCall& call, const json::object& job) {
    if (call.session.common.json) {
        print_json(job);
    } else {
        print_job(job);
    }
    const auto state = job::parse_state(text_of(job, "state"));
    return state == job::State::kFailed || state == job::State::kCancelled ? kExitFailed : kExitOk;
}

Task<Result<int>> show(JobsCall& call) {
    FG_CO_TRY(job, co_await call.client.get(call.options.id, call.deadline));
    (void)report(call, job);
    co_return kExitOk;
}

Task<Result<int>> watch(JobsCall& call) {
    FG_CO_TRY(job, co_await follow(call, call.options.id));
    co_return report(call, job);
}

Task<Result<int>> cancel(JobsCall& call) {
    FG_CO_CHECK(co_await call.client.cancel(call.options.id, call.deadline));
    co_return co_await show(call);
}

Task<Result<int>> save(JobsCall& call, json::object job) {
    FG_CO_CHECK(check_succeeded(job));
    const auto directory = host::expand_home(call.options.output);
    FG_CO_TRY(files, co_await fetch_outputs(call.client, job, directory, call.deadline));
    if (call.session.common.json) {
        print_json({{"job", text_of(job, "id")}, {"files", json::value_from(files)}});
        co_return kExitOk;
    }
    for (const auto& file : files) {
        std::printf("%s\n", file.c_str());
    }
    co_return kExitOk;
}

Task<Result<int>> get(JobsCall& call) {
    FG_CO_TRY(job, co_await follow(call, call.options.id));
    co_return co_await save(call, std::move(job));
}

Task<Result<bool>> add_inputs(JobsCall& call, json::object& document) {
    for (const auto& given : call.options.inputs) {
        const auto equals = given.find('=');
        if (equals == std::string::npos) {
            co_return fail(Errc::kInvalidArgument, "an input is written as name=value: " + given, "input");
        }
        FG_CO_TRY(value, co_await call.client.input(given.substr(equals + 1), call.deadline));
        auto& inputs = document["inputs"];
        if (!inputs.is_object()) {
            inputs = json::object{};
        }
        inputs.get_object()[given.substr(0, equals)] = value;
    }
    co_return true;
}

Task<Result<int>> show_quote(JobsCall& call, json::object document) {
    const auto pipeline = text_of(document, "pipeline");
    FG_CO_TRY(quote, co_await call.client.quote(std::move(document), call.deadline));
    if (call.session.common.json) {
        print_json(quote);
        co_return kExitOk;
    }
    const auto price = object_of(quote, "price");
    std::printf(
        "%s: %s wei at most (%s%lld units at %s wei per %lld)\n", pipeline.c_str(),
        text_of(quote, "wei").c_str(), number_of(quote, "runs") == 2 ? "twice " : "",
        static_cast<long long>(number_of(quote, "units")), text_of(price, "wei").c_str(),
        static_cast<long long>(number_of(price, "units"))
    );
    co_return kExitOk;
}

Task<Result<int>> submit(JobsCall& call) {
    FG_CO_TRY(read, read_job_document(call.options.file));
    if (!read) {
        co_return fail(not_a_job());
    }
    auto document = *std::move(read);
    FG_CO_CHECK(co_await add_inputs(call, document));
    put_verification(call.options.verification, document);
    if (call.options.quote) {
        co_return co_await show_quote(call, std::move(document));
    }
    FG_CO_TRY(job, co_await call.client.submit(std::move(document), call.deadline));
    if (!call.options.wait) {
        std::printf(
            "%s\n", call.session.common.json ? json::serialize(job).c_str() : text_of(job, "id").c_str()
        );
        co_return kExitOk;
    }
    FG_CO_TRY(done, co_await follow(call, text_of(job, "id")));
    co_return co_await save(call, std::move(done));
}

using Action = Task<Result<int>> (*)(JobsCall&);

Task<Result<int>> with_client(Session& session, Action action, JobsOptions options) {
    const auto deadline = Deadline::after(session.clock, std::chrono::seconds(options.timeout_s));
    while (options.gateway.ends_with('/')) {
        options.gateway.pop_back();
    }
    JobsCall call{session, options, JobsClient(session, options.gateway), deadline};
    co_return co_await action(call);
}

using Options = std::shared_ptr<JobsOptions>;

void add_id(CLI::App* sub, const Options& options) {
    sub->add_option("ID", options->id, "the job's id")->required();
}

void add_output(CLI::App* sub, const Options& options) {
    sub->add_option("-o,--output", options->output, "directory for the outputs")->capture_default_str();
}

void add_filters(CLI::App* sub, const Options& options) {
    sub->add_option("--state", options->state, "only those")
        ->check(CLI::IsMember({"queued", "running", "succeeded", "failed", "cancelled"}));
    sub->add_option("--pipeline", options->pipeline, "only of this pipeline, or 'workflow'");
    sub->add_option("--before", options->before, "only older ones than this job");
    sub->add_option("--limit", options->limit, "at most")->check(CLI::Range(1, 200))->capture_default_str();
}

void add_submission(CLI::App* sub, const Options& options) {
    sub->add_option("FILE", options->file, "a job as JSON (docs/jobs.md), or - for standard input")
        ->required();
    sub->add_option("-i,--input", options->inputs, "name=value: a path, an URL or a stored file's id");
    add_verification_options(*sub, options->verification);
    sub->add_flag("--quote", options->quote, "only say what it may cost at most");
    sub->add_flag("--wait", options->wait, "wait for its end and save the outputs");
    add_output(sub, options);
}

}  // namespace

Task<Result<int>> quote_job(Session& session, QuoteOptions asked, json::object document, std::string url) {
    JobsOptions options;
    options.inputs = std::move(asked.inputs);
    const auto deadline = Deadline::after(session.clock, std::chrono::seconds(asked.timeout_s));
    JobsCall call{session, options, JobsClient(session, std::move(url)), deadline};
    FG_CO_CHECK(co_await add_inputs(call, document));
    co_return co_await show_quote(call, std::move(document));
}

void add_jobs_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<JobsOptions>();
    auto* command =
        app.add_subcommand("jobs", "List, show, watch, cancel and fetch a gateway's durable jobs");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  framegrid jobs ls --state failed\n"
        "  echo '{\"pipeline\":\"text-to-image\",\"parameters\":{\"prompt\":\"a red ball\"}}' |\n"
        "    framegrid jobs submit - --wait -o out\n"
        "  framegrid jobs submit upscale.json -i image=photo.png --quote\n"
        "  framegrid jobs submit upscale.json -i image=photo.png --verification repeat --wait\n"
        "  framegrid jobs show job_01H... --json\n"
        "  framegrid jobs watch job_01H...\n"
        "  framegrid jobs get job_01H... -o out"
    );
    const auto add = [&](const char* name, const char* what, Action action) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option("--gateway", options->gateway, "the gateway's URL")
            ->envname("FRAMEGRID_GATEWAY")
            ->capture_default_str();
        sub->add_option("--timeout", options->timeout_s, "seconds")
            ->check(CLI::Range(1, 7 * 24 * 3600))
            ->capture_default_str();
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] {
                Session session(common, "jobs", 1);
                return session.run([&] { return with_client(session, action, *options); });
            };
        });
        return sub;
    };
    add_filters(add("ls", "list jobs, the newest first", &list), options);
    add_id(add("show", "what a job is, did and cost", &show), options);
    add_id(add("watch", "tell what happens until it is over; fails when the job does", &watch), options);
    add_id(add("cancel", "end it wherever it runs", &cancel), options);
    auto* fetched = add("get", "wait for its end and save the outputs", &get);
    add_id(fetched, options);
    add_output(fetched, options);
    add_submission(add("submit", "send a job", &submit), options);
}

}  // namespace framegrid::app
