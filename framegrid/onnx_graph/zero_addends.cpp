#include <framegrid/onnx_graph/zero_addends.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

namespace framegrid::onnx_graph {

namespace {

using Makers = std::unordered_map<std::string, const proto::Node*>;  // of each tensor

bool is_zero(const proto::Tensor& value) {
    return value.data_type() == kOnnxFloat &&
           (value.float_data_size() == 1 ? value.float_data(0) == 0
                                         : value.raw_data() == std::string(sizeof(float), '\0'));
}

// Whether a node makes nothing but zeros: ConstantOfShape does unless told otherwise.
bool makes_zeros(const proto::Node& node) {
    return node.op_type() == "ConstantOfShape" &&
           std::ranges::all_of(node.attribute(), [](const auto& attribute) {
               return attribute.name() == "value" && is_zero(attribute.t());
           });
}

// The same, perhaps times a number.
bool is_zeros(const Makers& makers, const ShapeInference& inference, const std::string& tensor) {
    const auto zeros = [&](const std::string& name) {
        const auto at = makers.find(name);
        return at != makers.end() && makes_zeros(*at->second);
    };
    const auto number = [&](const std::string& name) {
        const auto& floats = inference.facts(name).floats;
        return floats && std::ranges::all_of(*floats, [](float value) { return std::isfinite(value); });
    };
    const auto at = makers.find(tensor);
    if (at == makers.end() || at->second->op_type() != "Mul" || at->second->input_size() != 2) {
        return zeros(tensor);
    }
    const auto& product = *at->second;
    return (zeros(product.input(0)) && number(product.input(1))) ||
           (zeros(product.input(1)) && number(product.input(0)));
}

}  // namespace

void skip_zero_addends(proto::Graph& graph, const ShapeInference& inference) {
    Makers makers;
    for (const auto& node : graph.node()) {
        for (const auto& output : node.output()) {
            makers[output] = &node;
        }
    }
    for (auto& node : *graph.mutable_node()) {
        if (node.op_type() != "Softmax" || node.input_size() != 1) {
            continue;
        }
        const auto at = makers.find(node.input(0));
        if (at == makers.end() || at->second->op_type() != "Add" || at->second->input_size() != 2) {
            continue;
        }
        const auto& sum = *at->second;
        for (const int i : {0, 1}) {
            const auto& shape = inference.facts(sum.input(i)).shape;
            if (is_zeros(makers, inference, sum.input(1 - i)) && shape &&
                shape == inference.facts(sum.output(0)).shape) {
                node.set_input(0, sum.input(i));
                break;
            }
        }
    }
}

}  // namespace framegrid::onnx_graph
