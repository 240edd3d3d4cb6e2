#include <framegrid/infer_onnx/onnx_model.hpp>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <thread>

#include <dlfcn.h>
#include <sched.h>

#include <onnxruntime_session_options_config_keys.h>
#include <framegrid/infer_onnx/execution_provider.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/onnx_tensor.hpp>
#include <framegrid/infer_onnx/stored_graph.hpp>
#include <framegrid/onnx_graph/external_weights.hpp>

namespace framegrid::infer_onnx {
namespace {

constexpr std::size_t kModelBytesMax = std::size_t{2} << 30;  // protobuf's own limit

// Silences std::cerr for a while. Debian's ONNX Runtime and the libonnx it links both register every
// operator, and the second attempt prints thousands of lines when the process makes its first session.
class QuietCerr {
  public:
    explicit QuietCerr(bool active) : active_(active), saved_(active ? std::cerr.rdbuf(nullptr) : nullptr) {}
    ~QuietCerr() {
        if (active_) {
            std::cerr.rdbuf(saved_);  // also clears the error state
        }
    }
    QuietCerr(const QuietCerr&) = delete;
    QuietCerr& operator=(const QuietCerr&) = delete;

  private:
    bool active_;
    std::streambuf* saved_;
};

// Opens libonnxruntime and lets the C++ wrapper use it; it stays loaded until the process ends. Returns its
// version.
Result<std::string> load_library(const std::string& path) {
    const std::vector<std::string> names =
        path.empty()
            ? std::vector<std::string>{FG_ONNXRUNTIME_SONAME, "libonnxruntime.so.1", "libonnxruntime.so"}
            : std::vector<std::string>{path};
    void* library = nullptr;
    std::string reason;
    for (const auto& name : names) {
        library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library != nullptr) {
            break;
        }
        if (const char* text = dlerror(); reason.empty() && text != nullptr) {
            reason = printable(text);
        }
    }
    if (library == nullptr) {
        return fail(Errc::kUnsupported, "ONNX Runtime cannot be loaded: " + reason, "library");
    }
    const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (get_base == nullptr) {
        return fail(Errc::kUnsupported, "the library is not ONNX Runtime", "library");
    }
    const OrtApi* api = get_base()->GetApi(ORT_API_VERSION);
    if (api == nullptr) {
        return fail(
            Errc::kUnsupported, std::string("ONNX Runtime ") + get_base()->GetVersionString() + " is too old",
            "library"
        );
    }
    Ort::InitApi(api);
    return get_base()->GetVersionString();
}

// A network with one operator, y = Relu(x), to find out whether a provider works.
constexpr std::string_view kTrialNetwork(
    "\x08\x08:5\n\x0c\n\x01x\x12\x01y\"\x04Relu\x12\x01g"
    "Z\x10\n\x01x\x12\x0b\n\t\x08\x01\x12\x05\n\x03\x12\x01n"
    "b\x10\n\x01y\x12\x0b\n\t\x08\x01\x12\x05\n\x03\x12\x01n"
    "B\x04\n\0\x10\x11",
    63
);

// One group of processors per thread that the library starts, which are all but the caller's.
std::string affinities(int threads) {
    ::cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<int> processors;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &allowed)) {
            processors.push_back(i + 1);  // the library counts from 1
        }
    }
    std::string out;
    for (int i = 1; i < threads && !processors.empty(); ++i) {
        out +=
            (i > 1 ? ";" : "") + std::to_string(processors[static_cast<std::size_t>(i) % processors.size()]);
    }
    return out;
}

// `optimized`: the graph needs no more of it.
Ort::SessionOptions make_options(const OnnxSettings& settings, bool optimized) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(settings.threads);
    options.SetInterOpNumThreads(1);
    options.SetExecutionMode(ORT_SEQUENTIAL);
    // Everything, layouts for this processor included: half the time of "extended" for small convolutions.
    options.SetGraphOptimizationLevel(optimized ? ORT_DISABLE_ALL : ORT_ENABLE_ALL);
    // One planned block per input shape would hold twice the memory and saves no time here.
    options.DisableMemPattern();
    // Other processes share the processors: waiting threads must not burn them.
    options.AddConfigEntry(kOrtSessionOptionsConfigAllowIntraOpSpinning, "0");
    if (!settings.prepack) {
        options.AddConfigEntry(kOrtSessionOptionsConfigDisablePrepacking, "1");
    }
    if (settings.pin_threads && settings.threads > 1) {
        options.AddConfigEntry(
            kOrtSessionOptionsConfigIntraOpThreadAffinities, affinities(settings.threads).c_str()
        );
    }
    return options;
}

}  // namespace

struct OnnxRuntime::Impl {
    // Only fatal events: what goes wrong with a model comes back as an error, and the text is the caller's to
    // log.
    Ort::Env env{ORT_LOGGING_LEVEL_FATAL, "framegrid"};
    std::atomic<bool> has_made_session = false;
};

OnnxRuntime::OnnxRuntime(OnnxSettings settings, std::unique_ptr<Impl> impl)
    : settings_(std::move(settings)), impl_(std::move(impl)) {}

OnnxRuntime::~OnnxRuntime() = default;

