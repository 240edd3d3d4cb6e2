// `framegrid upscale`: a picture or a video in, the same at 2 or 4 times the size out.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/ai_file_job.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

struct UpscaleOptions {
    AiFileJobOptions job;
    std::string input;
    std::string output;
    std::string gateway;
    std::string model_id;
    int scale = 2;
};

Task<Result<int>> upscale_with(Session& session, std::string url, AiFileJobOptions options) {
    GatewayClient gateway(session, std::move(url));
    host::ProgressBar bar("upscale");
    const bool quiet = session.common.json;
    const std::string output = options.output.string();
    auto report = co_await run_ai_file(
        session, gateway, std::move(options),
        [&](double done, const std::string& detail) {
            if (!quiet) {
                bar.update(done, detail);
            }
        }
    );
    if (!report) {
        co_return fail(std::move(report.error()));
    }
    if (quiet) {
        const boost::json::object body{
            {"output", output},
            {"video", report->video},
            {"segments", report->segments},
            {"retries", report->client_retries},
            {"media_seconds", report->media_seconds},
            {"wall_seconds", report->wall_seconds},
            {"bytes", report->bytes}
        };
        std::printf("%s\n", boost::json::serialize(body).c_str());
        co_return kExitOk;
    }
    bar.finish(host::format_seconds(report->wall_seconds));
    std::printf(
        "%s (%s) in %s\n", output.c_str(), host::format_bytes(report->bytes).c_str(),
        host::format_seconds(report->wall_seconds).c_str()
    );
    co_return kExitOk;
}

Task<Result<int>> upscale(Session& session, UpscaleOptions options) {
    options.job.input = options.input;
    options.job.output = options.output;
    if (options.model_id.empty()) {
        options.model_id = fmt::format("framegrid/sr-{}x", options.scale);
    }
    options.job.pipeline = "upscale";
    options.job.parameters = {{"model_id", options.model_id}};
    LocalNetworkSettings network;
    auto access = co_await reach_gateway(session, options.gateway, std::move(network));
    if (!access) {
        co_return fail(std::move(access.error()));
    }
    co_return co_await with_cleanup<int>(
        upscale_with(session, access->url, std::move(options.job)), leave_gateway(*access)
    );
}

}  // namespace

void add_upscale_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<UpscaleOptions>();
    auto* command = app.add_subcommand("upscale", "Enlarge a picture or a video by super-resolution");
    command->add_option("IN", options->input, "a picture or video FFmpeg can read")->required();
    command->add_option("-o,--output", options->output, "PNG for pictures, MP4 for videos")->required();
    command->add_option("--scale", options->scale, "2 or 4")
        ->check(CLI::IsMember({2, 4}))
        ->capture_default_str();
    command->add_option("--model", options->model_id, "model id instead of the one that --scale names");
    command
        ->add_option(
            "--gateway", options->gateway,
            "the gateway's URL; without it one on this machine, or a "
            "private network made for this call"
        )
        ->envname("FRAMEGRID_GATEWAY");
    command
        ->add_option(
            "--parallel", options->job.parallel, "video segments in flight; 0: what the network offers"
        )
        ->check(CLI::Range(0, 64))
        ->capture_default_str();
    command->footer(
        "Examples:\n"
        "  framegrid upscale photo.jpg -o photo-2x.png\n"
        "  framegrid upscale clip.mp4 -o clip-4x.mp4 --scale 4"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "upscale");
            return session.run([&] { return upscale(session, *options); });
        };
    });
}

}  // namespace framegrid::app
