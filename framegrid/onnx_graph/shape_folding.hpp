// What exporters write out for each layer, that it may have any size, is known once: tensors that hold the
// same shape become one, and where no number of the run is needed, a constant.
#pragma once

#include <framegrid/onnx_graph/shape_inference.hpp>

namespace framegrid::onnx_graph {

// Follows all nodes of `graph` with `inference`, and leaves some of them without a reader. Results of the
// network stay the same, for inputs none of whose sizes is 0.
void fold_shapes(proto::Graph& graph, ShapeInference& inference);

}  // namespace framegrid::onnx_graph
