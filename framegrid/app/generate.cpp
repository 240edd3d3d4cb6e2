// `framegrid text-to-image`, `text-to-video`, `image-to-video` ...: one command for each AI pipeline, with
// the options of its table.
#include <framegrid/app/commands.hpp>

#include <cstdio>
#include <map>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/ai_file_job.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/media/sniff.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kFileBytesMax = std::size_t{300} << 20;
constexpr Duration kTimeMax = std::chrono::minutes(15);

struct GenerateOptions {
    const job::PipelineSpec* spec = nullptr;
    std::map<std::string, std::string> values;  // of the pipeline's parameters
    std::string input;
    std::string mask;
    std::string output;
    std::string gateway;
    std::string priority;
    std::string preview;  // a file that shows the newest preview; empty: none
    int parallel = 0;
};

// "num_inference_steps" is called --steps, "guidance_scale" --guidance: what people type.
std::string option_name(std::string_view parameter) {
    static const std::map<std::string_view, std::string_view> kShort{
        {"model_id", "model"},       {"num_inference_steps", "steps"}, {"num_images_per_prompt", "images"},
        {"num_frames", "frames"},    {"guidance_scale", "guidance"},   {"negative_prompt", "negative"},
        {"output_format", "format"},
    };
    const auto at = kShort.find(parameter);
    std::string name(at == kShort.end() ? parameter : at->second);
    std::ranges::replace(name, '_', '-');
    return "--" + name;
}

// Not for people: they follow from other options, or nothing depends on them.
bool is_internal(std::string_view parameter) {
    return parameter == job::kMaskParameter || parameter == "open_end" || parameter == "safety_check" ||
           parameter == "loras";
}

bool works_on_videos(const job::PipelineSpec& spec) {
    return std::ranges::find(spec.files, job::FileKind::kVideo, &job::FileSpec::kind) != spec.files.end();
}

std::vector<std::pair<std::string, std::string>> given(const GenerateOptions& options) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [name, value] : options.values) {
        if (!value.empty()) {
            out.emplace_back(name, value);
        }
    }
    return out;
}

// The format follows from the file's name where nothing else is said.
void choose_format(GenerateOptions& options) {
    auto& format = options.values["output_format"];
    const auto ends = [&](std::string_view suffix) { return options.output.ends_with(suffix); };
    if (!format.empty() || options.spec->capability == job::Capability::kFrameInterpolation) {
        return;
    }
    if (options.spec->gives_video) {
        format = ends(".webm") ? "webm" : "mp4";
    } else {
        format = ends(".jpg") || ends(".jpeg") ? "jpeg" : ends(".webp") ? "webp" : "png";
    }
}

// out.png, or out-1.png, out-2.png ... for several.
host::Path output_path(const host::Path& output, std::size_t index, std::size_t count) {
    if (count == 1) {
        return output;
    }
    host::Path numbered = output;
    numbered.replace_filename(
        fmt::format("{}-{}{}", output.stem().string(), index + 1, output.extension().string())
    );
    return numbered;
}

Result<Blob> read_blob(const std::string& path) {
    FG_TRY(bytes, host::read_file(path, kFileBytesMax));
    return Blob(std::move(bytes));
}

Result<AiCall> make_call(const GenerateOptions& options) {
    AiCall call;
    call.pipeline = options.spec->name;
    call.parameters = given(options);
    call.priority = options.priority;
    if (!options.spec->files.empty()) {
        FG_TRY(file, read_blob(options.input));
        call.file = std::move(file);
        call.file_field = options.spec->files.front().name;
    }
    if (options.spec->wants_mask) {
        FG_TRY(mask, read_blob(options.mask));
        call.mask = std::move(mask);
    }
    return call;
}

int report(Session& session, const AiResult& result, const std::vector<std::string>& paths, double seconds) {
    if (session.common.json) {
        boost::json::array files;
        for (const auto& path : paths) {
            files.emplace_back(path);
        }
        boost::json::object body{{"files", std::move(files)}, {"wall_seconds", seconds}};
        boost::system::error_code error;
        if (auto run = boost::json::parse(result.run.empty() ? "null" : result.run, error); !error) {
            body["run"] = std::move(run);
        }
        std::printf("%s\n", boost::json::serialize(body).c_str());
        return kExitOk;
    }
    for (std::size_t i = 0; i < paths.size(); ++i) {
        std::printf("%s (%s)\n", paths[i].c_str(), host::format_bytes(result.files[i].bytes.size()).c_str());
    }
    std::printf("done in %s\n", host::format_seconds(seconds).c_str());
    return kExitOk;
}

