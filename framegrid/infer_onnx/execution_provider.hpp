// Private: the execution providers of ONNX Runtime under our names, and the choice of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <framegrid/infer_onnx/onnx_model.hpp>
#include <framegrid/infer_onnx/onnx_tensor.hpp>

namespace framegrid::infer_onnx {

struct ProviderChoice {
    std::string name;  // as OnnxSettings::provider, not "auto"
    std::string note;  // why none of those before it: "tensorrt, cuda: not in this library"; may be empty
};

// `wanted` or, for "auto", the first that works. `offered`: what the library calls its providers; `attempt`:
// makes a session with one, to find out. kUnsupported names what the library offers.
Result<ProviderChoice> choose_provider(
    const std::string& wanted, const std::vector<std::string>& offered,
    const std::function<Result<void>(const std::string& name)>& attempt
);

// Throws Ort::Exception when the provider's own library cannot be loaded.
void append_provider(Ort::SessionOptions& options, const std::string& name, const OnnxSettings& settings);

}  // namespace framegrid::infer_onnx
