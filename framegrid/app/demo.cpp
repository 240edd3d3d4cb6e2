// `framegrid demo`: a local network does real work, loses an orchestrator in the middle, and shows what came
// out.
#include <framegrid/app/commands.hpp>

#include <csignal>
#include <cstdio>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/ai_file_job.hpp>
#include <framegrid/app/demo_checks.hpp>
#include <framegrid/app/demo_costs.hpp>
#include <framegrid/app/demo_generate.hpp>
#include <framegrid/app/payments.hpp>
#include <framegrid/app/transcode_job.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/make_clip.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

constexpr double kPsnrMinDb = 20;  // below this something is broken, whatever the content
constexpr int kUpscaledSegments = 2;
// Of rounds: tickets are redeemed some seconds after they were won, while the demo still runs.
constexpr std::int64_t kRoundMs = 60'000;
constexpr Duration kSettleTimeMax = std::chrono::seconds(30);

struct DemoOptions {
    std::string input;
    std::string output = "demo-output";
    std::string preset = "veryfast";
    std::string ledger = kNoLedger;
};

media::VideoProfile rung(const char* name, int width, int height, std::int64_t bitrate_bps) {
    media::VideoProfile profile;
    profile.name = name;
    profile.width = width;
    profile.height = height;
    profile.bitrate_bps = bitrate_bps;
    profile.h264_profile = media::H264Profile::kHigh;
    profile.gop_ms = 2'000;
    return profile;
}

// Everything the demo found out, for the table and the exit status.
struct Findings {
    TranscodeReport transcode;
    std::vector<RenditionCheck> renditions;
    AiFileReport upscale;
    UpscaleCheck upscale_check;
    GeneratedVideo generated;
    std::string killed;
    std::int64_t gateway_retries = 0;
    DemoCosts costs;
    std::vector<DemoCheck> checks;

    void check(std::string what, bool passed, std::string detail) {
        checks.push_back({std::move(what), passed, std::move(detail)});
    }
    bool passed() const {
        return std::all_of(checks.begin(), checks.end(), [](const DemoCheck& check) { return check.passed; });
    }
};

// The gateway's /status as JSON, or null.
Task<boost::json::value> gateway_status(Session& session, std::string url) {
    http::Request request;
    auto parsed = http::parse_url(url + "/status");
    if (!parsed) {
        co_return nullptr;
    }
    request.url = std::move(*parsed);
    const Deadline deadline = Deadline::after(session.clock, std::chrono::seconds(5));
    auto fetched = co_await session.client.fetch(std::move(request), 16u << 20, deadline);
    boost::system::error_code bad;
    auto value = fetched ? boost::json::parse(fetched->body.text(), bad) : boost::json::value();
    co_return bad ? boost::json::value() : value;
}

// Waits for the signal that enough is done, then kills the busiest orchestrator without warning.
Task<Result<bool>> break_something(
    Session& session, LocalNetwork& network, OneShot enough, std::string& killed
) {
    co_await enough.wait();
    const auto status = co_await gateway_status(session, network.gateway_url());
    std::string busiest;
    std::int64_t most = -1;
    const auto* nodes = status.is_object() ? status.as_object().if_contains("orchestrators") : nullptr;
    if (nodes != nullptr && nodes->is_array()) {
        for (const auto& node : nodes->as_array()) {
            const auto in_flight = node.at("in_flight").to_number<std::int64_t>();
            if (in_flight > most) {
                most = in_flight;
                busiest = std::string(node.at("uri").as_string());
            }
        }
    }
    for (const auto& child : network.children()) {
        if (child.uri == busiest && child.name.starts_with("orchestrator") &&
            network.signal_child(child.name, SIGKILL)) {
            killed = child.name;
            std::fprintf(
                stderr, "\ndemo: killed %s (pid %d), which had %lld segments in work\n", child.name.c_str(),
                child.pid, static_cast<long long>(most)
            );
        }
    }
    co_return true;
}

