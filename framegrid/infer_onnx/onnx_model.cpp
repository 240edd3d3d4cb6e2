#include <framegrid/infer_onnx/onnx_model.hpp>

#include <array>
#include <atomic>
#include <iostream>
#include <new>
#include <thread>

#include <dlfcn.h>

#define ORT_API_MANUAL_INIT  // the library is loaded on demand, see load_library()
#include <onnxruntime_cxx_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <framegrid/base/log.hpp>

namespace framegrid::infer_onnx {
namespace {

constexpr std::size_t kModelBytesMax = std::size_t{2} << 30;  // protobuf's own limit
constexpr std::int64_t kTensorFloatsMax = std::int64_t{1} << 29;

// Runs `body` and turns everything that ONNX Runtime may throw into an error with `otherwise` as its code.
template <class F>
auto converting(const std::string& what, Errc otherwise, F&& body) -> decltype(body()) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(Errc::kCapacity, what + ": out of memory");
    } catch (const Ort::Exception& error) {
        // The library reports a failed allocation as a failed run.
        const std::string_view text = error.what();
        const bool memory = text.find("Failed to allocate") != std::string_view::npos ||
                            text.find("bad_alloc") != std::string_view::npos;
        return fail(memory ? Errc::kCapacity : otherwise, what + ": " + printable(text, 400));
    } catch (const std::exception& error) {
        return fail(otherwise, what + ": " + printable(error.what(), 400));
    }
}

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

std::unexpected<Error> unfit(const engine::ModelManifest& manifest, std::string what) {
    return fail(Errc::kUnprocessable, "model " + manifest.id + ": " + std::move(what));
}

Result<void> check_tensor(
    const engine::ModelManifest& manifest, const engine::TensorSpec& spec, const Ort::TypeInfo& type,
    const std::string& name
) {
    if (name != spec.name) {
        return unfit(
            manifest, "the network has a tensor " + printable(name) + " where the manifest says " + spec.name
        );
    }
    if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
        return unfit(manifest, name + " is not a tensor");
    }
    const auto info = type.GetTensorTypeAndShapeInfo();
    if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
        return unfit(manifest, name + " is not of type float32");
    }
    const auto shape = info.GetShape();
    // -1 stands for a dimension that is only known when the network runs.
    if (shape.size() != 4 || (shape[1] != 3 && shape[1] != -1)) {
        return unfit(manifest, name + " does not have the shape [n, 3, h, w]");
    }
    return {};
}

Result<void> check_session(const engine::ModelManifest& manifest, const Ort::Session& session) {
    if (session.GetInputCount() != 1 || session.GetOutputCount() != 1) {
        return unfit(manifest, "the network must have one input and one output");
    }
    Ort::AllocatorWithDefaultOptions allocator;
    const std::string input = session.GetInputNameAllocated(0, allocator).get();
    const std::string output = session.GetOutputNameAllocated(0, allocator).get();
    FG_CHECK(check_tensor(manifest, manifest.input, session.GetInputTypeInfo(0), input));
    return check_tensor(manifest, manifest.output, session.GetOutputTypeInfo(0), output);
}

class OnnxImageModel : public api::ImageModel {
  public:
    OnnxImageModel(const engine::ModelManifest& manifest, Ort::Session session)
        : what_("model " + manifest.id),
          scale_(manifest.image.scale),
          input_(manifest.input.name),
          output_(manifest.output.name),
          session_(std::move(session)) {}

    int scale() const override { return scale_; }

    Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) override {
        const std::int64_t floats = std::int64_t{3} * count * tile_height * tile_width;
        if (count <= 0 || tile_height <= 0 || tile_width <= 0 ||
            tiles.size() != static_cast<std::size_t>(floats) ||
            floats > kTensorFloatsMax / (scale_ * scale_)) {
            return fail(Errc::kInvalidArgument, what_ + ": the tiles do not have the stated size");
        }
        return converting(what_, Errc::kInternal, [&] {
            return run(tiles, {count, 3, tile_height, tile_width});
        });
    }

  private:
    using Shape = std::array<std::int64_t, 4>;

    Result<std::vector<float>> run(const std::vector<float>& tiles, const Shape& shape) {
        const Shape wanted = {shape[0], 3, shape[2] * scale_, shape[3] * scale_};
        std::vector<float> out(
            tiles.size() * static_cast<std::size_t>(scale_) * static_cast<std::size_t>(scale_)
        );
        // ONNX Runtime's interface takes inputs as mutable memory but does not write to them.
        auto input = Ort::Value::CreateTensor<float>(
            memory_, const_cast<float*>(tiles.data()), tiles.size(), shape.data(), shape.size()
        );
        auto output =
            Ort::Value::CreateTensor<float>(memory_, out.data(), out.size(), wanted.data(), wanted.size());
        const char* input_name = input_.c_str();
        const char* output_name = output_.c_str();
        session_.Run(Ort::RunOptions{nullptr}, &input_name, &input, 1, &output_name, &output, 1);
        return out;
    }

    std::string what_;
    int scale_;
    std::string input_;
    std::string output_;
    Ort::Session session_;
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
};

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

Result<std::unique_ptr<api::ImageModel>> OnnxRuntime::load_image_model(
    const engine::ModelManifest& manifest, BytesView onnx
) {
    using Loaded = Result<std::unique_ptr<api::ImageModel>>;
    if (onnx.empty() || onnx.size() > kModelBytesMax) {
        return unfit(manifest, "the network is empty or over 2 GiB");
    }
    return converting("model " + manifest.id, Errc::kUnprocessable, [&]() -> Loaded {
        Ort::Session session{nullptr};
        {
            const QuietCerr quiet(!impl_->has_made_session);
            session = Ort::Session(impl_->env, onnx.data(), onnx.size(), make_options(settings_));
            impl_->has_made_session = true;
        }
        FG_CHECK(check_session(manifest, session));
        return std::make_unique<OnnxImageModel>(manifest, std::move(session));
    });
}

}  // namespace framegrid::infer_onnx
