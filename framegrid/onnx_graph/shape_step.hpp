// One node while ShapeInference looks at it: its inputs' facts and attributes, and what is said of its
// outputs.
#pragma once

#include <functional>
#include <string_view>
#include <unordered_map>

#include <framegrid/onnx_graph/shape_inference.hpp>

namespace framegrid::onnx_graph {

class ShapeStep {
  public:
    using Find = std::function<const TensorFacts&(const std::string&)>;

    ShapeStep(const proto::Node& node, Find find, SymbolTable& symbols)
        : node_(node),
          find_(std::move(find)),
          symbols_(symbols),
          outputs_(static_cast<std::size_t>(node.output_size())) {}

    const proto::Node& node() const { return node_; }
    SymbolTable& symbols() { return symbols_; }

    bool has_input(int index) const { return index < node_.input_size() && !node_.input(index).empty(); }
    const TensorFacts& input(int index) const;
    const std::optional<SymbolicShape>& shape(int index) const { return input(index).shape; }
    // Numbers of an input that are the same in each run.
    std::optional<std::vector<std::int64_t>> constants(int index) const;

    const proto::Attribute* attribute(std::string_view name) const;
    std::int64_t number(std::string_view name, std::int64_t otherwise) const;
    // nullopt as well where one of them is beyond any sense.
    std::optional<std::vector<std::int64_t>> numbers(std::string_view name) const;
    // `axes` and the like, which newer versions of operators take as an input.
    std::optional<std::vector<std::int64_t>> numbers_or_input(std::string_view name, int index) const;

    void set(std::size_t output, SymbolicShape shape);
    void set_whole(SymbolicShape values, bool is_scalar);
    void set_flags(std::vector<bool> values, bool is_scalar);

    // What set() was told, one for each output of the node.
    std::vector<TensorFacts>& outputs() { return outputs_; }

  private:
    const proto::Node& node_;
    Find find_;
    SymbolTable& symbols_;
    std::vector<TensorFacts> outputs_;
};

using ShapeRule = void (*)(ShapeStep&);
using ShapeRules = std::unordered_map<std::string_view, ShapeRule>;

// By the name of the operator; those that move and compute shapes, and those of networks' layers.
const ShapeRules& shape_rules_of_arrays();
const ShapeRules& shape_rules_of_layers();

// The rule of operators that compute element by element.
void same_as_first(ShapeStep& step);
// From the end where negative. nullopt: out of range.
std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank);
SymbolicShape broadcast_shapes(SymbolTable& symbols, const SymbolicShape& a, const SymbolicShape& b);
SymbolicDim product_of(SymbolTable& symbols, const SymbolicShape& dims);

}  // namespace framegrid::onnx_graph
