#include <framegrid/engine/image_network.hpp>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

using Shape = std::vector<std::int64_t>;

// Repeats every pixel, whatever the layout and type, for sides that divide by `multiple`.
class RepeatNetwork final : public api::TensorModel {
  public:
    RepeatNetwork(api::TensorInfo input, api::TensorInfo output, int scale, int multiple = 1)
        : inputs_{std::move(input)}, outputs_{std::move(output)}, scale_(scale), multiple_(multiple) {}
    const std::vector<api::TensorInfo>& inputs() const override { return inputs_; }
    const std::vector<api::TensorInfo>& outputs() const override { return outputs_; }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> given) override {
        const api::Tensor& in = *given.front().tensor;
        seen.push_back(in.shape);
        const bool last = is_last(in.shape);
        const Shape planes = last ? Shape{in.shape[0], in.shape[3], in.shape[1], in.shape[2]} : in.shape;
        if (planes[2] % multiple_ != 0 || planes[3] % multiple_ != 0) {
            return fail(Errc::kUnprocessable, "the sides do not divide");
        }
        const Shape out{planes[0], planes[1], planes[2] * scale_ + odd, planes[3] * scale_};
        std::vector<float> values;
        for (std::int64_t n = 0; n < out[0]; ++n) {
            for (std::int64_t i = 0; i < out[1] * out[2] * out[3]; ++i) {
                const auto [c, y, x] =
                    last ? split(i, out[3], out[1], true) : split(i, out[3], out[2], false);
                const std::int64_t from_y = std::min(y / scale_, planes[2] - 1);
                values.push_back(value(in, planes, last, n, c, from_y, x / scale_));
            }
        }
        if (outputs_[0].is_float) {
            return std::vector<api::Tensor>{{last ? Shape{out[0], out[2], out[3], out[1]} : out, values}};
        }
        return std::vector<api::Tensor>{
            {last ? Shape{out[0], out[2], out[3], out[1]} : out,
             std::vector<std::int64_t>(values.begin(), values.end())}
        };
    }

    std::vector<Shape> seen;
    int odd = 0;

  private:
    struct Place {
        std::int64_t c, y, x;
    };
    static bool is_last(const Shape& shape) { return shape[3] == 3 && shape[1] != 3; }
    static Place split(std::int64_t i, std::int64_t width, std::int64_t second, bool last) {
        return last ? Place{i % second, i / second / width, i / second % width}
                    : Place{i / width / second, i / width % second, i % width};
    }
    static float value(
        const api::Tensor& in, const Shape& planes, bool last, std::int64_t n, std::int64_t c, std::int64_t y,
        std::int64_t x
    ) {
        const std::int64_t at = last ? ((n * planes[2] + y) * planes[3] + x) * planes[1] + c
                                     : ((n * planes[1] + c) * planes[2] + y) * planes[3] + x;
        const auto index = static_cast<std::size_t>(at);
        return std::holds_alternative<std::vector<float>>(in.values)
                   ? in.floats()[index]
                   : static_cast<float>(in.integers()[index]);
    }

    std::vector<api::TensorInfo> inputs_;
    std::vector<api::TensorInfo> outputs_;
    int scale_;
    int multiple_;
};

ModelManifest guess(const api::TensorModel& network) {
    ModelManifest manifest;
    manifest.id = "acme/sr";
    manifest.input.name = network.inputs().front().name;
    manifest.output.name = network.outputs().front().name;
    manifest.image = {.scale = 0, .overlap = 32, .batch = 4, .edges = Edges::kReflect, .is_guess = true};
    return manifest;
}

const Shape kPlanes{-1, 3, -1, -1};

TEST(ImageNetwork, ScaleAndMultipleAreMeasured) {
    for (const auto& [scale, multiple] : {std::pair{1, 1}, {2, 2}, {3, 1}, {4, 4}, {8, 64}}) {
        RepeatNetwork network({"in", true, kPlanes}, {"out", true, kPlanes}, scale, multiple);
        auto manifest = guess(network);
        const auto fitted = fit_manifest(manifest, network);
        ASSERT_TRUE(fitted) << fitted.error().message;
        EXPECT_EQ(manifest.image.scale, scale);
        EXPECT_EQ(manifest.image.multiple, multiple);
        EXPECT_FALSE(manifest.image.is_guess);
        EXPECT_LE(network.seen.back()[2], 64);
    }
}

