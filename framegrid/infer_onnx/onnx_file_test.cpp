#include <framegrid/infer_onnx/onnx_file.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::infer_onnx {
namespace {

// A protobuf field with a length.
std::string field(unsigned number, const std::string& bytes) {
    std::string out;
    for (std::uint64_t key = number << 3 | 2;; key >>= 7) {
        out += static_cast<char>(key < 0x80 ? key : (key & 0x7F) | 0x80);
        if (key < 0x80) {
            break;
        }
    }
    for (std::uint64_t size = bytes.size();; size >>= 7) {
        out += static_cast<char>(size < 0x80 ? size : (size & 0x7F) | 0x80);
        if (size < 0x80) {
            break;
        }
    }
    return out + bytes;
}

std::string external_tensor(const std::string& name, const std::string& location) {
    return field(8, name) + field(13, field(1, "location") + field(2, location));
}

std::string number(unsigned key, char value) {
    return {static_cast<char>(key << 3), value};
}

// ValueInfoProto of a tensor; negative sides have a name instead of a number.
std::string value(const std::string& name, char element = 1, const std::vector<int>& shape = {}) {
    std::string sides;
    for (const int side : shape) {
        sides += field(1, side < 0 ? field(2, "height") : number(1, static_cast<char>(side)));
    }
    return field(1, name) + field(2, field(1, number(1, element) + field(2, sides)));
}

std::vector<std::string> names(const std::vector<api::TensorInfo>& tensors) {
    std::vector<std::string> out;
    for (const auto& tensor : tensors) {
        out.push_back(tensor.name);
    }
    return out;
}

OnnxSummary scan(const std::string& model) {
    auto summary = scan_onnx(as_bytes(model));
    EXPECT_TRUE(summary) << summary.error().message;
    return summary ? *summary : OnnxSummary{};
}

TEST(OnnxFile, InputsWithoutWeights) {
    const std::string graph = field(5, field(8, "w")) + field(11, value("w")) + field(11, value("sample")) +
                              field(11, value("timestep")) + field(12, value("out_sample"));
    const auto summary = scan(field(7, graph));
    EXPECT_THAT(names(summary.inputs), testing::ElementsAre("sample", "timestep"));
    EXPECT_THAT(names(summary.outputs), testing::ElementsAre("out_sample"));
    EXPECT_TRUE(summary.external.empty());
}

TEST(OnnxFile, TypesAndShapes) {
    constexpr char kFloat16 = 10, kInt64 = 7;
    const std::string graph = field(11, value("image", kFloat16, {1, 3, -1, -1})) +
                              field(11, value("ids", kInt64, {1, 77})) + field(11, field(1, "untyped")) +
                              field(12, value("out", 1, {-1, 64}));
    const auto summary = scan(field(7, graph));
    ASSERT_EQ(summary.inputs.size(), 3U);
    EXPECT_EQ(summary.inputs[0], (api::TensorInfo{"image", true, {1, 3, -1, -1}}));
    EXPECT_EQ(summary.inputs[1], (api::TensorInfo{"ids", false, {1, 77}}));
    EXPECT_EQ(summary.inputs[2], (api::TensorInfo{"untyped", true, {}}));
    EXPECT_EQ(summary.outputs[0], (api::TensorInfo{"out", true, {-1, 64}}));
    const std::string wide = field(7, field(11, value("w", 1, std::vector<int>(100, 1))));
    EXPECT_EQ(scan_onnx(as_bytes(wide)).error().code, Errc::kUnprocessable);
}

TEST(OnnxFile, WeightsElsewhereAreFoundWhereverTheyHide) {
    const std::string initializer = field(5, external_tensor("a", "a.bin"));
    const std::string attribute = field(1, field(5, field(5, external_tensor("b", "../b.bin"))));
    const std::string branch = field(1, field(5, field(6, field(5, external_tensor("c", "/etc/passwd")))));
    const std::string sparse = field(15, field(1, external_tensor("d", "d.bin")));
    const std::string function = field(25, field(7, field(5, field(10, external_tensor("e", "e.bin")))));
    const auto summary = scan(field(7, initializer + attribute + branch + sparse) + function);
    EXPECT_THAT(summary.external, testing::ElementsAre("../b.bin", "/etc/passwd", "a.bin", "d.bin", "e.bin"));
}

TEST(OnnxFile, RubbishIsAnError) {
    for (const auto& bad :
         {std::string(), std::string("not a model"),
          std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),
          std::string("\x3a\xff\xff\xff\xff\x0f", 6), field(1, "x"),
          field(7, field(11, value(std::string(5000, 'n')))), field(20, "training") + field(7, "")}) {
        EXPECT_EQ(scan_onnx(as_bytes(bad)).error().code, Errc::kUnprocessable) << bad.size();
    }
    std::string deep = field(5, external_tensor("x", "x"));
    for (int i = 0; i < 100; ++i) {
        deep = field(1, field(5, field(6, deep)));
    }
    EXPECT_NE(scan_onnx(as_bytes(field(7, deep))).error().message.find("deep"), std::string::npos);
}

TEST(OnnxFile, ShippedNetworks) {
    std::ifstream file(std::filesystem::path(FG_MODELS_DIR) / "framegrid/sr-2x/model.onnx", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const auto inputs = scan(bytes).inputs;
    ASSERT_EQ(inputs.size(), 1U);
    EXPECT_EQ(inputs[0], (api::TensorInfo{"tiles", true, {-1, 3, -1, -1}}));
    for (std::size_t cut = 1; cut < bytes.size(); cut += 997) {
        (void)scan_onnx(as_bytes(std::string_view(bytes).substr(0, cut)));
    }
}

}  // namespace
}  // namespace framegrid::infer_onnx
