#include <framegrid/onnx_graph/simplify.hpp>

#include <cstring>
#include <initializer_list>
#include <limits>

#include <gtest/gtest.h>

#include <framegrid/onnx_graph/shape_inference.hpp>

namespace framegrid::onnx_graph {
namespace {

using Names = std::initializer_list<const char*>;

// A network, written down node by node. Inputs of -1 are open.
class Network {
  public:
    Network& input(const char* name, std::initializer_list<std::int64_t> shape) {
        auto& value = *graph().add_input();
        value.set_name(name);
        auto& type = *value.mutable_type()->mutable_tensor_type();
        type.set_elem_type(kOnnxFloat);
        for (const auto size : shape) {
            auto& dim = *type.mutable_shape()->add_dim();
            size < 0 ? dim.set_dim_param("open") : dim.set_dim_value(size);
        }
        return *this;
    }
    Network& output(const char* name) {
        graph().add_output()->set_name(name);
        return *this;
    }
    Network& numbers(const char* name, std::initializer_list<std::int64_t> values) {
        auto& tensor = *graph().add_initializer();
        tensor.set_name(name);
        tensor.set_data_type(kOnnxInt64);
        tensor.add_dims(static_cast<std::int64_t>(values.size()));
        tensor.mutable_int64_data()->Add(values.begin(), values.end());
        return *this;
    }
    Network& scalar(const char* name, std::int64_t value) {
        numbers(name, {value});
        graph().mutable_initializer()->rbegin()->clear_dims();
        return *this;
    }
    Network& number(const char* name, float value) {
        auto& tensor = *graph().add_initializer();
        tensor.set_name(name);
        tensor.set_data_type(kOnnxFloat);
        tensor.add_float_data(value);
        return *this;
    }
    Network& node(const char* type, Names inputs, const char* output) {
        auto& node = *graph().add_node();
        node.set_op_type(type);
        for (const auto* name : inputs) {
            node.add_input(name);
        }
        node.add_output(output);
        return *this;
    }
    Network& domain(const char* domain) {
        graph().mutable_node()->rbegin()->set_domain(domain);
        return *this;
    }
    Network& attribute(const char* name, std::int64_t value) {
        auto& attribute = *graph().mutable_node()->rbegin()->add_attribute();
        attribute.set_name(name);
        attribute.set_i(value);
        return *this;
    }
    Network& attribute(const char* name, std::initializer_list<std::int64_t> values) {
        auto& attribute = *graph().mutable_node()->rbegin()->add_attribute();
        attribute.set_name(name);
        attribute.mutable_ints()->Add(values.begin(), values.end());
        return *this;
    }
    proto::Graph& graph() { return *model.mutable_graph(); }

