#include <framegrid/onnx_graph/simplify.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <framegrid/onnx_graph/model_file.hpp>
#include <framegrid/onnx_graph/shape_folding.hpp>
#include <framegrid/onnx_graph/zero_addends.hpp>

namespace framegrid::onnx_graph {

namespace {

bool has_subgraphs(const proto::Graph& graph) {
    return std::ranges::any_of(graph.node(), [](const auto& node) {
        return std::ranges::any_of(node.attribute(), [](const auto& attribute) {
            return attribute.has_g() || attribute.graphs_size() > 0;
        });
    });
}

template <class Elements, class Keep>
void keep_if(Elements& elements, Keep&& keep) {
    int kept = 0;
    for (int i = 0; i < elements.size(); ++i) {
        if (keep(i)) {
            elements.SwapElements(i, kept++);
        }
    }
    elements.DeleteSubrange(kept, elements.size() - kept);
}

// Nodes whose results nobody reads, and weights.
void remove_unused(proto::Graph& graph) {
    std::unordered_set<std::string> used;
    for (const auto& output : graph.output()) {
        used.insert(output.name());
    }
    auto& nodes = *graph.mutable_node();
    std::vector<bool> is_used(static_cast<std::size_t>(nodes.size()), false);
    for (int i = nodes.size() - 1; i >= 0; --i) {
        const auto& node = nodes[i];
        if (std::ranges::any_of(node.output(), [&used](const auto& name) { return used.contains(name); })) {
            is_used[static_cast<std::size_t>(i)] = true;
            used.insert(node.input().begin(), node.input().end());
        }
    }
    keep_if(nodes, [&](int i) { return is_used[static_cast<std::size_t>(i)]; });
    // Older networks list their weights as inputs, too, and those must be there.
    for (const auto& input : graph.input()) {
        used.insert(input.name());
    }
    auto& weights = *graph.mutable_initializer();
    keep_if(weights, [&](int i) { return used.contains(weights[i].name()); });
}

// ONNX Runtime gives the memory of a tensor that is done with to one whose sizes are the same numbers, or
// have the same names: without names it looks through all that are done with, in vain.
class ShapeStatement {
  public:
    explicit ShapeStatement(proto::Graph& graph) : graph_(graph) {}

    void state(const std::string& tensor, const TensorFacts& facts) {
        auto& value = *graph_.add_value_info();
        value.set_name(tensor);
        auto& type = *value.mutable_type()->mutable_tensor_type();
        type.set_elem_type(facts.type);
        auto& shape = *type.mutable_shape();
        for (const auto& size : *facts.shape) {
            auto& dim = *shape.add_dim();
            const auto number = size.constant();
            if (!number) {
                dim.set_dim_param(name_of(size));
            } else if (*number > 0) {
                dim.set_dim_value(*number);
            }
        }
    }

  private:
    const std::string& name_of(const SymbolicDim& size) {
        auto& name = names_[size.text()];
        if (name.empty()) {
            name = "framegrid." + std::to_string(names_.size());
        }
        return name;
    }

    proto::Graph& graph_;
    std::unordered_map<std::string, std::string> names_;
};

void state_shapes(proto::Graph& graph, const ShapeInference& inference) {
    std::unordered_set<std::string> outputs;
    for (const auto& output : graph.output()) {
        outputs.insert(output.name());
    }
    graph.clear_value_info();
    ShapeStatement statement(graph);
    for (const auto& node : graph.node()) {
        for (const auto& output : node.output()) {
            const auto& facts = inference.facts(output);
            if (facts.shape && facts.type != 0 && !output.empty() && !outputs.contains(output)) {
                statement.state(output, facts);
            }
        }
    }
}

}  // namespace

Result<SimplifiedNetwork> simplify(BytesView onnx) {
    FG_TRY(model, parse_model(onnx));
    auto& graph = *model.mutable_graph();
    SimplifiedNetwork out;
    out.nodes_before = graph.node_size();
    if (!has_subgraphs(graph)) {
        ShapeInference inference(graph);
        fold_shapes(graph, inference);
        skip_zero_addends(graph, inference);
        remove_unused(graph);
        state_shapes(graph, inference);
    }
    out.nodes_after = graph.node_size();
    out.onnx = model.SerializeAsString();
    return out;
}

}  // namespace framegrid::onnx_graph
