// What an ONNX file says about itself, read without ONNX Runtime: nothing is allocated for its tensors.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <framegrid/api/tensor_model.hpp>
#include <framegrid/base/bytes.hpp>

namespace framegrid::infer_onnx {

struct OnnxSummary {
    std::vector<api::TensorInfo> inputs;  // of the graph, without its weights
    std::vector<api::TensorInfo> outputs;
    std::set<std::string> external;  // files that weights are read from, as the file names them
};

// Walks the protobuf wire format (onnx.proto3: ModelProto.graph, GraphProto, NodeProto, TensorProto,
// ValueInfoProto), subgraphs and functions included. kUnprocessable: not an ONNX model, nested too deeply, or
// too many names.
Result<OnnxSummary> scan_onnx(BytesView file);

}  // namespace framegrid::infer_onnx
