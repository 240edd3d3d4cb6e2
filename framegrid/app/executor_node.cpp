// `framegrid executor`: the child process of a worker that touches media and models, or of a gateway that
// looks into segments. Started by them only.
#include <framegrid/app/commands.hpp>

#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/app/media_operation.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/engine/work_runner.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/transcoder.hpp>
#include <framegrid/sandbox/executor.hpp>
#include <framegrid/sandbox/operations.hpp>
#include <framegrid/sandbox/probe.hpp>

namespace framegrid::app {

namespace {

struct ExecutorOptions {
    std::string preset = "medium";
    std::string hw = "none";
    std::vector<std::string> models;
    std::string memory = "2G";
    std::string work_memory = "1500000000";
    int batch_rows = 8;
    bool batch_inexact = false;
    std::string provider = "auto";
    std::string onnxruntime;
    int device = 0;
    bool tf32 = false;
    int threads = 0;
    bool pin_threads = false;
    bool map_weights = false;
    bool probe = false;
    bool operations = false;
};

// All that a gateway's probes do: its clients' files get no further than the demultiplexer and a few
// pictures.
Result<api::WorkOutput> probe(const api::Work& work) {
    if (!sandbox::is_probe(work)) {
        return fail(Errc::kUnsupported, "this executor only looks into files");
    }
    FG_TRY(info, media_ffmpeg::probe(work.input));
    return sandbox::probe_output(
        {info.video_codec, info.audio_codec, info.pixel_format, info.size, info.duration_ms, info.frames}
    );
}

// What workflows have the gateway do itself.
Result<api::WorkOutput> operate(const api::Work& work, const api::WorkContext& context) {
    if (!sandbox::is_operation(work)) {
        return fail(Errc::kUnsupported, "this executor only runs operations of workflows");
    }
    FG_TRY(operation, sandbox::parse_operation(work));
    FG_TRY(files, run_operation(operation, context.stop));
    return sandbox::operation_output(files);
}

// Which request each thread works for, so that lines of the log name it.
class RunningTraces {
  public:
    // For the calling thread, while it lives.
    class Scope {
      public:
        Scope(RunningTraces& traces, std::string trace) : traces_(traces) {
            const std::scoped_lock lock(traces_.mutex_);
            traces_.by_thread_[std::this_thread::get_id()] = std::move(trace);
        }
        ~Scope() {
            const std::scoped_lock lock(traces_.mutex_);
            traces_.by_thread_.erase(std::this_thread::get_id());
        }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        RunningTraces& traces_;
    };

    // Threads of codecs and of networks work for the only task, if it is the only one.
    std::string current() const {
        const std::scoped_lock lock(mutex_);
        const auto mine = by_thread_.find(std::this_thread::get_id());
        if (mine != by_thread_.end()) {
            return mine->second;
        }
        return by_thread_.size() == 1 ? by_thread_.begin()->second : std::string();
    }
    // `log`, with the trace at the end of each line.
    Logger traced(Logger log) const {
        const auto write = [this, log](LogLevel level, std::string_view line) {
            const std::string trace = current();
            const auto put = level == LogLevel::kError  ? &Logger::error
                             : level == LogLevel::kWarn ? &Logger::warn
                             : level == LogLevel::kInfo ? &Logger::info
                                                        : &Logger::debug;
            if (trace.empty()) {
                (log.*put)(line, {});
            } else {
                (log.*put)(line, {{"trace", trace}});
            }
        };
        return {write, LogLevel::kDebug};
    }

  private:
    mutable std::mutex mutex_;
    std::map<std::thread::id, std::string> by_thread_;
};

// Opened by the first segment: pictures need less of FFmpeg, and later.
class OnDemandTranscoder : public api::Transcoder {
  public:
    OnDemandTranscoder(const ExecutorOptions& options, Logger log)
        : options_(options), log_(std::move(log)) {}

    Result<api::WorkOutput> transcode(
        const std::string& session_id, const api::TranscodeWork& work, const Blob& input,
        const api::StopFlag& stop, const api::ArtifactSink& early
    ) override {
        if (!transcoder_) {
            media_ffmpeg::keep_freed_memory();
            media_ffmpeg::TranscoderSettings settings;
            settings.preset = options_.preset;
            settings.hw = options_.hw;
            settings.hw_device = options_.hw == "nvidia" ? std::to_string(options_.device) : "";
            settings.log = log_;
            FG_TRY(opened, media_ffmpeg::FfmpegTranscoder::open(settings));
            transcoder_ = std::move(opened);
        }
        return transcoder_->transcode(session_id, work, input, stop, early);
    }
    void end_session(const std::string& session_id) override {
        if (transcoder_) {
            transcoder_->end_session(session_id);
        }
    }

  private:
    const ExecutorOptions& options_;
    Logger log_;
    std::unique_ptr<media_ffmpeg::FfmpegTranscoder> transcoder_;
};

// Everything is opened by the first task that needs it: a process that only transcodes never loads ONNX
// Runtime.
class Tools {
  public:
    Tools(ExecutorOptions options, Logger log) : options_(std::move(options)), log_(std::move(log)) {}

