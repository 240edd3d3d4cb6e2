// ONNX Runtime behind api::TensorModel. No ONNX Runtime header leaves this library.
#pragma once

#include <memory>
#include <string>

#include <framegrid/api/tensor_model.hpp>
#include <framegrid/base/bytes.hpp>

namespace framegrid::infer_onnx {

struct OnnxSettings {
    int threads = 0;                // per inference; 0: one per processor
    std::string provider = "auto";  // "cpu", "cuda", or "auto": cuda when this library has it, else cpu
    int cuda_device = 0;
    std::string library{};  // path of another libonnxruntime.so; empty: the system's
};

// The library, loaded when the first of these is opened: processes that run no network do not pay for it (10
// MB). Must outlive the models it loads. Thread-safe.
class OnnxRuntime {
  public:
    // kInvalidArgument: unknown provider name; kUnsupported: the installed library lacks the provider, is too
    // old, or there is none.
    static Result<std::unique_ptr<OnnxRuntime>> open(OnnxSettings settings);
    ~OnnxRuntime();

    // Blocking. `onnx` may be dropped afterwards; `name` is for messages. kUnprocessable: not a network;
    // kUnsupported: tensors of unusual types; kCapacity: not enough memory. The model may be used by one
    // thread at a time.
    Result<std::unique_ptr<api::TensorModel>> load(const std::string& name, BytesView onnx);
    // The same from a file, for networks whose weights lie in files beside it: those are mapped, not read.
    Result<std::unique_ptr<api::TensorModel>> load_file(const std::string& name, const std::string& path);
    // "cpu" or "cuda": what "auto" became.
    const std::string& provider() const { return settings_.provider; }

    // Only looks at the settings. kInvalidArgument names the field.
    static Result<void> check(const OnnxSettings& settings);

  private:
    struct Impl;
    template <class Open>
    Result<std::unique_ptr<api::TensorModel>> open_session(const std::string& name, Open&& open);
    OnnxRuntime(OnnxSettings settings, std::unique_ptr<Impl> impl);

    OnnxSettings settings_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::infer_onnx
