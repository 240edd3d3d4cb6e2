// ONNX files as people find them: never a crash, no more names than there are bytes, shapes that are shapes.
#include <cstddef>
#include <cstdint>

#include <framegrid/infer_onnx/onnx_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    if (const auto summary = infer_onnx::scan_onnx({data, size})) {
        FG_ASSERT(summary->inputs.size() + summary->outputs.size() + summary->external.size() <= size);
        for (const auto* tensors : {&summary->inputs, &summary->outputs}) {
            for (const auto& tensor : *tensors) {
                FG_ASSERT(tensor.shape.size() <= 16 && tensor.name.size() <= size);
                for (const std::int64_t side : tensor.shape) {
                    FG_ASSERT(side == -1 || side > 0);
                }
            }
        }
    }
    return 0;
}