    Result<api::WorkOutput> run(const api::Work& work, const api::WorkContext& context) {
        if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
            return transcoder_.transcode(
                work.session_id, *transcode, work.input, context.stop, context.events.artifact
            );
        }
        FG_CHECK(open_runner());
        return runner_->run(work, context);
    }
    // What the first AI task would wait for: ONNX Runtime, and FFmpeg's libraries.
    void prepare() { (void)open_runner(); }
    void end_session(const std::string& session_id) { transcoder_.end_session(session_id); }
    api::DeviceUse use() {
        const std::scoped_lock lock(opening_);
        if (!runner_) {
            return {};
        }
        api::DeviceUse out;
        out.device = device_;
        out.memory_bytes_max = memory_bytes_max_;
        out.work_memory_bytes_max = work_memory_bytes_max_;
        const auto load = runner_->load();
        out.turns = load.turns;
        out.turn_jobs = load.turn_jobs;
        out.models = models_->use();
        return out;
    }

  private:
    // AI tasks share this process: any of them may be the first.
    Result<void> open_runner() {
        const std::scoped_lock lock(opening_);
        if (runner_) {
            return {};
        }
        infer_onnx::ModelStoreSettings settings;
        settings.directories.assign(options_.models.begin(), options_.models.end());
        FG_TRY(memory, parse_bytes(options_.memory, "memory"));
        settings.memory_bytes = memory;
        settings.onnx.provider = options_.provider;
        settings.onnx.library = options_.onnxruntime;
        settings.onnx.device = options_.device;
        settings.onnx.tf32 = options_.tf32;
        settings.onnx.threads = options_.threads;
        settings.onnx.pin_threads = options_.pin_threads;
        settings.onnx.prepack = !options_.map_weights;
        settings.onnx.log = log_;
        FG_TRY(models, infer_onnx::ModelStore::open(settings));
        models_ = std::move(models);
        FG_CHECK(models_->prepare());
        engine::WorkSettings work;
        FG_TRY(work_memory, parse_bytes(options_.work_memory, "work-memory"));
        work.working_memory_bytes = work_memory;
        memory_bytes_max_ = memory;
        work_memory_bytes_max_ = work_memory;
        const std::string provider = models_->device();
        device_ = provider == "cpu" ? provider : provider + ":" + std::to_string(options_.device);
        work.turns.rows_max = options_.batch_rows;
        work.batching = options_.batch_inexact ? engine::Batching::kAny : engine::Batching::kExact;
        runner_ =
            std::make_unique<engine::WorkRunner>(transcoder_, codec_, *models_, &host::steady_now, work);
        // The result will be encoded: FFmpeg's 150 libraries load while the networks do. Not beside ONNX
        // Runtime's, as libraries are loaded one at a time.
        loading_ = std::jthread([] { (void)media_ffmpeg::is_supported_source({}); });
        return {};
    }

    ExecutorOptions options_;
    Logger log_;
    std::mutex opening_;
    OnDemandTranscoder transcoder_{options_, log_};
    media_ffmpeg::FfmpegMediaCodec codec_;
    std::unique_ptr<infer_onnx::ModelStore> models_;
    std::unique_ptr<engine::WorkRunner> runner_;
    std::string device_;
    std::int64_t memory_bytes_max_ = 0;
    std::int64_t work_memory_bytes_max_ = 0;
    std::jthread loading_;
};

}  // namespace

void add_executor_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<ExecutorOptions>();
    auto* command = app.add_subcommand("executor", "Started by workers and gateways; not for people");
    command->group("");  // hidden
    command->add_option("--x264-preset", options->preset);
    command->add_option("--hw", options->hw);
    command->add_option("--models", options->models);
    command->add_option("--memory", options->memory);
    command->add_option("--work-memory", options->work_memory);
    command->add_option("--batch-rows", options->batch_rows);
    command->add_flag("--batch-inexact", options->batch_inexact);
    command->add_option("--provider", options->provider);
    command->add_option("--onnxruntime", options->onnxruntime);
    command->add_option("--device", options->device);
    command->add_flag("--tf32", options->tf32);
    command->add_option("--threads", options->threads);
    command->add_flag("--pin-threads", options->pin_threads);
    command->add_flag("--map-weights", options->map_weights);
    command->add_flag("--probe", options->probe);
    command->add_flag("--operations", options->operations);
    command->callback([options, &common, &run] {
        run = [options, &common] {
            if (options->probe) {
                // Loads FFmpeg: a process that takes the place of another does not let its first segment
                // wait.
                (void)media_ffmpeg::is_supported_source({});
            }
            RunningTraces traces;
            Tools tools(*options, traces.traced(process_logger(common, "executor")));
            sandbox::ExecutorService service;
            service.run = [&](const api::Work& work, const api::WorkContext& context) {
                const RunningTraces::Scope scope(traces, work.trace.trace_id);
                return options->probe        ? probe(work)
                       : options->operations ? operate(work, context)
                                             : tools.run(work, context);
            };
            service.now = &host::steady_now;
            service.use = [&] { return tools.use(); };
            service.prepare = [&] { tools.prepare(); };
            service.end_session = [&](const std::string& session_id) { tools.end_session(session_id); };
            return sandbox::serve_executor(sandbox::kExecutorFd, service);
        };
    });
}

}  // namespace framegrid::app
