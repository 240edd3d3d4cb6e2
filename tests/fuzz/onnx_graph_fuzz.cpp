// ONNX files that are rewritten: the answer is an error, or a network that can be read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <framegrid/onnx_graph/external_weights.hpp>
#include <framegrid/onnx_graph/simplify.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    (void)onnx_graph::are_prepacked_aligned({data, size});
    const auto once = onnx_graph::simplify({data, size});
    if (!once) {
        return 0;
    }
    const auto again = onnx_graph::simplify(as_bytes(once->onnx));
    if (!again || once->nodes_after > once->nodes_before || again->nodes_after > once->nodes_after) {
        std::abort();
    }
    return 0;
}
