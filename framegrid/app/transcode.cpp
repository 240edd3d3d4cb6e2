// `framegrid transcode`: a file in, an HLS folder out.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/transcode_job.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

struct TranscodeOptions {
    TranscodeJobOptions job;
    std::string input;
    std::string output;
    std::string profiles = "P720p30fps16x9,P360p30fps16x9";
    std::string gateway;
    std::string preset = "medium";
    double segment_seconds = 2;
};

// A JSON file of profiles, or a comma list of preset names.
Result<std::vector<media::VideoProfile>> read_profiles(const std::string& text) {
    if (text.ends_with(".json") || text.find('/') != std::string::npos) {
        auto file = host::read_file(text, 1u << 20);
        if (!file) {
            return fail(std::move(file.error()).with_context("--profiles"));
        }
        auto profiles = media::parse_profiles(as_text(*file));
        if (!profiles) {
            return fail(std::move(profiles.error()).with_context(text));
        }
        return profiles;
    }
    return media::parse_presets(text);
}

void print_report(const CommonOptions& common, const TranscodeReport& report) {
    if (common.json) {
        boost::json::array renditions;
        for (const auto& rendition : report.renditions) {
            renditions.push_back(boost::json::object{
                {"name", rendition.name},
                {"width", rendition.size.width},
                {"height", rendition.size.height},
                {"fps", rendition.fps},
                {"bytes", rendition.bytes},
                {rendition.is_hls ? "playlist" : "file", rendition.playlist.string()}
            });
        }
        const boost::json::object body{
            {"segments", report.segments},
            {"retries", report.client_retries},
            {"media_seconds", report.media_seconds},
            {"wall_seconds", report.wall_seconds},
            {"speed", report.speed()},
            {"master_playlist", report.master_playlist.string()},
            {"renditions", std::move(renditions)}
        };
        std::printf("%s\n", boost::json::serialize(body).c_str());
        return;
    }
    for (const auto& rendition : report.renditions) {
        std::printf(
            "  %-24s %4dx%-4d  %6.2f fps  %10s  %s\n", rendition.name.c_str(), rendition.size.width,
            rendition.size.height, rendition.fps, host::format_bytes(rendition.bytes).c_str(),
            rendition.playlist.c_str()
        );
    }
    std::printf(
        "%llu segments, %.1f s of media in %.1f s (%.2fx real time)%s%s\n",
        static_cast<unsigned long long>(report.segments), report.media_seconds, report.wall_seconds,
        report.speed(), report.master_playlist.empty() ? "" : ": ", report.master_playlist.c_str()
    );
}

Task<Result<int>> transcode_with(Session& session, std::string url, TranscodeJobOptions options) {
    GatewayClient gateway(session, std::move(url));
    host::ProgressBar bar("transcode");
    const bool quiet = session.common.json;
    auto report = co_await transcode_file(
        session, gateway, std::move(options),
        [&](double done, const std::string& detail) {
            if (!quiet) {
                bar.update(done, detail);
            }
        },
        nullptr
    );
    if (!report) {
        co_return fail(std::move(report.error()));
    }
    if (!quiet) {
        bar.finish(fmt::format("{:.2f}x real time", report->speed()));
    }
    print_report(session.common, *report);
    co_return kExitOk;
}

Task<Result<int>> transcode(Session& session, TranscodeOptions options) {
    auto profiles = read_profiles(options.profiles);
    if (!profiles) {
        co_return fail(std::move(profiles.error()));
    }
    options.job.profiles = std::move(*profiles);
    options.job.input = options.input;
    options.job.output_dir = options.output;
    options.job.segment_ms = static_cast<std::int64_t>(options.segment_seconds * 1000);
    LocalNetworkSettings network;
    network.worker_args = {"--x264-preset", options.preset, "--ai-capacity", "0"};
    auto access = co_await reach_gateway(session, options.gateway, std::move(network));
    if (!access) {
        co_return fail(std::move(access.error()));
    }
    co_return co_await with_cleanup<int>(
        transcode_with(session, access->url, std::move(options.job)), leave_gateway(*access)
    );
}

}  // namespace

void add_transcode_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<TranscodeOptions>();
    auto* command = app.add_subcommand("transcode", "Transcode a file into HLS renditions");
    command->add_option("IN", options->input, "any file FFmpeg can read")->required();
    command->add_option("-o,--output", options->output, "folder for master.m3u8 and the renditions")
        ->required();
    command
        ->add_option(
            "--profiles", options->profiles, "a JSON file of profiles, or preset names separated by commas"
        )
        ->capture_default_str();
    command
        ->add_option(
            "--gateway", options->gateway,
            "the gateway's URL; without it one on this machine, or a "
            "private network made for this call"
        )
        ->envname("FRAMEGRID_GATEWAY");
    command->add_option("--parallel", options->job.parallel, "segments in flight; 0: what the network offers")
        ->check(CLI::Range(0, 256))
        ->capture_default_str();
    command->add_option("--segment", options->segment_seconds, "target segment length in seconds")
        ->check(CLI::Range(0.1, 60.0))
        ->capture_default_str();
    command->add_option("--x264-preset", options->preset, "encoder effort of a private network's worker")
        ->capture_default_str();
    std::string presets;
    for (const auto& name : media::preset_names()) {
        presets += (presets.empty() ? "" : ", ") + name;
    }
    command->footer(
        "Presets: " + presets +
        "\n\nExamples:\n"
        "  framegrid transcode talk.mp4 -o talk-hls\n"
        "  framegrid transcode talk.mkv -o out --profiles P720p30fps16x9,P360p30fps16x9 --json\n"
        "  framegrid transcode talk.mp4 -o out --profiles ladder.json --gateway http://127.0.0.1:9935"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "transcode");
            return session.run([&] { return transcode(session, *options); });
        };
    });
}

}  // namespace framegrid::app
