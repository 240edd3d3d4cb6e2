// ONNX Runtime behind api::TensorModel. No ONNX Runtime header leaves this library.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/tensor_model.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/log.hpp>

namespace framegrid::infer_onnx {

// What OnnxSettings::provider may be, "auto" first.
const std::vector<std::string>& provider_names();

struct OnnxSettings {
    int threads = 0;  // per inference; 0: one per processor
    // Each of those threads on one processor of those that this process may use; the caller's stays free.
    bool pin_threads = false;
    // Weights are put into the order that kernels like best when a network is loaded, which takes about 1 s
    // for 1 GB. Without it they stay where they are mapped: loading takes milliseconds, but products of few
    // rows take longer, and the last bits of results differ.
    bool prepack = true;
    // "auto": the first that works of tensorrt, cuda, openvino, cpu. Or one of these, dnnl or xnnpack.
    std::string provider = "auto";
    int device = 0;  // number of the GPU
    // GPUs: products of 32-bit networks with 10 bits of mantissa. Faster, and no longer the reference's
    // results.
    bool tf32 = false;
    std::string library{};  // path of another libonnxruntime.so; empty: the system's
    Logger log{};           // told once which provider was chosen
};

// The library, loaded when the first of these is opened: processes that run no network do not pay for it (10
// MB). Must outlive the models it loads. Thread-safe.
class OnnxRuntime {
  public:
    // kInvalidArgument: unknown provider name; kUnsupported: the installed library lacks the provider (the
    // message says which it has), is too old, or there is none.
    static Result<std::unique_ptr<OnnxRuntime>> open(OnnxSettings settings);
    ~OnnxRuntime();

    // Blocking. `onnx` may be dropped afterwards; `name` is for messages. kUnprocessable: not a network;
    // kUnsupported: tensors of unusual types; kCapacity: not enough memory. The model may be used by one
    // thread at a time.
    Result<std::unique_ptr<api::TensorModel>> load(const std::string& name, BytesView onnx);
    // The same from a file, for networks whose weights lie in files beside it: those are mapped, not read.
    Result<std::unique_ptr<api::TensorModel>> load_file(const std::string& name, const std::string& path);
    // What "auto" became.
    const std::string& provider() const { return settings_.provider; }

    // What a stored graph depends on besides its network: this library, the processor, and how it was
    // optimised. Empty: graphs for this provider cannot be stored.
    const std::string& graph_environment() const { return graph_environment_; }
    // Blocking. Optimises the network in the file `path` and writes the result into the directory `into`
    // (stored_graph.hpp).
    Result<void> store_graph(
        const std::string& name, const std::string& path, const std::filesystem::path& into
    );
    // What store_graph() wrote, unchecked. Its weights are mapped, not read.
    Result<std::unique_ptr<api::TensorModel>> load_stored_graph(
        const std::string& name, const std::filesystem::path& from
    );

    // Only looks at the settings. kInvalidArgument names the field.
    static Result<void> check(const OnnxSettings& settings);

  private:
    struct Impl;
    template <class Open>
    Result<std::unique_ptr<api::TensorModel>> open_session(const std::string& name, Open&& open);
    Result<void> try_provider(const std::string& provider);
    Result<void> choose(const std::string& version);
    OnnxRuntime(OnnxSettings settings, std::unique_ptr<Impl> impl);

    OnnxSettings settings_;
    std::string graph_environment_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::infer_onnx
