#include <framegrid/onnx_graph/shape_inference.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include <framegrid/onnx_graph/shape_step.hpp>

namespace framegrid::onnx_graph {

namespace {

constexpr std::size_t kElementsMax = 64;
template <class T>
std::optional<std::vector<T>> elements(const proto::Tensor& tensor, const auto& listed, std::size_t count) {
    if (tensor.raw_data().size() == count * sizeof(T) && count > 0) {
        std::vector<T> out(count);
        std::memcpy(out.data(), tensor.raw_data().data(), count * sizeof(T));
        return out;
    }
    if (static_cast<std::size_t>(listed.size()) == count) {
        return std::vector<T>(listed.begin(), listed.end());
    }
    return std::nullopt;
}

TensorFacts facts_of(const proto::Tensor& tensor) {
    TensorFacts out;
    out.type = tensor.data_type();
    out.shape.emplace();
    std::size_t count = 1;
    for (const auto dim : tensor.dims()) {
        out.shape->emplace_back(dim);
        count = dim >= 0 && dim <= static_cast<std::int64_t>(kElementsMax)
                    ? count * static_cast<std::size_t>(dim)
                    : kElementsMax + 1;
        count = std::min(count, kElementsMax + 1);
    }
    if (tensor.data_location() != 0 || count > kElementsMax || tensor.dims_size() > 1) {
        return out;
    }
    if (tensor.data_type() == kOnnxInt64) {
        if (const auto numbers = elements<std::int64_t>(tensor, tensor.int64_data(), count)) {
            out.whole.emplace(numbers->begin(), numbers->end());
        }
    } else if (tensor.data_type() == kOnnxFloat) {
        out.floats = elements<float>(tensor, tensor.float_data(), count);
    }
    return out;
}

const ShapeRule* find_rule(const proto::Node& node) {
    // Others may call something else by the same name.
    constexpr std::array<std::string_view, 4> kDomains{"", "ai.onnx", "com.microsoft", "com.microsoft.nchwc"};
    if (std::ranges::find(kDomains, node.domain()) == kDomains.end()) {
        return nullptr;
    }
    for (const auto* rules : {&shape_rules_of_arrays(), &shape_rules_of_layers()}) {
        const auto at = rules->find(node.op_type());
        if (at != rules->end()) {
            return &at->second;
        }
    }
    return nullptr;
}

// Of what the operators with rules answer.
std::int32_t type_of(const ShapeStep& step) {
    static const std::map<std::string_view, std::int32_t> kFixed{
        {"Shape", kOnnxInt64},  {"ArgMax", kOnnxInt64},        {"ArgMin", kOnnxInt64},
        {"Equal", kOnnxBool},   {"Less", kOnnxBool},           {"LessOrEqual", kOnnxBool},
        {"Greater", kOnnxBool}, {"GreaterOrEqual", kOnnxBool},
    };
    const std::string_view name = step.node().op_type();
    if (const auto at = kFixed.find(name); at != kFixed.end()) {
        return at->second;
    }
    if (name == "Cast") {
        return static_cast<std::int32_t>(step.number("to", 0));
    }
    if (name == "ConstantOfShape") {
        const auto* value = step.attribute("value");
        return value == nullptr ? kOnnxFloat : value->t().data_type();
    }
    return step.input(name == "Where" ? 1 : 0).type;
}

}  // namespace

ShapeInference::ShapeInference(const proto::Graph& graph) {
    for (const auto& tensor : graph.initializer()) {
        note(tensor);
    }
    for (const auto& input : graph.input()) {
        const auto& type = input.type().tensor_type();
        if (facts_.contains(input.name())) {
            facts_[input.name()] = {};  // a weight that the caller may replace
        }
        if (!type.has_shape()) {
            continue;
        }
        SymbolicShape shape;
        for (const auto& dim : type.shape().dim()) {
            // What two inputs call by the same name need not be the same number: nobody checks.
            shape.push_back(
                dim.has_dim_value() && dim.dim_value() > 0 ? SymbolicDim(dim.dim_value()) : symbols_.fresh(1)
            );
        }
        facts_[input.name()].shape = std::move(shape);
        facts_[input.name()].type = type.elem_type();
    }
}

void ShapeInference::note(const proto::Tensor& weight) {
    facts_[weight.name()] = facts_of(weight);
}

void ShapeInference::follow(const proto::Node& node) {
    if (node.op_type() == "Constant" && node.output_size() == 1) {
        for (const auto& attribute : node.attribute()) {
            if (attribute.name() == "value") {
                facts_[node.output(0)] = facts_of(attribute.t());
            }
        }
        return;
    }
    const auto* rule = find_rule(node);
    if (rule == nullptr) {
        return;
    }
    ShapeStep step(
        node, [this](const std::string& name) -> const TensorFacts& { return facts(name); }, symbols_
    );
    (*rule)(step);
    const std::int32_t type = type_of(step);
    for (int i = 0; i < node.output_size(); ++i) {
        if (node.output(i).empty()) {
            continue;
        }
        auto& facts = facts_[node.output(i)];
        facts = std::move(step.outputs()[static_cast<std::size_t>(i)]);
        facts.type = type;
    }
}

const TensorFacts& ShapeInference::facts(const std::string& tensor) const {
    static const TensorFacts kNothing;
    const auto at = facts_.find(tensor);
    return at == facts_.end() ? kNothing : at->second;
}

const TensorFacts& ShapeStep::input(int index) const {
    static const std::string kNone;
    return find_(index < node_.input_size() ? node_.input(index) : kNone);
}

std::optional<std::vector<std::int64_t>> ShapeStep::constants(int index) const {
    const auto& whole = input(index).whole;
    if (!whole) {
        return std::nullopt;
    }
    std::vector<std::int64_t> out;
    for (const auto& value : *whole) {
        const auto number = value.constant();
        if (!number) {
            return std::nullopt;
        }
        out.push_back(*number);
    }
    return out;
}

const proto::Attribute* ShapeStep::attribute(std::string_view name) const {
    for (const auto& attribute : node_.attribute()) {
        if (attribute.name() == name) {
            return &attribute;
        }
    }
    return nullptr;
}

std::int64_t ShapeStep::number(std::string_view name, std::int64_t otherwise) const {
    const auto* found = attribute(name);
    return found != nullptr && found->has_i() ? found->i() : otherwise;
}

std::optional<std::vector<std::int64_t>> ShapeStep::numbers(std::string_view name) const {
    const auto* found = attribute(name);
    if (found == nullptr) {
        return std::nullopt;
    }
    constexpr std::int64_t kSenseMax = std::int64_t{1} << 40;
    const auto makes_sense = [](std::int64_t value) { return value <= kSenseMax && value >= -kSenseMax; };
    if (!std::ranges::all_of(found->ints(), makes_sense)) {
        return std::nullopt;
    }
    return std::vector<std::int64_t>(found->ints().begin(), found->ints().end());
}

std::optional<std::vector<std::int64_t>> ShapeStep::numbers_or_input(std::string_view name, int index) const {
    auto out = numbers(name);
    return out ? out : constants(index);
}

void ShapeStep::set(std::size_t output, SymbolicShape shape) {
    if (output < outputs_.size()) {
        outputs_[output].shape = std::move(shape);
    }
}

void ShapeStep::set_whole(SymbolicShape values, bool is_scalar) {
    if (outputs_.empty() || values.size() > kElementsMax) {
        return;
    }
    outputs_[0].shape = is_scalar ? SymbolicShape{} : SymbolicShape{static_cast<std::int64_t>(values.size())};
    outputs_[0].whole = std::move(values);
}

void ShapeStep::set_flags(std::vector<bool> values, bool is_scalar) {
    if (!outputs_.empty()) {
        outputs_[0].shape =
            is_scalar ? SymbolicShape{} : SymbolicShape{static_cast<std::int64_t>(values.size())};
        outputs_[0].flags = std::move(values);
    }
}

std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
    const auto signed_rank = static_cast<std::int64_t>(rank);
    const std::int64_t from_start = axis < 0 ? axis + signed_rank : axis;
    if (from_start < 0 || from_start >= signed_rank) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(from_start);
}

void same_as_first(ShapeStep& step) {
    if (const auto& shape = step.shape(0)) {
        step.set(0, *shape);
    }
}

SymbolicShape broadcast_shapes(SymbolTable& symbols, const SymbolicShape& a, const SymbolicShape& b) {
    const auto& longer = a.size() < b.size() ? b : a;
    const auto& shorter = a.size() < b.size() ? a : b;
    SymbolicShape out = longer;
    const std::size_t lead = longer.size() - shorter.size();
    for (std::size_t i = 0; i < shorter.size(); ++i) {
        out[lead + i] = symbols.broadcast(longer[lead + i], shorter[i]);
    }
    return out;
}

SymbolicDim product_of(SymbolTable& symbols, const SymbolicShape& dims) {
    SymbolicDim out = 1;
    for (const auto& dim : dims) {
        out = symbols.multiply(out, dim);
    }
    return out;
}

}  // namespace framegrid::onnx_graph