Task<Result<bool>> run_transcode(
    Session& session, LocalNetwork& network, TranscodeJobOptions job, std::int64_t duration_ms,
    Findings& findings
) {
    GatewayClient gateway(session, network.gateway_url());
    const OneShot enough;
    TaskGroup breaker(session.loop.executor(), 1, session.log);
    struct Ignore {
        static Task<void> result(Task<Result<bool>> task) { (void)co_await std::move(task); }
    };
    breaker.spawn(Ignore::result(break_something(session, network, enough, findings.killed)));
    host::ProgressBar bar("transcode");
    const auto third =
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, duration_ms / job.segment_ms / 3));
    struct Body {
        static Task<Result<TranscodeReport>> run(
            Session& session, GatewayClient& gateway, TranscodeJobOptions job, host::ProgressBar& bar,
            OneShot enough, std::uint64_t third
        ) {
            co_return co_await transcode_file(
                session, gateway, std::move(job),
                [&bar](double done, const std::string& detail) { bar.update(done, detail); },
                [enough, third](std::uint64_t done) {
                    if (done >= third) {
                        enough.fire();
                    }
                }
            );
        }
    };
    auto report = co_await with_group<TranscodeReport>(
        breaker, Body::run(session, gateway, std::move(job), bar, enough, third)
    );
    if (!report) {
        co_return fail(std::move(report.error()));
    }
    bar.finish(fmt::format("{:.2f}x real time", report->speed()));
    findings.transcode = std::move(*report);
    const auto status = co_await gateway_status(session, network.gateway_url());
    if (status.is_object() && status.as_object().contains("jobs")) {
        findings.gateway_retries = status.at("jobs").at("retries").to_number<std::int64_t>();
    }
    co_return true;
}

// The first segments of the smallest rendition as one file, which is then enlarged.
Result<void> write_small(const TranscodeJobOptions& job, const host::Path& path) {
    int seq = 0;
    FG_TRY(written, media_ffmpeg::write_mp4(path.string(), [&]() -> Result<std::optional<Blob>> {
               const auto piece = job.output_dir / job.profiles.back().name / fmt::format("{}.ts", seq++);
               if (seq > kUpscaledSegments || !std::filesystem::exists(piece)) {
                   return std::optional<Blob>();
               }
               FG_TRY(bytes, host::read_file(piece, media::kSegmentBytesMax));
               return std::optional<Blob>(Blob(std::move(bytes)));
           }));
    (void)written;
    return {};
}

Task<Result<bool>> run_upscale(
    Session& session, LocalNetwork& network, const host::Path output, Findings& findings
) {
    GatewayClient gateway(session, network.gateway_url());
    AiFileJobOptions job;
    job.input = output / "small.mp4";
    job.output = output / "upscaled.mp4";
    job.pipeline = "upscale";
    job.parameters = {{"model_id", "framegrid/sr-2x"}};
    host::ProgressBar bar("upscale  ");
    auto report =
        co_await run_ai_file(session, gateway, std::move(job), [&bar](double done, const std::string& text) {
            bar.update(done, text);
        });
    if (!report) {
        co_return fail(std::move(report.error()));
    }
    bar.finish(host::format_seconds(report->wall_seconds));
    findings.upscale = std::move(*report);
    co_return true;
}

Result<void> judge(const TranscodeJobOptions& job, const host::Path& output, Findings& findings) {
    std::int64_t source_pictures = 0;
    FG_TRY(renditions, check_renditions(job, findings.transcode, source_pictures));
    findings.renditions = std::move(renditions);
    for (const auto& check : findings.renditions) {
        findings.check(
            "no picture lost in " + check.name, check.pictures == source_pictures,
            fmt::format("{} of {} pictures in {} segments", check.pictures, source_pictures, check.segments)
        );
        findings.check(
            check.name + " looks like the source", check.psnr_db >= kPsnrMinDb,
            fmt::format("PSNR {:.1f} dB, SSIM {:.3f}", check.psnr_db, check.ssim)
        );
    }
    findings.check("an orchestrator was killed", !findings.killed.empty(), findings.killed);
    FG_TRY(
        upscaled,
        check_upscale(job.input, output / "small.mp4", output / "upscaled.mp4", output / "before-after.png")
    );
    findings.upscale_check = upscaled;
    FG_TRY(small, host::read_file(output / "small.mp4", std::size_t{1} << 30));
    FG_TRY(info, media_ffmpeg::probe(Blob(std::move(small))));
    const auto size = info.upright_size();
    findings.check(
        "upscaled to twice the size",
        upscaled.size == media::Size{size.width * 2, size.height * 2} && upscaled.pictures == info.frames,
        fmt::format(
            "{}x{} to {}x{}, {} of {} pictures", size.width, size.height, upscaled.size.width,
            upscaled.size.height, upscaled.pictures, info.frames
        )
    );
    findings.check(
        "upscaled looks like the source", upscaled.psnr_db >= kPsnrMinDb,
        fmt::format("PSNR {:.2f} dB, bicubic {:.2f} dB", upscaled.psnr_db, upscaled.psnr_bicubic_db)
    );
    return {};
}

