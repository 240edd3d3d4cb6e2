#include <framegrid/infer_onnx/onnx_model.hpp>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <thread>

#include <dlfcn.h>

#include <onnxruntime_session_options_config_keys.h>
#include <framegrid/infer_onnx/onnx_tensor.hpp>

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

// Opens libonnxruntime and lets the C++ wrapper use it; it stays loaded until the process ends.
Result<void> load_library(const std::string& path) {
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
    return {};
}

bool has_provider(const char* name) {
    const auto providers = Ort::GetAvailableProviders();
    return std::ranges::find(providers, name) != providers.end();
}

Result<std::string> choose_provider(const std::string& wanted) {
    if (wanted == "cpu") {
        return wanted;
    }
    if (has_provider("CUDAExecutionProvider")) {
        return std::string("cuda");
    }
    if (wanted == "auto") {
        return std::string("cpu");
    }
    return fail(Errc::kUnsupported, "the installed ONNX Runtime has no CUDA provider", "provider");
}

void append_cuda(Ort::SessionOptions& options, int device) {
    const OrtApi& api = Ort::GetApi();
    OrtCUDAProviderOptionsV2* raw = nullptr;
    Ort::ThrowOnError(api.CreateCUDAProviderOptions(&raw));
    const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> cuda(
        raw, api.ReleaseCUDAProviderOptions
    );
    const std::string id = std::to_string(device);
    const char* key = "device_id";
    const char* value = id.c_str();
    Ort::ThrowOnError(api.UpdateCUDAProviderOptions(raw, &key, &value, 1));
    options.AppendExecutionProvider_CUDA_V2(*raw);
}

Ort::SessionOptions make_options(const OnnxSettings& settings) {
    Ort::SessionOptions options;
    const int threads =
        settings.threads > 0 ? settings.threads : static_cast<int>(std::thread::hardware_concurrency());
    options.SetIntraOpNumThreads(std::max(1, threads));
    options.SetInterOpNumThreads(1);
    options.SetExecutionMode(ORT_SEQUENTIAL);
    // Everything, layouts for this processor included: half the time of "extended" for small convolutions.
    options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    // One planned block per input shape would hold twice the memory and saves no time here.
    options.DisableMemPattern();
    // Other processes share the processors: waiting threads must not burn them.
    options.AddConfigEntry(kOrtSessionOptionsConfigAllowIntraOpSpinning, "0");
    if (settings.provider == "cuda") {
        append_cuda(options, settings.cuda_device);
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
    if (settings.provider != "auto" && settings.provider != "cpu" && settings.provider != "cuda") {
        return fail(
            Errc::kInvalidArgument,
            "unknown execution provider " + printable(settings.provider) + "; known: auto, cpu, cuda",
            "provider"
        );
    }
    return {};
}

Result<std::unique_ptr<OnnxRuntime>> OnnxRuntime::open(OnnxSettings settings) {
    using Opened = Result<std::unique_ptr<OnnxRuntime>>;
    FG_CHECK(check(settings));
    FG_CHECK(load_library(settings.library));
    return converting("ONNX Runtime", Errc::kInternal, [&]() -> Opened {
        FG_TRY(provider, choose_provider(settings.provider));
        settings.provider = std::move(provider);
        return std::unique_ptr<OnnxRuntime>(new OnnxRuntime(std::move(settings), std::make_unique<Impl>()));
    });
}

template <class Open>
Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::open_session(const std::string& name, Open&& open) {
    return converting(name, Errc::kUnprocessable, [&]() -> Result<std::unique_ptr<api::TensorModel>> {
        Ort::Session session{nullptr};
        {
            const QuietCerr quiet(!impl_->has_made_session);
            session = open(impl_->env, make_options(settings_));
            impl_->has_made_session = true;
        }
        return make_tensor_model(name, std::move(session));
    });
}

Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::load(const std::string& name, BytesView onnx) {
    if (onnx.empty() || onnx.size() > kModelBytesMax) {
        return fail(Errc::kUnprocessable, name + ": the network is empty or over 2 GiB");
    }
    return open_session(name, [&](const Ort::Env& env, const Ort::SessionOptions& options) {
        return Ort::Session(env, onnx.data(), onnx.size(), options);
    });
}

Result<std::unique_ptr<api::TensorModel>> OnnxRuntime::load_file(
    const std::string& name, const std::string& path
) {
    return open_session(name, [&](const Ort::Env& env, const Ort::SessionOptions& options) {
        return Ort::Session(env, path.c_str(), options);
    });
}

}  // namespace framegrid::infer_onnx