Result<void> OnnxRuntime::check(const OnnxSettings& settings) {
    if (settings.threads < 0 || settings.threads > 1024) {
        return fail(Errc::kInvalidArgument, "threads must be 0 to 1024", "threads");
    }
    const auto& known = provider_names();
    if (std::ranges::find(known, settings.provider) == known.end()) {
        std::string names;
        for (const auto& name : known) {
            names += (names.empty() ? "" : ", ") + name;
        }
        return fail(
            Errc::kInvalidArgument,
            "unknown execution provider " + printable(settings.provider) + "; known: " + names, "provider"
        );
    }
    return {};
}

Result<std::unique_ptr<OnnxRuntime>> OnnxRuntime::open(OnnxSettings settings) {
    using Opened = Result<std::unique_ptr<OnnxRuntime>>;
    FG_CHECK(check(settings));
    FG_TRY(version, load_library(settings.library));
    if (settings.threads == 0) {
        settings.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    }
    return converting("ONNX Runtime", Errc::kInternal, [&]() -> Opened {
        std::unique_ptr<OnnxRuntime> runtime(new OnnxRuntime(std::move(settings), std::make_unique<Impl>()));
        FG_CHECK(runtime->choose(version));
        return runtime;
    });
}

Result<void> OnnxRuntime::choose(const std::string& version) {
    const auto attempt = [this](const std::string& name) { return try_provider(name); };
    FG_TRY(choice, choose_provider(settings_.provider, Ort::GetAvailableProviders(), attempt));
    settings_.provider = std::move(choice.name);
    settings_.log.info("infer.provider_chosen", {{"provider", settings_.provider}, {"not", choice.note}});
    if (settings_.provider == "cpu") {
        graph_environment_ = processor_environment(version + " " + Ort::GetBuildInfoString());
    }
    return {};
}

Result<void> OnnxRuntime::try_provider(const std::string& provider) {
    return converting(provider, Errc::kUnsupported, [&]() -> Result<void> {
        const QuietCerr quiet(!impl_->has_made_session);
        auto options = make_options(settings_, false);
        append_provider(options, provider, settings_);
        const Ort::Session trial(impl_->env, kTrialNetwork.data(), kTrialNetwork.size(), options);
        impl_->has_made_session = true;
        return {};
    });
}

template <class Open>
Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::open_session(const std::string& name, Open&& open) {
    return converting(name, Errc::kUnprocessable, [&]() -> Result<std::unique_ptr<api::TensorModel>> {
        Ort::Session session{nullptr};
        {
            const QuietCerr quiet(!impl_->has_made_session);
            session = open(impl_->env);
            impl_->has_made_session = true;
        }
        return make_tensor_model(name, std::move(session));
    });
}

Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::load(const std::string& name, BytesView onnx) {
    if (onnx.empty() || onnx.size() > kModelBytesMax) {
        return fail(Errc::kUnprocessable, name + ": the network is empty or over 2 GiB");
    }
    return open_session(name, [&](const Ort::Env& env) {
        auto options = make_options(settings_, false);
        append_provider(options, settings_.provider, settings_);
        return Ort::Session(env, onnx.data(), onnx.size(), options);
    });
}

Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::load_file(
    const std::string& name, const std::string& path
) {
    return open_session(name, [&](const Ort::Env& env) {
        auto options = make_options(settings_, false);
        append_provider(options, settings_.provider, settings_);
        return Ort::Session(env, path.c_str(), options);
    });
}

Result<void> OnnxRuntime::store_graph(
    const std::string& name, const std::string& path, const std::filesystem::path& into
) {
    if (graph_environment_.empty()) {
        return fail(Errc::kUnsupported, "graphs for " + settings_.provider + " cannot be stored", "provider");
    }
    const auto store = [&](bool prepacked) {
        return open_session(name, [&](const Ort::Env& env) {
            auto options = make_options(settings_, false);
            options.SetOptimizedModelFilePath((into / kStoredGraph).c_str());
            options.AddConfigEntry(
                kOrtSessionOptionsOptimizedModelExternalInitializersFileName, kStoredWeights
            );
            options.AddConfigEntry(
                kOrtSessionOptionsOptimizedModelExternalInitializersMinSizeInBytes, "1024"
            );
            // Also in the order that kernels want them in. The library still works that order out for every
            // session, to find them, but then maps them: processes with the same network share that memory.
            options.AddConfigEntry(
                kOrtSessionOptionsSavePrePackedConstantInitializers, prepacked ? "1" : "0"
            );
            return Ort::Session(env, path.c_str(), options);
        });
    };
    FG_TRY(network, store(true));
    FG_TRY(graph, ModelDirectory(into).read(kStoredGraph, engine::kModelFileBytesMax));
    FG_TRY(aligned, onnx_graph::are_prepacked_aligned(graph.view()));
    if (!aligned) {
        std::error_code ignored;
        std::filesystem::remove(into / kStoredGraph, ignored);
        std::filesystem::remove(into / kStoredWeights, ignored);
        FG_TRY(again, store(false));
    }
    return {};
}

Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::load_stored_graph(
    const std::string& name, const std::filesystem::path& from
) {
    return open_session(name, [&](const Ort::Env& env) {
        return Ort::Session(env, (from / kStoredGraph).c_str(), make_options(settings_, true));
    });
}

}  // namespace framegrid::infer_onnx