// The cost of transcoding, divided among the renditions by their pixels.
std::vector<std::int64_t> shares_of(const Findings& findings) {
    std::vector<double> pixels;
    double all = 0;
    for (std::size_t i = 0; i < findings.renditions.size(); ++i) {
        const auto& size = findings.transcode.renditions[i].size;
        pixels.push_back(
            static_cast<double>(size.width) * size.height *
            static_cast<double>(findings.renditions[i].pictures)
        );
        all += pixels.back();
    }
    std::vector<std::int64_t> out;
    for (const double part : pixels) {
        out.push_back(static_cast<std::int64_t>(
            all > 0 ? static_cast<double>(findings.costs.transcode_wei) * part / all : 0
        ));
    }
    return out;
}

void print_table(const Findings& findings, const host::Path& output) {
    const host::Colours colours{host::has_colours(1)};
    const auto& transcode = findings.transcode;
    const auto cost = [&](std::int64_t wei) {
        return findings.costs.paid ? fmt::format(" {:>14}", wei) : std::string();
    };
    std::printf(
        "\n%-12s %8s %9s %9s %7s %10s%s\n", "rendition", "segments", "pictures", "PSNR dB", "SSIM", "bytes",
        findings.costs.paid ? "       cost wei" : ""
    );
    const auto shares = shares_of(findings);
    for (std::size_t i = 0; i < findings.renditions.size(); ++i) {
        const auto& row = findings.renditions[i];
        std::printf(
            "%-12s %8llu %9lld %9.2f %7.4f %10s%s\n", row.name.c_str(),
            static_cast<unsigned long long>(row.segments), static_cast<long long>(row.pictures), row.psnr_db,
            row.ssim, host::format_bytes(transcode.renditions[i].bytes).c_str(), cost(shares[i]).c_str()
        );
    }
    std::printf(
        "%-12s %8llu %9lld %9.2f %7s %10s%s\n", "upscaled 2x",
        static_cast<unsigned long long>(findings.upscale.segments),
        static_cast<long long>(findings.upscale_check.pictures), findings.upscale_check.psnr_db, "",
        host::format_bytes(findings.upscale.bytes).c_str(), cost(findings.costs.upscale_wei).c_str()
    );
    std::printf(
        "%-12s %8s %9lld %9s %7s %10s%s\n", "generated", "",
        static_cast<long long>(findings.generated.pictures_out), "", "",
        host::format_bytes(findings.generated.bytes).c_str(), cost(findings.costs.generate_wei).c_str()
    );
    if (findings.costs.paid) {
        print_balances(findings.costs);
    }
    std::printf(
        "\ntranscode   %.1f s of media in %.1f s: %.2fx real time, %lld segments retried after the kill\n",
        transcode.media_seconds, transcode.wall_seconds, transcode.speed(),
        static_cast<long long>(findings.gateway_retries)
    );
    std::printf(
        "upscale     %.1f s of media in %.1f s\n", findings.upscale.media_seconds,
        findings.upscale.wall_seconds
    );
    std::printf(
        "generate    \"%s\", enlarged and made smoother in %.1f s\n\n", findings.generated.caption.c_str(),
        findings.generated.seconds
    );
    for (const auto& check : findings.checks) {
        std::printf(
            "  %s  %-32s %s\n", check.passed ? colours.green("ok  ").c_str() : colours.red("FAIL").c_str(),
            check.what.c_str(), check.detail.c_str()
        );
    }
    std::printf(
        "\n  %s   plays in any HLS player\n  %s\n  %s\n  %s\n  %s\n", (output / "hls/master.m3u8").c_str(),
        (output / "upscaled.mp4").c_str(), (output / "before-after.png").c_str(),
        (output / "generated.mp4").c_str(), (output / "generated.png").c_str()
    );
}

void print_json(const Findings& findings) {
    boost::json::array checks;
    for (const auto& check : findings.checks) {
        checks.push_back(
            boost::json::object{{"what", check.what}, {"passed", check.passed}, {"detail", check.detail}}
        );
    }
    const boost::json::object body{
        {"passed", findings.passed()},
        {"segments", findings.transcode.segments},
        {"retries", findings.gateway_retries},
        {"speed", findings.transcode.speed()},
        {"killed", findings.killed},
        {"upscale_psnr_db", findings.upscale_check.psnr_db},
        {"bicubic_psnr_db", findings.upscale_check.psnr_bicubic_db},
        {"checks", std::move(checks)},
        {"costs", findings.costs.paid ? boost::json::value(costs_json(findings.costs)) : boost::json::value()}
    };
    std::printf("%s\n", boost::json::serialize(body).c_str());
}

