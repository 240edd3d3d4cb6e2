// ONNX files as people find them: never a crash, and no more names than there are bytes.
#include <cstddef>
#include <cstdint>

#include <framegrid/infer_onnx/onnx_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    if (const auto summary = infer_onnx::scan_onnx({data, size})) {
        FG_ASSERT(summary->inputs.size() + summary->outputs.size() + summary->external.size() <= size);
    }
    return 0;
}
