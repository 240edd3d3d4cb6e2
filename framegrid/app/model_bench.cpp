// `framegrid model bench`: how fast the models of this machine are, and how good, in one table.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <malloc.h>

#include <framegrid/app/model_commands.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/engine/caption_eval.hpp>
#include <framegrid/engine/no_transcoder.hpp>
#include <framegrid/engine/sr_eval.hpp>
#include <framegrid/engine/sr_pictures.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>

namespace framegrid::app {

namespace {

constexpr int kSide = 128;  // of input pictures, pixels

struct BenchOptions {
    std::string directories;
    std::vector<std::string> ids;
    std::string provider = "auto";
    std::string onnxruntime;
    bool tf32 = false;
    int threads = 0;
    int runs = 3;
    int captions = 40;
};

struct BenchRow {
    std::string model;
    std::string pipeline;
    std::string device;
    double cold_ms = 0;       // from nothing loaded to the first result
    double warm_ms = 0;       // the median of the runs after it
    double steps_per_s = 0;   // 0: the pipeline has no steps
    std::int64_t memory = 0;  // bytes that the process grew by
    std::string quality;
};

double ms_since(TimePoint began) {
    return std::chrono::duration<double, std::milli>(host::steady_now() - began).count();
}

// Resident bytes of this process.
std::int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::int64_t all = 0;
    std::int64_t resident = 0;
    file >> all >> resident;
    return resident * 4096;
}

// A job of the pipeline that every model of it can do.
Result<api::Work> typical_work(
    api::MediaCodec& codec, const std::string& pipeline, const std::string& model_id
) {
    boost::json::object parameters{{"seed", 1}};
    const auto* spec = job::find_pipeline(pipeline);
    if (spec == nullptr) {
        return fail(Errc::kUnsupported, "no such pipeline: " + pipeline);
    }
    for (const auto& parameter : spec->parameters) {
        if (parameter.name == "prompt") {
            parameters["prompt"] = "a red circle on the left over blue";
        }
    }
    api::Work work;
    if (!spec->files.empty()) {
        const auto picture = engine::make_sr_picture(0, 1, kSide, kSide);
        if (spec->files.front().kind == job::FileKind::kVideo) {
            const std::vector<api::RgbImage> frames{picture, engine::make_sr_picture(0, 2, kSide, kSide)};
            FG_TRY(video, codec.encode_video(frames, 10, api::VideoFormat::kMp4, api::StopFlag{false}));
            work.input = std::move(video.bytes);
        } else {
            FG_TRY(png, codec.encode_image(picture, api::ImageFormat::kPng, 100));
            work.input = std::move(png);
        }
    }
    work.kind = api::AiWork{pipeline, model_id, boost::json::serialize(parameters)};
    return work;
}

Result<std::string> quality_of(
    infer_onnx::ModelStore& store, engine::WorkRunner& runner, api::MediaCodec& codec,
    const engine::ModelManifest& manifest, const BenchOptions& options, const api::StopFlag& stop
) {
    if (manifest.serves("upscale") && 256 % std::max(1, manifest.image.scale) == 0) {
        FG_TRY(report, engine::evaluate_sr(store, {.side = 128, .seeds = 1, .model_id = manifest.id}, stop));
        const auto& row = report.rows.front();
        return fmt::format("{:.2f} dB, bicubic {:+.2f}", row.psnr_model, row.delta());
    }
    if (engine::has_caption_eval(manifest) && options.captions > 0) {
        const engine::CaptionEvalSettings settings{.model_id = manifest.id, .captions = options.captions};
        FG_TRY(report, engine::evaluate_captions(store, runner, codec, settings, stop));
        return fmt::format(
            "{} of {} captions right (colour {}, shape {}, place {})", report.all, report.captions,
            report.colour, report.shape, report.place
        );
    }
    return std::string();
}

// In this order: cold, then warm, then how good it is.
Result<BenchRow> measure(
    const engine::ModelManifest& manifest, const BenchOptions& options, const Logger& log
) {
    infer_onnx::ModelStoreSettings settings;
    const auto folders = model_directories(options.directories);
    settings.directories.assign(folders.begin(), folders.end());
    settings.onnx.threads = options.threads;
    settings.onnx.provider = options.provider;
    settings.onnx.library = options.onnxruntime;
    settings.onnx.tf32 = options.tf32;
    settings.onnx.log = log;
    engine::NoTranscoder transcoder;
    media_ffmpeg::FfmpegMediaCodec codec;
    const api::StopFlag stop{false};
    BenchRow row;
    row.model = manifest.id;
    row.pipeline = manifest.pipelines.front();
    FG_TRY(work, typical_work(codec, row.pipeline, manifest.id));
    ::malloc_trim(0);  // what the model before left behind is not this one's
    const std::int64_t before = resident_bytes();
    const TimePoint began = host::steady_now();
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    engine::WorkRunner runner(transcoder, codec, *store, &host::steady_now);
    FG_TRY(first, runner.run(work, {stop}));
    row.cold_ms = ms_since(began);
    std::vector<double> times;
    for (int i = 0; i < options.runs; ++i) {
        const TimePoint start = host::steady_now();
        FG_TRY(again, runner.run(work, {stop}));
        (void)again;
        times.push_back(ms_since(start));
    }
    std::ranges::sort(times);
    row.warm_ms = times.empty() ? row.cold_ms : times[times.size() / 2];
    row.steps_per_s = first.ai ? first.ai->steps * 1000.0 / row.warm_ms : 0;
    row.memory = std::max<std::int64_t>(0, resident_bytes() - before);
    row.device = store->device();
    FG_TRY(quality, quality_of(*store, runner, codec, manifest, options, stop));
    row.quality = std::move(quality);
    return row;
}

void print_row(const BenchRow& row) {
    std::printf(
        "%-24s %-20s %-8s %9.0f %9.0f %8s %7lld  %s\n", row.model.c_str(), row.pipeline.c_str(),
        row.device.c_str(), row.cold_ms, row.warm_ms,
        row.steps_per_s > 0 ? fmt::format("{:.1f}", row.steps_per_s).c_str() : "-",
        static_cast<long long>(row.memory >> 20), row.quality.c_str()
    );
    std::fflush(stdout);
}

int bench(const CommonOptions& common, const BenchOptions& options) {
    infer_onnx::ModelStoreSettings settings;
    const auto folders = model_directories(options.directories);
    settings.directories.assign(folders.begin(), folders.end());
    auto store = infer_onnx::ModelStore::open(settings);
    if (!store) {
        print_error(common, store.error());
        return kExitFailed;
    }
    const Logger log = process_logger(common, "model");
    boost::json::array rows;
    int failed = 0;
    int measured = 0;
    if (!common.json) {
        std::printf(
            "%-24s %-20s %-8s %9s %9s %8s %7s  %s\n", "model", "pipeline", "device", "cold ms", "warm ms",
            "steps/s", "MB", "quality"
        );
    }
    for (const auto& manifest : (*store)->manifests()) {
        if (!options.ids.empty() && std::ranges::find(options.ids, manifest.id) == options.ids.end()) {
            continue;
        }
        ++measured;
        auto row = measure(manifest, options, log);
        if (!row) {
            ++failed;
            print_error(common, Error(std::move(row.error())).with_context(manifest.id));
        } else if (common.json) {
            rows.push_back(boost::json::object{
                {"model", row->model},
                {"pipeline", row->pipeline},
                {"device", row->device},
                {"cold_ms", row->cold_ms},
                {"warm_ms", row->warm_ms},
                {"steps_per_s", row->steps_per_s},
                {"memory_bytes", row->memory},
                {"quality", row->quality}
            });
        } else {
            print_row(*row);
        }
    }
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(rows).c_str());
    }
    if (measured == 0) {
        print_error(common, make_error(Errc::kNotFound, "no such model; framegrid model ls lists all", "ID"));
    }
    return failed == 0 && measured > 0 ? kExitOk : kExitFailed;
}

}  // namespace

