// Takes out of a network what need not be computed, and says what is known of its tensors, so that ONNX
// Runtime loads and runs it faster: the time in which it plans memory grows with the square of the nodes.
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::onnx_graph {

struct SimplifiedNetwork {
    std::string onnx;
    int nodes_before = 0;
    int nodes_after = 0;
};

// `onnx`: a ModelProto with its nodes in an order in which they can run; weights in other files stay there.
// Results stay the same to the last bit, for inputs none of whose sizes is 0. Networks with subgraphs come
// back as they are. kUnprocessable: not a model.
Result<SimplifiedNetwork> simplify(BytesView onnx);

}  // namespace framegrid::onnx_graph
