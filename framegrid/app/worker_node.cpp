// `framegrid worker`: composition root of the worker role.
#include <framegrid/app/commands.hpp>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <framegrid/app/node.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/sandbox/message.hpp>
#include <framegrid/sandbox/pool.hpp>
#include <framegrid/wire/worker_client.hpp>
#include <framegrid/worker/worker.hpp>

namespace framegrid::app {

namespace {

constexpr std::int64_t kProcessMemory = 500'000'000;  // of an executor beside models and pictures
constexpr std::int64_t kWorkMemoryMin = 300'000'000;

struct WorkerOptions {
    std::string orchestrators = "https://127.0.0.1:8935";
    std::string secret;
    std::string secret_file;
    int capacity = 0;
    int ai_capacity = 4;
    int ai_executors = 1;
    int batch_rows = 8;
    bool batch_inexact = false;
    std::string models;
    std::string memory = "2G";
    std::string executor_memory = "4G";
    std::string preset = "medium";
    std::string hw = "none";
    std::string provider = "auto";
    std::string onnxruntime;  // path of a libonnxruntime.so; empty: the system's
    int device = 0;           // number of the GPU
    bool tf32 = false;
    int threads = 0;
    bool pin_threads = false;
    bool map_weights = false;
    OperationOptions operation;
};

// What this worker's codecs can do, in the network's numbers.
job::Capabilities transcode_capabilities(int capacity, bool beside_ai) {
    using job::Capability;
    auto capabilities = beside_ai ? job::default_capabilities() : job::transcode_capabilities();
    for (const auto extra :
         {Capability::kHevcDecode, Capability::kHevcEncode, Capability::kVp8Decode, Capability::kVp9Decode,
          Capability::kVp9Encode, Capability::kH264Decode444, Capability::kH264Decode422,
          Capability::kH264Decode444Depth10, Capability::kH264Decode422Depth10,
          Capability::kH264Decode420Depth10, Capability::kOtherDecode}) {
        capabilities.add(extra);
    }
    for (auto& [capability, count] : capabilities.capacities) {
        count = static_cast<std::uint32_t>(capacity);
    }
    return capabilities;
}

job::Capabilities ai_capabilities(const std::vector<engine::ModelManifest>& models, int capacity) {
    job::Capabilities capabilities;
    for (const auto& model : models) {
        for (const auto& pipeline : model.pipelines) {
            if (const auto capability = job::capability_of_pipeline(pipeline)) {
                job::ModelConstraint constraint;
                constraint.warm = true;  // small enough to be loaded in the time of one request
                constraint.capacity = static_cast<std::uint32_t>(capacity);
                capabilities.add_model(*capability, model.id, constraint);
            }
        }
    }
    return capabilities;
}

// Whether executors are to reach the GPU's devices. "auto" does not open the sandbox for one that is not
// there.
bool wants_devices(const WorkerOptions& options) {
    std::error_code ignored;
    const bool found = std::filesystem::exists("/dev/nvidiactl", ignored);
    const std::string& provider = options.provider;
    return options.hw != "none" || provider == "cuda" || provider == "tensorrt" || provider == "openvino" ||
           (provider == "auto" && options.ai_capacity > 0 && found);
}

// Threads of one executor's inference: the executors of AI tasks share the processors.
int inference_threads(const WorkerOptions& options) {
    const int processors = static_cast<int>(host::cpu_count());
    return options.threads > 0 ? options.threads : std::max(1, processors / options.ai_executors);
}

// A library that is not the system's, and those of the GPU's maker that it needs, lie anywhere: executors may
// read the folders that the operator has named.
void add_libraries(const WorkerOptions& options, sandbox::ExecutorSettings& settings) {
    if (!options.onnxruntime.empty()) {
        std::error_code ignored;
        const auto file = std::filesystem::weakly_canonical(options.onnxruntime, ignored);
        settings.argv.insert(settings.argv.end(), {"--onnxruntime", file.string()});
        settings.readable.push_back(file.parent_path().string());
    }
    const char* const folders = settings.gpu ? std::getenv("LD_LIBRARY_PATH") : nullptr;
    std::istringstream list(folders != nullptr ? folders : "");
    for (std::string folder; std::getline(list, folder, ':');) {
        if (folder.starts_with('/')) {
            settings.readable.push_back(folder);
        }
    }
}

Result<sandbox::ExecutorSettings> pool_settings(
    const WorkerOptions& options, const std::vector<std::string>& models, const CommonOptions& common
) {
    FG_TRY(program, host::executable_path());
    FG_TRY(memory, parse_bytes(options.executor_memory, "executor-memory"));
    FG_TRY(models_memory, parse_bytes(options.memory, "memory"));
    const auto work_memory =
        std::to_string(std::max(kWorkMemoryMin, memory - models_memory - kProcessMemory));
    sandbox::ExecutorSettings settings;
    const int sharing = options.ai_capacity > 0 ? std::min(options.ai_executors, options.ai_capacity) : 0;
    settings.executors = static_cast<std::size_t>(std::max(1, options.capacity + sharing));
    settings.sharing_executors = static_cast<std::size_t>(std::max(1, sharing));
    settings.share_max = static_cast<std::size_t>(std::clamp(
        (options.ai_capacity + options.ai_executors - 1) / options.ai_executors, 1,
        static_cast<int>(sandbox::kSlotsMax)
    ));
    settings.argv = {
        program.string(),
        "--log-level",
        common.log_level,
        "--log-format",
        common.log_format,
        "executor",
        "--x264-preset",
        options.preset,
        "--hw",
        options.hw,
        "--memory",
        options.memory,
        "--provider",
        options.provider,
        "--work-memory",
        work_memory,
        "--batch-rows",
        std::to_string(options.batch_rows),
        "--device",
        std::to_string(options.device)
    };
    settings.argv.insert(settings.argv.end(), {"--threads", std::to_string(inference_threads(options))});
    if (options.batch_inexact) {
        settings.argv.emplace_back("--batch-inexact");
    }
    if (options.pin_threads) {
        settings.argv.emplace_back("--pin-threads");
    }
    if (options.tf32) {
        settings.argv.emplace_back("--tf32");
    }
    if (options.map_weights) {
        settings.argv.emplace_back("--map-weights");
    }
    for (const auto& folder : models) {
        settings.argv.push_back("--models");
        settings.argv.push_back(folder);
        settings.readable.push_back(folder);
    }
    settings.memory_bytes_max = static_cast<std::uint64_t>(memory);
    settings.warm = settings.executors;
    settings.prepared = models.empty() ? 0 : static_cast<std::size_t>(sharing);
    settings.gpu = wants_devices(options);
    add_libraries(options, settings);
    return settings;
}

// The manifests of what the executors will be able to load; broken model directories are only reported.
Result<std::vector<engine::ModelManifest>> find_models(
    const WorkerOptions& options, const std::vector<std::string>& folders, const Logger& log
) {
    if (options.ai_capacity == 0 || folders.empty()) {
        return std::vector<engine::ModelManifest>{};
    }
    infer_onnx::ModelStoreSettings settings;
    settings.directories.assign(folders.begin(), folders.end());
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    for (const auto& problem : store->problems()) {
        log.warn(
            "worker.model_unusable",
            {{"directory", problem.directory.string()}, {"why", problem.error.message}}
        );
    }
    FG_TRY(memory, parse_bytes(options.memory, "memory"));
    auto manifests = store->manifests();
    std::erase_if(manifests, [&](const engine::ModelManifest& model) {
        if (model.memory_bytes <= memory) {
            return false;
        }
        log.warn(
            "worker.model_too_large", {{"model", model.id},
                                       {"needs_bytes", model.memory_bytes},
                                       {"memory", options.memory},
                                       {"next", "raise --memory and --executor-memory to offer it"}}
        );
        return true;
    });
    return manifests;
}

worker::Settings role_settings(
    const WorkerOptions& options, std::string secret, const std::vector<engine::ModelManifest>& models
) {
    worker::Settings settings;
    settings.orchestrators = split_list(options.orchestrators);
    settings.secret = std::move(secret);
    settings.transcode_capacity = options.capacity;
    settings.ai_capacity = models.empty() ? 0 : options.ai_capacity;
    settings.ai_capabilities = ai_capabilities(models, options.ai_capacity);
    settings.transcode_capabilities = transcode_capabilities(options.capacity, settings.ai_capacity > 0);
    settings.ai_capabilities.version = options.operation.protocol_version;
    settings.transcode_capabilities.version = options.operation.protocol_version;
    return settings;
}

Task<void> drain(Session& session, worker::Worker& role, int seconds) {
    session.log.info("worker.draining", {{"seconds", seconds}});
    return role.drain(session.clock.now() + std::chrono::seconds(seconds));
}

void write_metrics(MetricsWriter& out, const worker::Worker& role, const sandbox::ExecutorPool& executors) {
    worker::dump(out, role.stats());
    sandbox::dump(out, executors.stats());
    sandbox::dump(out, executors.models());
}

Task<Result<int>> serve(Session& session, WorkerOptions options) {
    auto secret = resolve_secret(options.secret, options.secret_file);
    if (!secret) {
        co_return fail(std::move(secret.error()));
    }
    FG_CO_CHECK(session.trace_to(options.operation.otlp_endpoint));
    if (options.capacity == 0) {
        options.capacity = static_cast<int>(host::cpu_count()) + 1;
    }
    const auto folders = model_directories(options.models);
    auto models = find_models(options, folders, session.log);
    if (!models) {
        co_return fail(std::move(models.error()));
    }
    auto pool = pool_settings(options, folders, session.common);
    if (!pool) {
        co_return fail(std::move(pool.error()));
    }
    sandbox::ExecutorPool executors(
        {session.loop.executor(), session.clock, session.pool, session.log}, std::move(*pool)
    );
    executors.warm_up();
    http::ClientSettings client_settings;
    client_settings.ping_period = std::chrono::seconds(2);
    client_settings.cleartext_http2 = true;
    http::Client client(session.loop.executor(), session.clock, client_settings, session.log);
    const auto role = worker::make_worker(
        {session.loop.executor(), session.clock, session.random, session.log, executors,
         [&](const std::string& uri) -> std::shared_ptr<api::WorkerHost> {
             return std::make_shared<wire::WireWorkerHost>(
                 wire::ClientPorts{client, session.clock, session.pool, session.random}, uri
             );
         },
         session.tracer},
        role_settings(options, *secret, *models)
    );
    // Ready means registered: whoever waits for this worker can rely on its orchestrator knowing it.
    struct Ready {
        static Task<void> announce(worker::Worker& role, Clock& clock) {
            while (role.stats().registered == 0) {
                co_await sleep_for(clock, std::chrono::milliseconds(5));
            }
            announce_ready("worker");
        }
    };
    struct Shut {
        static Task<void> down(
            http::Client& client, MetricsListener& metrics, sandbox::ExecutorPool& executors
        ) {
            co_await metrics.stop();
            co_await client.stop();
            co_await executors.stop();
        }
    };
    MetricsListener metrics(session, [&](MetricsWriter& out) { write_metrics(out, *role, executors); });
    FG_CO_CHECK(metrics.listen(options.operation.admin_listen));
    session.before_stop = [&] { return drain(session, *role, options.operation.drain_seconds); };
    TaskGroup announcing(session.loop.executor(), 1, session.log);
    announcing.spawn(Ready::announce(*role, session.clock));
    auto ended = co_await with_cleanup<void>(
        with_group<void>(announcing, role->run()), Shut::down(client, metrics, executors)
    );
    if (!ended) {
        co_return fail(std::move(ended.error()));
    }
    co_return kExitOk;
}

void add_inference_options(CLI::App& command, WorkerOptions& options) {
    command
        .add_option(
            "--provider", options.provider,
            "what runs networks; auto: the first that works of tensorrt, cuda, openvino, cpu"
        )
        ->check(CLI::IsMember(infer_onnx::provider_names()))
        ->envname("FRAMEGRID_PROVIDER")
        ->capture_default_str();
    command
        .add_option(
            "--onnxruntime", options.onnxruntime,
            "another libonnxruntime.so, for example one built for GPUs; default: the system's"
        )
        ->check(CLI::ExistingFile)
        ->envname("FRAMEGRID_ONNXRUNTIME");
    command.add_option("--device", options.device, "number of the GPU; one worker for each")
        ->check(CLI::Range(0, 255))
        ->capture_default_str();
    command
        .add_option(
            "--threads", options.threads, "of inference in each AI executor; 0: processors / --ai-executors"
        )
        ->check(CLI::Range(0, 1024))
        ->capture_default_str();
    command.add_flag(
        "--pin-threads", options.pin_threads,
        "one processor for each of these threads; for a worker that has its processors to itself"
    );
    command.add_flag(
        "--tf32", options.tf32, "NVIDIA GPUs: faster products with 10 bits of mantissa; changes results"
    );
    command.add_flag(
        "--map-weights", options.map_weights,
        "load models by mapping their weights only: in milliseconds, but some then run more slowly"
    );
}

}  // namespace

void add_worker_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<WorkerOptions>();
    auto* command =
        app.add_subcommand("worker", "Run tasks for an orchestrator in sandboxed executor processes");
    command
        ->add_option(
            "--orchestrators", options->orchestrators,
            "the orchestrator's URI; more, separated by commas, are fallbacks"
        )
        ->envname("FRAMEGRID_ORCHESTRATORS")
        ->capture_default_str();
    command->add_option("--secret", options->secret, "shared with the orchestrator")
        ->envname("FRAMEGRID_SECRET");
    command->add_option("--secret-file", options->secret_file, "file whose first line is the secret");
    command->add_option("--capacity", options->capacity, "transcode tasks at once; 0: cores + 1")
        ->check(CLI::Range(0, 1024))
        ->capture_default_str();
    command->add_option("--ai-capacity", options->ai_capacity, "AI tasks at once; 0: none")
        ->check(CLI::Range(0, 256))
        ->capture_default_str();
    command
        ->add_option("--ai-executors", options->ai_executors, "processes that AI tasks share; one per device")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command
        ->add_option(
            "--batch-rows", options->batch_rows,
            "rows of one call of a denoiser, over all tasks; a picture with guidance has two. 1: no batching"
        )
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    command->add_flag(
        "--batch-inexact", options->batch_inexact,
        "batch also where that changes the last bits: a seed's result then depends on who else is there"
    );
    command->add_option("--models", options->models, "model directories, separated by commas")
        ->envname("FRAMEGRID_MODELS");
    command->add_option("--memory", options->memory, "for loaded models, per executor")
        ->capture_default_str();
    command->add_option("--executor-memory", options->executor_memory, "limit of one executor process")
        ->capture_default_str();
    command->add_option("--x264-preset", options->preset, "effort of the software encoders")
        ->capture_default_str();
    command->add_option("--hw", options->hw, "none, nvidia, vaapi or auto")
        ->check(CLI::IsMember({"none", "nvidia", "vaapi", "auto"}))
        ->envname("FRAMEGRID_HW")
        ->capture_default_str();
    add_inference_options(*command, *options);
    add_operation_options(*command, options->operation);
    command->footer(
        "Example:\n  FRAMEGRID_SECRET=... framegrid worker --orchestrators https://gpu-box:8935 --capacity 4"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "worker", 1);
            session.reloads = true;
            return session.run([&] { return serve(session, *options); });
        };
    });
}

}  // namespace framegrid::app