Task<Result<int>> play(Session& session, LocalNetwork& network, DemoOptions options, Findings& findings) {
    const host::Path output = options.output;
    TranscodeJobOptions job;
    job.input = options.input;
    job.output_dir = output / "hls";
    job.profiles = {
        rung("720p", 1280, 720, 3'000'000), rung("480p", 854, 480, 1'500'000), rung("240p", 426, 240, 500'000)
    };
    auto segmenter = media_ffmpeg::Segmenter::open(job.input.string(), {.any_codec = true});
    if (!segmenter) {
        co_return fail(std::move(segmenter.error()));
    }
    const std::int64_t duration_ms = (*segmenter)->info().duration_ms;
    auto transcoded = co_await run_transcode(session, network, job, duration_ms, findings);
    if (!transcoded) {
        co_return fail(std::move(transcoded.error()));
    }
    auto& costs = findings.costs;
    costs.transcode_wei = co_await fees_so_far(session, network.gateway_url());
    auto small = co_await offload(session.pool, [&] { return write_small(job, output / "small.mp4"); });
    if (!small) {
        co_return fail(std::move(small.error()));
    }
    auto upscaled = co_await run_upscale(session, network, output, findings);
    if (!upscaled) {
        co_return fail(std::move(upscaled.error()));
    }
    const std::int64_t upscaled_wei = co_await fees_so_far(session, network.gateway_url());
    costs.upscale_wei = upscaled_wei - costs.transcode_wei;
    GatewayClient gateway(session, network.gateway_url());
    auto generated = co_await generate_video(session, gateway, output);
    if (!generated) {
        co_return fail(std::move(generated.error()));
    }
    findings.generated = std::move(*generated);
    if (costs.paid) {
        costs.generate_wei = co_await fees_so_far(session, network.gateway_url()) - upscaled_wei;
        const Deadline settled = Deadline::after(session.clock, kSettleTimeMax);
        costs.after = co_await settled_balances(session, network, settled);
    }
    auto judged = co_await offload(session.pool, [&] { return judge(job, output, findings); });
    if (!judged) {
        co_return fail(std::move(judged.error()));
    }
    for (auto& check : findings.generated.checks) {
        findings.checks.push_back(check);
    }
    if (session.common.json) {
        print_json(findings);
    } else {
        print_table(findings, output);
    }
    co_return findings.passed() ? kExitOk : kExitFailed;
}

Task<Result<int>> demo(Session& session, DemoOptions options) {
    const host::Path output = options.output;
    if (auto made = host::make_dirs(output / "logs"); !made) {
        co_return fail(std::move(made.error()));
    }
    if (options.input.empty()) {
        options.input = (output / "source.mp4").string();
        std::fprintf(stderr, "demo: making a 20 s clip\n");
        auto clip =
            co_await offload(session.pool, [&] { return media_ffmpeg::make_clip(options.input, {}); });
        if (!clip) {
            co_return fail(std::move(clip.error()));
        }
    }
    LocalNetworkSettings settings;
    settings.orchestrators = 2;
    settings.workers = 2;
    settings.restart = false;
    settings.log_dir = output / "logs";
    settings.worker_args = {"--x264-preset", options.preset};
    settings.ledger = options.ledger;
    settings.ledger_round_ms = kRoundMs;
    auto network = co_await LocalNetwork::start(
        session.loop.executor(), session.clock, session.random, session.log, std::move(settings)
    );
    if (!network) {
        co_return fail(std::move(network.error()));
    }
    std::fprintf(
        stderr, "demo: 1 gateway, 2 orchestrators and 2 workers are up at %s\n",
        (*network)->gateway_url().c_str()
    );
    Findings findings;
    findings.costs.paid = options.ledger != kNoLedger;
    auto balances = co_await (*network)->balances();
    findings.costs.before = balances ? std::move(*balances) : std::vector<LocalBalance>();
    co_return co_await with_cleanup<int>(play(session, **network, options, findings), (*network)->stop());
}

}  // namespace

void add_demo_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<DemoOptions>();
    auto* command = app.add_subcommand(
        "demo", "Transcode, upscale and generate on a local network that loses an orchestrator"
    );
    command->add_option("FILE", options->input, "a video; without it a 20 s clip is made");
    command->add_option("-o,--output", options->output, "where the results go")->capture_default_str();
    command->add_option("--x264-preset", options->preset, "effort of the encoders")->capture_default_str();
    command->add_option("--ledger", options->ledger, "sqlite: jobs are paid with play money; none")
        ->capture_default_str();
    command->footer(
        "Examples:\n  framegrid demo\n  framegrid demo --ledger sqlite\n  framegrid demo holiday.mp4 -o "
        "/tmp/demo"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "demo");
            return session.run([&] { return demo(session, *options); });
        };
    });
}

}  // namespace framegrid::app
