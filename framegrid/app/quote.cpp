// `framegrid quote`: the price of a job or a workflow, before it is sent.
#include <framegrid/app/quote.hpp>

#include <iostream>
#include <iterator>

#include <framegrid/app/commands.hpp>
#include <framegrid/app/json_lookup.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kDocumentBytesMax = std::size_t{4} << 20;

Task<Result<int>> quote(Session& session, QuoteOptions options) {
    FG_CO_TRY(document, read_job_document(options.file));
    const bool names_pipeline = document && document->contains("pipeline");
    if (!names_pipeline && options.file == "-") {
        co_return fail(not_a_job());
    }
    // What names no pipeline is read as a workflow, whose reader says what is wrong.
    if (!names_pipeline) {
        co_return co_await quote_workflow(session, std::move(options));
    }
    auto access = co_await reach_gateway(session, options.gateway, {});
    if (!access) {
        co_return fail(std::move(access.error()));
    }
    co_return co_await with_cleanup<int>(
        quote_job(session, std::move(options), *std::move(document), access->url), leave_gateway(*access)
    );
}

}  // namespace

Result<std::optional<json::object>> read_job_document(const std::string& file) {
    std::string text;
    if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
        FG_TRY(bytes, host::read_file(file, kDocumentBytesMax));
        text = as_text(bytes);
    }
    boost::system::error_code error;
    auto value = json::parse(text, error);
    const bool job = !error && value.is_object();
    return job ? std::optional(std::move(value.get_object())) : std::nullopt;
}

Error not_a_job() {
    return make_error(
        Errc::kInvalidArgument, "a job is a JSON object: {\"pipeline\": \"text-to-image\", ...}", "FILE"
    );
}

void add_quote_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<QuoteOptions>();
    auto* command =
        app.add_subcommand("quote", "Say what a job or a workflow may cost at most, and buy nothing");
    command
        ->add_option(
            "FILE", options->file, "a job as JSON, a workflow as YAML or JSON; -: a job, standard input"
        )
        ->required();
    command->add_option(
        "-i,--input", options->inputs, "name=value: a path, an URL, a stored file's id or a workflow's value"
    );
    command
        ->add_option(
            "--gateway", options->gateway,
            "the gateway's URL; without it one on this machine, or a private network made for this call"
        )
        ->envname("FRAMEGRID_GATEWAY");
    command->add_option("--timeout", options->timeout_s, "seconds")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    command->footer(
        "Examples:\n"
        "  framegrid quote examples/workflows/ladder.yaml -i video=film.mp4\n"
        "  framegrid quote upscale.json -i image=photo.png --gateway http://localhost:9935\n"
        "  echo '{\"pipeline\":\"text-to-image\",\"parameters\":{\"prompt\":\"a red ball\"}}' |\n"
        "    framegrid --json quote -"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "quote", 1);
            return session.run([&] { return quote(session, *options); });
        };
    });
}

}  // namespace framegrid::app
