#include <framegrid/onnx_graph/shape_folding.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace framegrid::onnx_graph {

namespace {

class Folder {
  public:
    Folder(proto::Graph& graph, ShapeInference& inference) : graph_(graph), inference_(inference) {
        for (const auto& output : graph.output()) {
            outputs_.insert(output.name());
        }
        for (const auto& weight : graph.initializer()) {
            names_.insert(weight.name());
        }
        for (const auto& input : graph.input()) {
            names_.insert(input.name());
        }
        for (const auto& node : graph.node()) {
            names_.insert(node.output().begin(), node.output().end());
        }
    }

    void fold() {
        for (auto& node : *graph_.mutable_node()) {
            for (auto& input : *node.mutable_input()) {
                const auto at = instead_.find(input);
                if (at != instead_.end()) {
                    input = at->second;
                }
            }
            inference_.follow(node);
            for (const auto& output : node.output()) {
                replace(output);
            }
            if (node.op_type() == "Reshape" && node.domain().empty() && node.input_size() == 2) {
                fix_target(node);
            }
        }
    }

  private:
    // Another tensor that holds the same, if there is one.
    void replace(const std::string& tensor) {
        const auto& facts = inference_.facts(tensor);
        if (!facts.whole || outputs_.contains(tensor)) {
            return;
        }
        std::string key = facts.shape->empty() ? "scalar" : "";
        std::vector<std::int64_t> numbers;
        for (const auto& value : *facts.whole) {
            key += " " + value.text();
            if (const auto number = value.constant()) {
                numbers.push_back(*number);
            }
        }
        const auto at = holders_.find(key);
        if (at != holders_.end()) {
            instead_[tensor] = at->second;
        } else if (numbers.size() == facts.whole->size()) {
            instead_[tensor] = constant(numbers, facts.shape->empty());
        } else {
            holders_.emplace(std::move(key), tensor);
        }
    }

    // The name of a new tensor of the graph, or of the one that was made before.
    std::string constant(const std::vector<std::int64_t>& numbers, bool is_scalar) {
        std::string key = is_scalar ? "shape_scalar" : "shape";
        for (const auto number : numbers) {
            key += "_" + std::to_string(number);
        }
        std::string& name = constants_[key];
        if (name.empty()) {
            name = key;
            while (!names_.insert(name).second) {
                name += "_";
            }
            auto& tensor = *graph_.add_initializer();
            tensor.set_name(name);
            tensor.set_data_type(kOnnxInt64);
            if (!is_scalar) {
                tensor.add_dims(static_cast<std::int64_t>(numbers.size()));
            }
            tensor.mutable_raw_data()->assign(
                reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(std::int64_t)
            );
            inference_.note(tensor);
        }
        return name;
    }

    // A Reshape whose target says "as it is" (0) and "what is left" (-1) needs no numbers of the run.
    void fix_target(proto::Node& node) {
        const auto& target = inference_.facts(node.input(1)).whole;
        const auto& shape = inference_.facts(node.input(0)).shape;
        const bool zero_is_zero = std::ranges::any_of(node.attribute(), [](const auto& attribute) {
            return attribute.name() == "allowzero" && attribute.i() != 0;
        });
        if (!target || !shape || zero_is_zero) {
            return;
        }
        std::vector<std::int64_t> numbers;
        SymbolicShape others;
        bool has_open = false;
        bool has_changed = false;
        for (std::size_t i = 0; i < target->size(); ++i) {
            const auto& size = (*target)[i];
            const auto number = size.constant();
            if (number && *number != -1) {
                numbers.push_back(*number);
                others.push_back(*number == 0 && i < shape->size() ? (*shape)[i] : size);
            } else if (!number && i < shape->size() && (*shape)[i] == size) {
                has_changed = true;
                numbers.push_back(0);
                others.push_back(size);
            } else if (!has_open) {
                has_open = true;
                has_changed = has_changed || !number;
                numbers.push_back(-1);
            } else {
                return;
            }
        }
        // What is left is found by division.
        const auto is_positive = [&](const auto& size) { return inference_.symbols().least(size) > 0; };
        if (has_changed && (!has_open || std::ranges::all_of(others, is_positive))) {
            node.set_input(1, constant(numbers, false));
        }
    }

    proto::Graph& graph_;
    ShapeInference& inference_;
    std::unordered_set<std::string> outputs_;
    std::unordered_set<std::string> names_;
    std::unordered_map<std::string, std::string> constants_;  // by what they hold
    std::unordered_map<std::string, std::string> holders_;    // by what they hold, the first tensor that does
    std::unordered_map<std::string, std::string> instead_;
};

}  // namespace

void fold_shapes(proto::Graph& graph, ShapeInference& inference) {
    Folder(graph, inference).fold();
}

}  // namespace framegrid::onnx_graph
