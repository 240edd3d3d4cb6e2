// Which provider tests compare with the reference: the processor, or what FRAMEGRID_TEST_PROVIDER and
// FRAMEGRID_ONNXRUNTIME say on a machine with a GPU.
#pragma once

#include <cstdlib>

#include <framegrid/infer_onnx/onnx_model.hpp>

namespace framegrid::infer_onnx {

inline OnnxSettings settings_for_test() {
    OnnxSettings settings{.threads = 1, .provider = "cpu"};
    if (const char* provider = std::getenv("FRAMEGRID_TEST_PROVIDER")) {
        settings.provider = provider;
    }
    if (const char* library = std::getenv("FRAMEGRID_ONNXRUNTIME")) {
        settings.library = library;
    }
    settings.tf32 = std::getenv("FRAMEGRID_TEST_TF32") != nullptr;
    return settings;
}

}  // namespace framegrid::infer_onnx