// A preview that cannot be written is only a preview.
void show(
    Session& session, const GenerateOptions& options, const api::Progress& progress, host::ProgressBar& bar
) {
    if (!session.common.json) {
        bar.update(
            static_cast<double>(progress.done) / progress.total,
            fmt::format("step {} of {}", progress.done, progress.total)
        );
    }
    if (!options.preview.empty() && !progress.preview.empty()) {
        const auto wrote = host::write_file_atomic(options.preview, progress.preview.view());
        if (!wrote) {
            session.log.warn("client.preview_lost", {{"error", wrote.error().message}});
        }
    }
}

Task<Result<int>> generate_once(Session& session, std::string url, GenerateOptions options) {
    auto call = make_call(options);
    if (!call) {
        co_return fail(std::move(call.error()));
    }
    GatewayClient gateway(session, std::move(url));
    const TimePoint began = session.clock.now();
    host::ProgressBar bar(std::string(options.spec->name));
    if (!session.common.json || !options.preview.empty()) {
        call->preview_steps = options.preview.empty() ? 0 : 1;
        call->progress = [&](const api::Progress& progress) { show(session, options, progress, bar); };
    }
    auto result = co_await gateway.run_ai(std::move(*call), Deadline::after(session.clock, kTimeMax));
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    if (!session.common.json) {
        bar.finish("");
    }
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < result->files.size(); ++i) {
        const host::Path path = output_path(options.output, i, result->files.size());
        auto wrote = host::write_file_atomic(path, result->files[i].bytes.view());
        if (!wrote) {
            co_return fail(std::move(wrote.error()));
        }
        paths.push_back(path.string());
    }
    const double seconds = std::chrono::duration<double>(session.clock.now() - began).count();
    co_return report(session, *result, paths, seconds);
}

Task<Result<int>> generate_pieces(Session& session, std::string url, GenerateOptions options) {
    GatewayClient gateway(session, std::move(url));
    AiFileJobOptions job;
    job.input = options.input;
    job.output = options.output;
    job.pipeline = options.spec->name;
    job.parameters = given(options);
    job.between_pictures = true;
    job.parallel = options.parallel;
    host::ProgressBar bar(std::string(options.spec->name));
    const bool quiet = session.common.json;
    auto done =
        co_await run_ai_file(session, gateway, std::move(job), [&](double part, const std::string& detail) {
            if (!quiet) {
                bar.update(part, detail);
            }
        });
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    if (quiet) {
        const boost::json::object body{
            {"files", boost::json::array{options.output}},
            {"segments", done->segments},
            {"media_seconds", done->media_seconds},
            {"wall_seconds", done->wall_seconds},
            {"bytes", done->bytes}
        };
        std::printf("%s\n", boost::json::serialize(body).c_str());
    } else {
        bar.finish(host::format_seconds(done->wall_seconds));
        std::printf(
            "%s (%s) in %s\n", options.output.c_str(), host::format_bytes(done->bytes).c_str(),
            host::format_seconds(done->wall_seconds).c_str()
        );
    }
    co_return kExitOk;
}

// Mistakes are found before anything is started.
Result<void> check_options(const GenerateOptions& options) {
    auto fields = given(options);
    if (options.spec->wants_mask) {
        fields.emplace_back(job::kMaskParameter, "given");
    }
    FG_TRY(parameters, job::Parameters::from_fields(*options.spec, fields));
    (void)parameters;
    for (const auto& path : {options.input, options.mask}) {
        if (!path.empty()) {
            FG_TRY(head, host::read_head(path, 16));
            (void)head;
        }
    }
    return {};
}

Task<Result<int>> generate(Session& session, GenerateOptions options) {
    choose_format(options);
    auto checked = check_options(options);
    if (!checked) {
        co_return fail(std::move(checked.error()));
    }
    LocalNetworkSettings network;
    auto access = co_await reach_gateway(session, options.gateway, std::move(network));
    if (!access) {
        co_return fail(std::move(access.error()));
    }
    auto work = works_on_videos(*options.spec) ? generate_pieces(session, access->url, std::move(options))
                                               : generate_once(session, access->url, std::move(options));
    co_return co_await with_cleanup<int>(std::move(work), leave_gateway(*access));
}

