// Weights that lie in a file beside their graph.
#pragma once

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::onnx_graph {

// Whether ONNX Runtime can use the weights that it saved in the order of its kernels
// (session.save_external_prepacked_constant_initializers) where they lie: it maps them, its kernels want them
// at multiples of 64 bytes, and 1.21 writes them wherever the weights before them end. kUnprocessable: not a
// model.
Result<bool> are_prepacked_aligned(BytesView onnx);

}  // namespace framegrid::onnx_graph
