// Private: ONNX Runtime's sessions as networks with named tensors.
#pragma once

#include <memory>
#include <new>
#include <string>

#define ORT_API_MANUAL_INIT  // the library is loaded on demand, see onnx_model.cpp
#include <onnxruntime_cxx_api.h>

#include <framegrid/api/tensor_model.hpp>
#include <framegrid/base/log.hpp>

namespace framegrid::infer_onnx {

inline constexpr std::int64_t kTensorFloatsMax = std::int64_t{1} << 29;

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

// kUnsupported: an input or output that is no tensor, or of a type that has no counterpart here.
Result<std::unique_ptr<api::TensorModel>> make_tensor_model(std::string name, Ort::Session session);

}  // namespace framegrid::infer_onnx