TEST(ImageNetwork, WhatIsStatedIsNotMeasured) {
    RepeatNetwork network({"in", true, kPlanes}, {"out", true, kPlanes}, 2);
    auto manifest = guess(network);
    manifest.image.scale = 2;
    manifest.image.is_guess = false;
    ASSERT_TRUE(fit_manifest(manifest, network));
    EXPECT_TRUE(network.seen.empty());
}

TEST(ImageNetwork, FixedTilesAreKeptTo) {
    RepeatNetwork network({"in", true, {1, 3, 48, 96}}, {"out", true, {1, 3, 96, 192}}, 2);
    auto manifest = guess(network);
    ASSERT_TRUE(fit_manifest(manifest, network));
    EXPECT_EQ(network.seen, std::vector<Shape>{(Shape{1, 3, 48, 96})});
    EXPECT_EQ(manifest.image.fixed, (media::Size{96, 48}));
    EXPECT_EQ(manifest.image.batch, 1);
    EXPECT_EQ(manifest.image.scale, 2);
    EXPECT_TRUE(has_room(manifest.image));
}

TEST(ImageNetwork, WhatIsNoEnlargingNetworkIsNamed) {
    RepeatNetwork odd({"in", true, kPlanes}, {"upscaled", true, kPlanes}, 2);
    odd.odd = 1;
    RepeatNetwork large({"in", true, kPlanes}, {"upscaled", true, kPlanes}, 16);
    for (auto* network : {&odd, &large}) {
        auto manifest = guess(*network);
        const auto fitted = fit_manifest(manifest, *network);
        ASSERT_FALSE(fitted);
        EXPECT_EQ(fitted.error().code, Errc::kUnprocessable);
        EXPECT_NE(fitted.error().message.find("(upscaled)"), std::string::npos) << fitted.error().message;
    }
    RepeatNetwork several({"in", true, {4, 3, 64, 64}}, {"out", true, {4, 3, 64, 64}}, 1);
    auto manifest = guess(several);
    EXPECT_NE(fit_manifest(manifest, several).error().message.find("in [4, 3, 64, 64]"), std::string::npos);
    manifest = guess(odd);
    manifest.output.name = "other";
    EXPECT_NE(fit_manifest(manifest, odd).error().message.find("upscaled [?, 3, ?, ?]"), std::string::npos);
}

// Bytes, white as 255, and colours on the last axis come to the same.
TEST(ImageNetwork, EveryWayOfGivingAPicture) {
    const Shape last{-1, -1, -1, 3};
    std::vector<float> tiles;
    for (int i = 0; i < 2 * 3 * 4 * 5; ++i) {
        tiles.push_back(static_cast<float>(i) / 255.0F);
    }
    std::vector<float> wanted;
    for (const auto& [input, output, value_max] :
         {std::tuple{api::TensorInfo{"in", true, kPlanes}, api::TensorInfo{"out", true, kPlanes}, 1},
          {{"in", true, last}, {"out", true, last}, 1},
          {{"in", true, kPlanes}, {"out", true, kPlanes}, 255},
          {{"in", false, last}, {"out", false, last}, 255}}) {
        auto network = std::make_unique<RepeatNetwork>(input, output, 2);
        auto manifest = guess(*network);
        manifest.image.scale = 2;
        manifest.image.value_max = value_max;
        auto model = make_image_model(manifest, std::move(network));
        ASSERT_TRUE(model) << model.error().message;
        const auto out = (*model)->infer(tiles, 2, 4, 5);
        ASSERT_TRUE(out) << out.error().message;
        if (wanted.empty()) {
            wanted = *out;
        }
        ASSERT_EQ(out->size(), wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            ASSERT_NEAR((*out)[i], wanted[i], 1e-6) << i << " " << value_max;
        }
        EXPECT_FALSE((*model)->infer(tiles, 1, 4, 5));
        EXPECT_FALSE((*model)->infer({}, 0, 0, 0));
    }
}

}  // namespace
}  // namespace framegrid::engine
