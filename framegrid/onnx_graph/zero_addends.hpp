// Sums with nothing.
#pragma once

#include <framegrid/onnx_graph/shape_inference.hpp>

namespace framegrid::onnx_graph {

// PyTorch's baddbmm() adds a tensor as large as its result, times 0, in every attention: what follows it
// takes the other addend. Only where that is a Softmax, to which -0 is 0.
void skip_zero_addends(proto::Graph& graph, const ShapeInference& inference);

}  // namespace framegrid::onnx_graph
