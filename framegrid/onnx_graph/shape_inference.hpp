// What can be said of the tensors of an ONNX graph before it runs: their shapes, and the numbers in those
// that hold shapes, as expressions of the sizes of its inputs.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/onnx_graph/onnx_graph.pb.h>
#include <framegrid/onnx_graph/symbolic_dim.hpp>

namespace framegrid::onnx_graph {

inline constexpr std::int32_t kOnnxFloat = 1;  // TensorProto.DataType
inline constexpr std::int32_t kOnnxInt64 = 7;
inline constexpr std::int32_t kOnnxBool = 9;

using SymbolicShape = std::vector<SymbolicDim>;

// Nothing is known of what is absent.
struct TensorFacts {
    std::optional<SymbolicShape> shape{};
    std::int32_t type = 0;  // TensorProto.DataType; 0: not known
    // The elements of whole numbers of 64 bits, of rank 0 or 1 and few; `shape` is known then.
    std::optional<SymbolicShape> whole{};
    std::optional<std::vector<bool>> flags{};    // the same of truth values
    std::optional<std::vector<float>> floats{};  // the same of numbers that the graph itself holds
};

// Follows a graph's nodes in their order (operators as ONNX and ONNX Runtime's documentation define them,
// those of com.microsoft and com.microsoft.nchwc included). Of an operator that it does not know, nothing
// follows. The sizes of inputs count as at least 1.
class ShapeInference {
  public:
    // Takes in the graph's inputs and weights.
    explicit ShapeInference(const proto::Graph& graph);

    // Takes in another weight.
    void note(const proto::Tensor& weight);
    // Notes what follows for the outputs of `node`, whose inputs must have been noted before.
    void follow(const proto::Node& node);

    const TensorFacts& facts(const std::string& tensor) const;
    SymbolTable& symbols() { return symbols_; }

  private:
    std::unordered_map<std::string, TensorFacts> facts_;
    SymbolTable symbols_;
};

}  // namespace framegrid::onnx_graph
