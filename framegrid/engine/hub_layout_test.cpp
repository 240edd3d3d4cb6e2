#include <framegrid/engine/hub_layout.hpp>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

using Infos = std::vector<api::TensorInfo>;

const api::TensorInfo kAnyPicture{"input", true, {-1, 3, -1, -1}};
const api::TensorInfo kAnyResult{"output", true, {-1, 3, -1, -1}};

SingleNetwork network(Infos inputs, Infos outputs = {kAnyResult}, std::string path = "model.onnx") {
    return {{std::move(path), 1000}, {}, std::move(inputs), std::move(outputs)};
}

TEST(HubLayout, NamesSayByHowMuchANetworkEnlarges) {
    for (const auto& [name, scale] :
         {std::pair{"RealESRGAN_x4plus.onnx", 4},
          {"RealESRGAN_x2plus.onnx", 2},
          {"realesr-general-x4v3", 4},
          {"4xNomos8kSCSRFormer", 4},
          {"2x_ModernSpanimationV1", 2},
          {"caidas/swin2SR-classical-sr-x2-64", 2},
          {"esrgan_256x256_X4", 4},
          {"model_1x3x256x256", 0},
          {"max.onnx", 0},
          {"x64.onnx", 0},
          {"x9", 0},
          {"", 0},
          {"x", 0}}) {
        EXPECT_EQ(scale_of_name(name), scale) << name;
    }
}

TEST(HubLayout, TheNetworkOfADirectoryIsFound) {
    const auto chosen = [](const std::vector<std::string>& paths) {
        const auto found = choose_network(paths);
        return found ? *found : std::string(to_string(found.error().code));
    };
    EXPECT_EQ(chosen({"README.md", "RealESRGAN_x4plus.onnx"}), "RealESRGAN_x4plus.onnx");
    EXPECT_EQ(chosen({"model.onnx", "model_fp16.onnx"}), "model.onnx");
    EXPECT_EQ(chosen({"config.json", "onnx/model.onnx", "onnx/model_fp16.onnx"}), "onnx/model.onnx");
    EXPECT_EQ(chosen({"a.onnx", "b.onnx"}), to_string(Errc::kUnsupported));
    EXPECT_EQ(chosen({"onnx/other.onnx"}), to_string(Errc::kNotFound));
    EXPECT_TRUE(is_beside("onnx/model.onnx", "onnx/model.onnx_data"));
    EXPECT_TRUE(is_beside("onnx/model.onnx", "config.json"));
    EXPECT_FALSE(is_beside("onnx/model.onnx", "onnx/model_fp16.onnx"));
    EXPECT_FALSE(is_beside("model.onnx", "onnx/model.onnx"));
}

TEST(HubLayout, APictureInAndAPictureOutEnlarges) {
    const auto manifest = describe_single("acme/sr", network({kAnyPicture}, {kAnyResult}, "net_x4.onnx"));
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->pipelines, std::vector<std::string>{"upscale"});
    EXPECT_EQ(manifest->image.scale, 4);
    EXPECT_TRUE(manifest->image.is_guess);
    EXPECT_EQ(manifest->image.edges, Edges::kReflect);
    EXPECT_EQ(describe_single("acme/sr", network({kAnyPicture}))->image.scale, 0);
}

TEST(HubLayout, SizesOfItsOwnSayMoreThanAName) {
    const api::TensorInfo input{"x", true, {1, 3, 128, 64}};
    const api::TensorInfo output{"y", true, {1, 3, 256, 128}};
    const auto manifest = describe_single("acme/sr-x4", network({input}, {output}));
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->image.scale, 2);
    EXPECT_FALSE(manifest->image.is_guess);
    EXPECT_EQ(manifest->image.fixed, (media::Size{64, 128}));
    EXPECT_EQ(manifest->image.overlap, 8);
    EXPECT_TRUE(has_room(manifest->image));
    const auto again = parse_manifest(format_manifest([&] {
        auto pinned = *manifest;
        pinned.files.front().sha256 = std::string(64, 'a');
        return pinned;
    }()));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->image.fixed, manifest->image.fixed);
    EXPECT_EQ(again->image.edges, manifest->image.edges);
}

TEST(HubLayout, Swin2SrIsReadFromItsConfigurations) {
    auto swin =
        network({{"pixel_values", true, {-1, -1, -1, -1}}}, {{"reconstruction", true, {-1, 3, -1, -1}}});
    swin.config = R"({"model_type": "swin2sr", "upscale": 2, "window_size": 8})";
    swin.preprocessor = R"({"do_pad": true, "pad_size": 16, "rescale_factor": 0.00392156862745098})";
    const auto manifest = describe_single("acme/swin", swin);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->image.scale, 2);
    EXPECT_FALSE(manifest->image.is_guess);
    EXPECT_EQ(manifest->image.multiple, 16);
    EXPECT_EQ(manifest->image.edges, Edges::kMirror);
    swin.preprocessor = R"({"do_pad": false})";
    EXPECT_EQ(describe_single("acme/swin", swin)->image.multiple, 1);
    swin.config = R"({"model_type": "swin2sr", "upscale": 64})";
    EXPECT_EQ(describe_single("acme/swin", swin).error().field, "upscale");
    swin.config = "[";
    EXPECT_EQ(describe_single("acme/swin", swin).error().code, Errc::kUnprocessable);
}

TEST(HubLayout, TwoPicturesInterpolate) {
    const api::TensorInfo time{"time", true, {-1, 1}};
    const Infos film{time, {"x0", true, {-1, -1, -1, 3}}, {"x1", true, {-1, -1, -1, 3}}};
    const Infos film_outputs{
        {"forward_flow_pyramid", true, {-1, -1, -1, 2}}, {"image", true, {-1, -1, -1, 3}}
    };
    for (const auto& [inputs, outputs] :
         {std::pair{film, film_outputs},
          {Infos{{"img0", true, {1, 3, -1, -1}}, {"img1", true, {1, 3, -1, -1}}}, Infos{kAnyResult}},
          {Infos{{"input", true, {1, 7, -1, -1}}}, Infos{kAnyResult}},
          {Infos{{"input", true, {1, 11, -1, -1}}}, Infos{kAnyResult}}}) {
        const auto manifest = describe_single("acme/rife", network(inputs, outputs));
        ASSERT_TRUE(manifest) << manifest.error().message;
        EXPECT_EQ(manifest->layout, ModelLayout::kInterpolation) << inputs.front().name;
        EXPECT_EQ(manifest->multiple, 64);
    }
    EXPECT_EQ(describe_single("acme/rife_v4.25_lite", network(film, film_outputs))->multiple, 128);
}

TEST(HubLayout, WhatNoPipelineFeedsIsNamed) {
    const Infos text{{"input_ids", false, {1, 77}}};
    for (const auto& [inputs, outputs, name] :
         {std::tuple{text, Infos{kAnyResult}, "input_ids [1, 77] of integers"},
          {Infos{{"luma", true, {1, 1, 224, 224}}}, Infos{kAnyResult}, "luma [1, 1, 224, 224]"},
          {Infos{kAnyPicture}, Infos{{"logits", true, {-1, 1000}}}, "logits [?, 1000]"},
          {Infos{}, Infos{}, "nothing"}}) {
        const auto manifest = describe_single("acme/other", network(inputs, outputs));
        ASSERT_FALSE(manifest);
        EXPECT_EQ(manifest.error().code, Errc::kUnsupported);
        EXPECT_NE(manifest.error().message.find(name), std::string::npos) << manifest.error().message;
    }
}

}  // namespace
}  // namespace framegrid::engine
