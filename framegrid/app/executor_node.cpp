// `framegrid executor`: the child process of a worker that touches media and models, or of a gateway that
// looks into segments. Started by them only.
#include <framegrid/app/commands.hpp>

#include <cstdio>
#include <mutex>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/engine/work_runner.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/transcoder.hpp>
#include <framegrid/sandbox/executor.hpp>
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
    bool probe = false;
};

// All that a gateway's executors do: its clients' files get no further than the demultiplexer and a few
// pictures.
Result<api::WorkOutput> probe(const api::Work& work) {
    if (!sandbox::is_probe(work)) {
        return fail(Errc::kUnsupported, "this executor only looks into files");
    }
    FG_TRY(info, media_ffmpeg::probe(work.input));
    return sandbox::probe_output({info.video_codec, info.audio_codec, info.pixel_format, info.size});
}

// Everything is opened by the first task that needs it: a process that only transcodes never loads ONNX
// Runtime.
class Tools {
  public:
    explicit Tools(ExecutorOptions options) : options_(std::move(options)) {}

    Result<api::WorkOutput> run(const api::Work& work, const api::WorkContext& context) {
        if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
            FG_CHECK(open_transcoder());
            return transcoder_->transcode(
                work.session_id, *transcode, work.input, context.stop, context.events.artifact
            );
        }
        FG_CHECK(open_runner());
        return runner_->run(work, context);
    }
    void end_session(const std::string& session_id) {
        if (transcoder_) {
            transcoder_->end_session(session_id);
        }
    }

  private:
    Result<void> open_transcoder() {
        if (!transcoder_) {
            media_ffmpeg::TranscoderSettings settings;
            settings.preset = options_.preset;
            settings.hw = options_.hw;
            FG_TRY(opened, media_ffmpeg::FfmpegTranscoder::open(settings));
            transcoder_ = std::move(opened);
        }
        return {};
    }
    // AI tasks share this process: any of them may be the first.
    Result<void> open_runner() {
        const std::scoped_lock lock(opening_);
        if (runner_) {
            return {};
        }
        FG_CHECK(open_transcoder());
        infer_onnx::ModelStoreSettings settings;
        settings.directories.assign(options_.models.begin(), options_.models.end());
        FG_TRY(memory, parse_bytes(options_.memory, "memory"));
        settings.memory_bytes = memory;
        FG_TRY(models, infer_onnx::ModelStore::open(settings));
        models_ = std::move(models);
        engine::WorkSettings work;
        FG_TRY(work_memory, parse_bytes(options_.work_memory, "work-memory"));
        work.working_memory_bytes = work_memory;
        work.turns.rows_max = options_.batch_rows;
        work.batching = options_.batch_inexact ? engine::Batching::kAny : engine::Batching::kExact;
        runner_ = std::make_unique<engine::WorkRunner>(*transcoder_, codec_, *models_, &host::steady_now, work);
        return {};
    }

    ExecutorOptions options_;
    std::mutex opening_;
    std::unique_ptr<media_ffmpeg::FfmpegTranscoder> transcoder_;
    media_ffmpeg::FfmpegMediaCodec codec_;
    std::unique_ptr<infer_onnx::ModelStore> models_;
    std::unique_ptr<engine::WorkRunner> runner_;
};

}  // namespace

void add_executor_command(CLI::App& app, const CommonOptions&, Run& run) {
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
    command->add_flag("--probe", options->probe);
    command->callback([options, &run] {
        run = [options] {
            if (options->probe) {
                // Loads FFmpeg: a process that takes the place of another does not let its first segment
                // wait.
                (void)media_ffmpeg::is_supported_source({});
            }
            Tools tools(*options);
            sandbox::ExecutorService service;
            service.run = [&](const api::Work& work, const api::WorkContext& context) {
                return options->probe ? probe(work) : tools.run(work, context);
            };
            service.now = &host::steady_now;
            service.end_session = [&](const std::string& session_id) { tools.end_session(session_id); };
            return sandbox::serve_executor(sandbox::kExecutorFd, std::move(service));
        };
    });
}

}  // namespace framegrid::app
