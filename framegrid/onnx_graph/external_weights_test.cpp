#include <framegrid/onnx_graph/external_weights.hpp>

#include <gtest/gtest.h>

#include <framegrid/onnx_graph/onnx_graph.pb.h>

namespace framegrid::onnx_graph {
namespace {

std::string with_entry(const char* key, const char* value) {
    proto::Model model;
    auto& entry = *model.mutable_graph()->add_initializer()->add_external_data();
    entry.set_key(key);
    entry.set_value(value);
    return model.SerializeAsString();
}

TEST(ExternalWeightsTest, BlocksOfKernelsLieAtMultiplesOf64) {
    const auto aligned = [](const char* key, const char* value) {
        const std::string onnx = with_entry(key, value);
        return are_prepacked_aligned(as_bytes(onnx)).value();
    };
    EXPECT_TRUE(aligned("offset", "46944")) << "weights themselves may lie anywhere";
    EXPECT_TRUE(aligned("prepacked_0", "MatMul+15774371247503923520|48128;1536;0|49664;64;0"));
    EXPECT_FALSE(aligned("prepacked_0", "MatMul+15774371247503923520|48096;1536;0"));
    EXPECT_FALSE(aligned("prepacked_1", "MatMul+1|64;1536;0|65;64;0"));
    EXPECT_FALSE(aligned("prepacked_0", "MatMul+1|somewhere;1536;0"));
}

TEST(ExternalWeightsTest, WhatIsNoNetworkIsRefused) {
    EXPECT_EQ(are_prepacked_aligned(as_bytes("no network")).error().code, Errc::kUnprocessable);
}

}  // namespace
}  // namespace framegrid::onnx_graph
