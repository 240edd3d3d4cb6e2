// ONNX files as messages.
#pragma once

#include <framegrid/onnx_graph/onnx_graph.pb.h>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::onnx_graph {

// kUnprocessable: not a model, or one without a graph.
Result<proto::Model> parse_model(BytesView onnx);

}  // namespace framegrid::onnx_graph