    proto::Model model;
};

proto::Graph simplified(const Network& network) {
    const std::string bytes = network.model.SerializeAsString();
    const auto out = simplify(as_bytes(bytes));
    EXPECT_TRUE(out) << out.error().message;
    proto::Model model;
    EXPECT_TRUE(model.ParseFromString(out->onnx));
    return model.graph();
}

std::vector<std::string> operators(const proto::Graph& graph) {
    std::vector<std::string> out;
    for (const auto& node : graph.node()) {
        out.push_back(node.op_type());
    }
    return out;
}

// The elements of one of the graph's constants.
std::vector<std::int64_t> constant(const proto::Graph& graph, const std::string& name) {
    for (const auto& tensor : graph.initializer()) {
        if (tensor.name() == name) {
            std::vector<std::int64_t> out(tensor.raw_data().size() / sizeof(std::int64_t));
            std::memcpy(out.data(), tensor.raw_data().data(), tensor.raw_data().size());
            return out;
        }
    }
    return {};
}

using Operators = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;

// As exporters split rows of words into heads: [rows, words, 64] to [rows, words, 4, 16].
Network heads(const char* custom = "") {
    Network out;
    out.input("x", {-1, -1, 64}).scalar("zero", 0).scalar("one", 1).scalar("two", 2).scalar("four", 4);
    out.numbers("first", {0}).numbers("count", {4});
    out.node("Shape", {"x"}, "shape").domain(custom);
    for (const auto& [number, size, list] :
         {std::tuple{"zero", "rows", "rows1"}, {"one", "words", "words1"}, {"two", "width", ""}}) {
        out.node("Gather", {"shape", number}, size);
        if (*list != '\0') {
            out.node("Unsqueeze", {size, "first"}, list);
        }
    }
    out.node("Div", {"width", "four"}, "head").node("Unsqueeze", {"head", "first"}, "head1");
    out.node("Concat", {"rows1", "words1", "count", "head1"}, "target").attribute("axis", 0);
    out.node("Reshape", {"x", "target"}, "y").output("y");
    return out;
}

TEST(SimplifyTest, TargetsOfReshapesNeedNoArithmetic) {
    const auto graph = simplified(heads());
    EXPECT_EQ(operators(graph), Operators{"Reshape"});
    EXPECT_EQ(constant(graph, graph.node(0).input(1)), (Numbers{0, 0, 4, 16}));
    EXPECT_EQ(graph.initializer_size(), 1) << "weights that nobody reads are gone";
}

TEST(SimplifyTest, WhatIsLeftIsFoundByDivision) {
    Network network;
    network.input("x", {-1, 4, -1, -1})
        .scalar("two", 2)
        .scalar("three", 3)
        .scalar("zero", 0)
        .numbers("first", {0});
    network.node("Shape", {"x"}, "shape")
        .node("Gather", {"shape", "zero"}, "rows")
        .node("Gather", {"shape", "two"}, "height");
    network.node("Gather", {"shape", "three"}, "width").node("Mul", {"height", "width"}, "pixels");
    network.node("Unsqueeze", {"rows", "first"}, "rows1").node("Unsqueeze", {"pixels", "first"}, "pixels1");
    network.numbers("channels", {4})
        .node("Concat", {"rows1", "channels", "pixels1"}, "target")
        .attribute("axis", 0);
    network.node("Reshape", {"x", "target"}, "y").output("y");
    const auto graph = simplified(network);
    EXPECT_EQ(operators(graph), Operators{"Reshape"});
    EXPECT_EQ(constant(graph, graph.node(0).input(1)), (Numbers{0, 4, -1}));
}

TEST(SimplifyTest, WhereASizeMayBeNothingItIsNotDividedBy) {
    // The first row is left out, and maybe it was the only one.
    Network network;
    network.input("x", {-1, 6})
        .numbers("one", {1})
        .numbers("end", {1 << 30})
        .numbers("first", {0})
        .scalar("zero", 0);
    network.node("Slice", {"x", "one", "end", "first"}, "part")
        .node("Shape", {"part"}, "shape")
        .numbers("three", {3});
    network.node("Gather", {"shape", "zero"}, "rows").node("Unsqueeze", {"rows", "first"}, "rows1");
    network.node("Concat", {"rows1", "three", "rows1"}, "target").attribute("axis", 0);
    network.node("Reshape", {"part", "target"}, "y").output("y");
    const auto graph = simplified(network);
    EXPECT_EQ(graph.node(graph.node_size() - 1).input(1), "target");
}

TEST(SimplifyTest, TensorsOfTheSameShapeAreComputedOnce) {
    Network network;
    network.input("x", {-1, -1}).numbers("first", {0}).scalar("zero", 0).scalar("one", 1);
    for (const std::string layer : {"a", "b", "c"}) {
        const auto name = [&layer](const char* text) { return layer + text; };
        const std::string from = layer == "a" ? "x" : layer == "b" ? "ay" : "by";
        network.node("Relu", {from.c_str()}, name("r").c_str())
            .node("Shape", {name("r").c_str()}, name("shape").c_str());
        network.node("Gather", {name("shape").c_str(), "zero"}, name("rows").c_str());
        network.node("Gather", {name("shape").c_str(), "one"}, name("columns").c_str());
        network.node("Mul", {name("rows").c_str(), name("columns").c_str()}, name("all").c_str());
        network.node("Unsqueeze", {name("all").c_str(), "first"}, name("all1").c_str());
        network.node("ConstantOfShape", {name("all1").c_str()}, name("zeros").c_str());
        network.node("Reshape", {name("zeros").c_str(), name("shape").c_str()}, name("z").c_str());
        network.node("Add", {name("r").c_str(), name("z").c_str()}, name("y").c_str());
    }
    network.output("cy");
    const auto graph = simplified(network);
    const auto names = operators(graph);
    EXPECT_EQ(std::ranges::count(names, "Shape"), 1);
    EXPECT_EQ(std::ranges::count(names, "Mul"), 1);
    EXPECT_EQ(std::ranges::count(names, "Relu"), 3);
    // All tensors of the network itself say the same of their sizes.
    std::map<std::string, std::vector<std::string>> sizes;
    for (const auto& value : graph.value_info()) {
        for (const auto& dim : value.type().tensor_type().shape().dim()) {
            sizes[value.name()].push_back(dim.dim_param());
        }
    }
    EXPECT_EQ(sizes.at("ar").size(), 2U);
    EXPECT_EQ(sizes.at("ar"), sizes.at("br"));
    EXPECT_NE(sizes.at("ar")[0], sizes.at("ar")[1]);
}

TEST(SimplifyTest, NothingIsSaidOfOperatorsThatOthersNamed) {
    const auto before = heads("org.example");
    EXPECT_EQ(operators(simplified(before)), operators(before.model.graph()));
}

TEST(SimplifyTest, AShapeThatIsAnAnswerStays) {
    Network network;
    network.input("x", {2, 3}).node("Shape", {"x"}, "shape").output("shape");
    EXPECT_EQ(operators(simplified(network)), Operators{"Shape"});
}

TEST(SimplifyTest, NamesThatAreTakenAreNotTakenAgain) {
    Network network = heads();
    network.numbers("shape_0_0_4_16", {9})
        .node("Concat", {"shape_0_0_4_16"}, "z")
        .attribute("axis", 0)
        .output("z");
    const auto graph = simplified(network);
    EXPECT_EQ(operators(graph), (Operators{"Reshape", "Concat"}));
    EXPECT_EQ(graph.node(0).input(1), "shape_0_0_4_16_");
    EXPECT_EQ(constant(graph, graph.node(0).input(1)), (Numbers{0, 0, 4, 16}));
}

TEST(SimplifyTest, NetworksWithSubgraphsAreLeftAlone) {
    Network network = heads();
    network.node("If", {"x"}, "z");
    auto& branch = *network.graph().mutable_node()->rbegin()->add_attribute();
    branch.set_name("then_branch");
    branch.set_g("");
    EXPECT_EQ(operators(simplified(network)), operators(network.model.graph()));
}

// scores + zeros * factor, and what comes after.
Network attention(const char* after, float factor, std::initializer_list<std::int64_t> scores) {
    Network out;
    out.input("scores", scores)
        .input("like", {-1, 8, 8})
        .number("factor", factor)
        .node("Shape", {"like"}, "shape");
    out.node("ConstantOfShape", {"shape"}, "zeros").node("Mul", {"zeros", "factor"}, "nothing");
    out.node("Add", {"scores", "nothing"}, "sum").node(after, {"sum"}, "y").output("y");
    return out;
}

TEST(SimplifyTest, ZerosAreNotAdded) {
    // Their sizes are known to be the same only where they are numbers.
    Network network = attention("Softmax", 0.25F, {2, 8, 8});
    network.graph()
        .mutable_input(1)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(0)
        ->set_dim_value(2);
    EXPECT_EQ(operators(simplified(network)), Operators{"Softmax"});
    Network other = attention("Relu", 0.25F, {2, 8, 8});
    EXPECT_EQ(simplified(other).node_size(), 5) << "-0 would stay -0";
    EXPECT_EQ(simplified(attention("Softmax", 0.25F, {1, 8, 8})).node_size(), 5)
        << "the zeros make more rows of it";
    EXPECT_EQ(
        simplified(attention("Softmax", std::numeric_limits<float>::infinity(), {2, 8, 8})).node_size(), 5
    );
}

TEST(SimplifyTest, NumbersBeyondAnySenseDoNoHarm) {
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    Network network;
    network.input("x", {-1, 3, -1, -1})
        .numbers("most", {kMost, kLeast, kMost, kLeast})
        .numbers("least", {kLeast});
    network.numbers("pads", {kMost, kMost, kMost, kMost, kMost, kMost, kMost, kMost}).numbers("empty", {});
    network.node("Pad", {"x", "pads"}, "a").node("Slice", {"x", "most", "most", "most", "most"}, "b");
    network.node("Shape", {"x"}, "shape").node("Slice", {"shape", "least", "least", "least", "least"}, "c");
    network.node("Gather", {"shape", "most"}, "d")
        .node("Mul", {"most", "most"}, "e")
        .node("Div", {"most", "least"}, "f");
    network.node("Sub", {"least", "most"}, "g")
        .node("Unsqueeze", {"x", "most"}, "h")
        .node("Reshape", {"x", "most"}, "i");
    network.node("Conv", {"x", "x"}, "j")
        .attribute("kernel_shape", {kMost, kMost})
        .attribute("strides", {kLeast, 0});
    network.node("ConvTranspose", {"x", "x"}, "k")
        .attribute("kernel_shape", {3, 3})
        .attribute("output_padding", {kMost, 1});
    network.node("Flatten", {"x"}, "l")
        .attribute("axis", kMost)
        .node("Split", {"x", "most"}, "m")
        .attribute("axis", kLeast);
    network.node("Reshape", {"x", "empty"}, "n")
        .node("Shape", {"x"}, "o")
        .attribute("start", kLeast)
        .attribute("end", kMost);
    network.node("ConstantOfShape", {"most"}, "p")
        .node("Expand", {"x", "most"}, "q")
        .node("Add", {}, "r")
        .node("Concat", {}, "s");
    network.node("Upsample", {"x"}, "t")
        .attribute("scales", {kMost, 0, -1, 2})
        .node("Range", {"least", "most", "least"}, "u");
    network.node("DepthToSpace", {"x"}, "v")
        .attribute("blocksize", kMost)
        .node("Equal", {"most", "least"}, "w");
    network.node("Where", {"w", "most", "empty"}, "y").node("ConvTranspose", {"x", "least"}, "z");
    network.attribute("kernel_shape", {2, 2});
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
                             "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "y", "z"}) {
        network.output(name);
    }
    EXPECT_EQ(simplified(network).node_size(), network.graph().node_size());
}

TEST(SimplifyTest, WhatIsNoNetworkIsRefused) {
    EXPECT_EQ(simplify(as_bytes("no network")).error().code, Errc::kUnprocessable);
    EXPECT_EQ(simplify({}).error().code, Errc::kUnprocessable);
}

}  // namespace
}  // namespace framegrid::onnx_graph