void add_bench_command(CLI::App& model, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<BenchOptions>();
    auto* command = model.add_subcommand("bench", "speed, memory and quality, measured in this process");
    command->add_option("ID", options->ids, "these models; none: all");
    command->add_option("--threads", options->threads, "of inference; 0: one per processor")
        ->capture_default_str();
    command->add_option("--provider", options->provider, "what runs networks, as of framegrid worker")
        ->check(CLI::IsMember(infer_onnx::provider_names()))
        ->capture_default_str();
    command->add_flag("--tf32", options->tf32, "as of framegrid worker");
    command->add_option("--onnxruntime", options->onnxruntime, "another libonnxruntime.so")
        ->check(CLI::ExistingFile)
        ->envname("FRAMEGRID_ONNXRUNTIME");
    command->add_option("--runs", options->runs, "warm runs; the median counts")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_option("--captions", options->captions, "held-back captions to draw and judge; 0: none")
        ->check(CLI::Range(0, 10000))
        ->capture_default_str();
    command->add_option("--models", options->directories, "model directories, separated by commas")
        ->envname("FRAMEGRID_MODELS");
    command->footer("Example:\n  framegrid model bench framegrid/scenes --captions 200");
    command->callback([options, &common, &run] {
        run = [options, &common] { return bench(common, *options); };
    });
}

}  // namespace framegrid::app