std::string example(const job::PipelineSpec& spec) {
    using enum job::Capability;
    switch (spec.capability) {
        case kTextToImage:
            return "framegrid text-to-image \"a red circle on the left over blue\" -o red.png --seed 7";
        case kImageToImage:
            return "framegrid image-to-image \"a green star in the middle\" --image in.png -o out.png "
                   "--strength 0.7";
        case kInpaint:
            return "framegrid inpaint \"a yellow ring\" --image in.png --mask mask.png -o out.png";
        case kTextToVideo:
            return "framegrid text-to-video \"a red ball rolls left over blue\" -o ball.mp4";
        case kImageToVideo:
            return "framegrid image-to-video --image ball.png -o ball.mp4";
        default:
            return "framegrid frame-interpolation --video in.mp4 -o smooth.mp4 --multiplier 2";
    }
}

// What --help says of a parameter's values: "INT 32..4096".
std::string type_text(const job::ParameterSpec& parameter) {
    const auto range = [&](std::string_view type, bool open) {
        return open ? std::string(type)
                    : fmt::format("{} {:.0f}..{:.0f}", type, parameter.min, parameter.max);
    };
    switch (parameter.type) {
        case job::ParameterType::kInteger:
            return range("INT", parameter.max > 1e9);
        case job::ParameterType::kNumber:
            return range("NUMBER", false);
        case job::ParameterType::kBoolean:
            return "true|false";
        case job::ParameterType::kText:
            break;
    }
    return parameter.choices.empty() ? "TEXT" : std::string(parameter.choices);
}

void add_options(CLI::App& command, const std::shared_ptr<GenerateOptions>& options) {
    const job::PipelineSpec& spec = *options->spec;
    for (const auto& parameter : spec.parameters) {
        if (is_internal(parameter.name)) {
            continue;
        }
        auto& value = options->values[std::string(parameter.name)];
        const bool positional = parameter.name == "prompt" && parameter.required;
        auto* option = command.add_option(
            positional ? "PROMPT" : option_name(parameter.name), value, std::string(parameter.description)
        );
        option->type_name(type_text(parameter));
        if (positional) {
            option->required();
        }
    }
    if (!spec.files.empty()) {
        const std::string name(spec.files.front().name);
        command.add_option("--" + name, options->input, "the " + name + " to start from")->required();
    }
    if (spec.wants_mask) {
        command.add_option("--mask", options->mask, "a picture, white where to paint")->required();
    }
    command
        .add_option("-o,--output", options->output, spec.gives_video ? "MP4 or WebM" : "PNG, JPEG or WebP")
        ->required();
    command
        .add_option(
            "--gateway", options->gateway,
            "the gateway's URL; without it one on this machine, or a private network made for this call"
        )
        ->envname("FRAMEGRID_GATEWAY");
    if (!works_on_videos(spec)) {
        command.add_option("--priority", options->priority, "share of the device beside other jobs")
            ->check(CLI::IsMember({"low", "normal", "high"}));
        command.add_option(
            "--preview", options->preview, "a JPEG that shows after each step what the result will look like"
        );
    }
    if (works_on_videos(spec)) {
        command.add_option("--parallel", options->parallel, "pieces in flight; 0: what the network offers")
            ->check(CLI::Range(0, 64));
    }
    command.footer("Example:\n  " + example(spec));
}

}  // namespace

void add_generate_commands(CLI::App& app, const CommonOptions& common, Run& run) {
    for (const auto& spec : job::pipelines()) {
        if (spec.capability == job::Capability::kUpscale) {
            continue;  // its own command knows --scale
        }
        auto options = std::make_shared<GenerateOptions>();
        options->spec = &spec;
        auto* command = app.add_subcommand(std::string(spec.name), std::string(spec.title));
        add_options(*command, options);
        command->callback([options, &common, &run] {
            run = [options, &common] {
                Session session(common, std::string(options->spec->name));
                return session.run([&] { return generate(session, *options); });
            };
        });
    }
}

}  // namespace framegrid::app
