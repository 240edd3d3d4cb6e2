#include <framegrid/engine/interpolation.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

using Shape = std::vector<std::int64_t>;

// Mixes its two pictures, whatever the layout: the arithmetic of a perfect network for a fade.
class FadeModel final : public api::TensorModel {
  public:
    explicit FadeModel(std::vector<api::TensorInfo> inputs) : inputs_(std::move(inputs)) {}
    FadeModel(std::vector<api::TensorInfo> inputs, std::vector<api::TensorInfo> outputs)
        : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
    const std::vector<api::TensorInfo>& inputs() const override { return inputs_; }
    const std::vector<api::TensorInfo>& outputs() const override { return outputs_; }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> given) override {
        ++calls;
        std::vector<const api::Tensor*> pictures;
        float time = 0.5F;
        for (const auto& input : given) {
            shapes.push_back(input.tensor->shape);
            if (input.name == "dt" || input.name.find("time") != std::string_view::npos) {
                time = input.tensor->floats().back();
            } else {
                pictures.push_back(input.tensor);
            }
        }
        const api::Tensor& first = *pictures[0];
        api::Tensor out{first.shape, {}};
        std::size_t size = first.floats().size();
        if (pictures.size() == 1) {
            const auto plane = size / static_cast<std::size_t>(first.shape[1]);
            size = 3 * plane;
            out.shape[1] = 3;
            time = first.shape[1] > 6 ? first.floats()[6 * plane] : time;
            joined = first;
        }
        std::vector<float> values(size);
        for (std::size_t i = 0; i < size; ++i) {
            const float after = pictures.size() == 1 ? first.floats()[size + i] : pictures[1]->floats()[i];
            values[i] = first.floats()[i] * (1 - time) + after * time;
        }
        out.values = std::move(values);
        if (wrong_size) {
            out.shape = {1, 3, 1, 1};
        }
        std::vector<api::Tensor> all(outputs_.size());
        all[outputs_.size() > 1 ? 1 : 0] = std::move(out);
        return all;
    }

    int calls = 0;
    bool wrong_size = false;
    std::vector<Shape> shapes;
    api::Tensor joined;  // the last input that held both pictures

  private:
    std::vector<api::TensorInfo> inputs_;
    std::vector<api::TensorInfo> outputs_{{"output", true, {-1, -1, -1, -1}}};
};

// Each colour and pixel its own value, so that a wrong layout shows.
api::RgbImage picture(int width, int height, int base) {
    api::RgbImage out{width, height, {}};
    for (int i = 0; i < width * height * 3; ++i) {
        out.pixels.push_back(static_cast<std::uint8_t>(base + i));
    }
    return out;
}

struct Layout {
    const char* name;
    std::vector<api::TensorInfo> inputs;
    bool any_time = true;
};

std::vector<Layout> layouts() {
    const Shape planes{-1, 3, -1, -1};
    return {
        {"rife", {{"img0", true, planes}, {"img1", true, planes}, {"timestep", true, {1}}}},
        {"rife_number", {{"img0", true, planes}, {"img1", true, planes}, {"timestep", true, {}}}},
        {"rife_four_axes", {{"img0", true, planes}, {"img1", true, planes}, {"timestep", true, {1, 1, 1, 1}}}
        },
        {"rife_plane", {{"img0", true, planes}, {"img1", true, planes}, {"timestep", true, {-1, 1, -1, -1}}}},
        {"film", {{"x0", true, {-1, -1, -1, 3}}, {"x1", true, {-1, -1, -1, 3}}, {"time", true, {-1, 1}}}},
        {"joined_7", {{"input", true, {1, 7, -1, -1}}}},
        {"joined_8", {{"input", true, {1, 8, -1, -1}}}},
        {"joined_11", {{"input", true, {1, 11, -1, -1}}}},
        {"joined_6", {{"input", true, {1, 6, -1, -1}}}, false},
        {"film_first", {{"dt", true, {1, 1}}, {"x1", true, planes}, {"x0", true, planes}}},
        {"middle", {{"frame_1", true, planes}, {"frame_2", true, planes}}, false},
    };
}

TEST(interpolation, every_known_layout) {
    const api::StopFlag stop{false};
    const auto before = picture(5, 3, 10);
    const auto after = picture(5, 3, 110);
    for (const Layout& layout : layouts()) {
        FadeModel model(layout.inputs);
        auto interpolator = Interpolator::make(model, 4);
        ASSERT_TRUE(interpolator) << layout.name << ": " << interpolator.error().message;
        for (const double time : {0.25, 0.5, 0.75}) {
            const auto between = interpolator->between(before, after, time, stop);
            ASSERT_TRUE(between) << layout.name << ": " << between.error().message;
            ASSERT_EQ(between->pixels.size(), before.pixels.size());
            for (std::size_t i = 0; i < before.pixels.size(); ++i) {
                EXPECT_NEAR(between->pixels[i], before.pixels[i] + 100 * time, 1)
                    << layout.name << " " << time;
            }
        }
        EXPECT_EQ(model.calls, layout.any_time ? 3 : 5) << layout.name;
        const Shape& padded = model.shapes.front();
        EXPECT_EQ(padded[padded.back() == 3 ? 1 : 2], 4) << layout.name;
        EXPECT_EQ(padded[padded.back() == 3 ? 2 : 3], 8) << layout.name;
    }
}

TEST(interpolation, a_network_that_knows_the_middle_is_halved_to_any_time) {
    const api::StopFlag stop{false};
    FadeModel model({{"a", true, {-1, 3, -1, -1}}, {"b", true, {-1, 3, -1, -1}}});
    auto interpolator = Interpolator::make(model, 1).value();
    for (const double time : {0.01, 0.33, 0.66, 0.99}) {
        const auto between = interpolator.between(picture(2, 2, 0), picture(2, 2, 200), time, stop);
        ASSERT_TRUE(between);
        EXPECT_NEAR(between->pixels[0], 200 * time, 200.0 / 32 + 2) << time;
    }
    EXPECT_LE(model.calls, 4 * 5);
}

TEST(interpolation, what_goes_with_joined_pictures) {
    const api::StopFlag stop{false};
    for (const std::int64_t channels : {8, 11}) {
        FadeModel model({{"input", true, {1, channels, -1, -1}}});
        auto interpolator = Interpolator::make(model, 4).value();
        ASSERT_TRUE(interpolator.between(picture(5, 3, 10), picture(5, 3, 110), 0.25, stop));
        const auto at = [&](int channel, int x, int y) {
            return model.joined.floats()[static_cast<std::size_t>((channel * 4 + y) * 8 + x)];
        };
        EXPECT_FLOAT_EQ(at(6, 3, 2), 0.25F);
        if (channels == 8) {
            EXPECT_FLOAT_EQ(at(7, 7, 3), 1) << "pictures are not scaled";
            continue;
        }
        EXPECT_FLOAT_EQ(at(7, 0, 3), -1);
        EXPECT_FLOAT_EQ(at(7, 7, 0), 1);
        EXPECT_FLOAT_EQ(at(8, 7, 0), -1);
        EXPECT_FLOAT_EQ(at(8, 0, 3), 1);
        EXPECT_FLOAT_EQ(at(9, 1, 1), 2.0F / 7);
        EXPECT_FLOAT_EQ(at(10, 1, 1), 2.0F / 3);
    }
}

TEST(interpolation, the_picture_is_found_among_outputs) {
    const Shape last{-1, -1, -1, 3};
    const std::vector<api::TensorInfo> inputs{
        {"time", true, {-1, 1}}, {"x0", true, last}, {"x1", true, last}
    };
    for (const std::vector<api::TensorInfo>& outputs :
         {std::vector<api::TensorInfo>{{"flow", true, {-1, -1, -1, 2}}, {"picture", true, last}},
          {{"a_warped", true, last}, {"image", true, last}, {"x1_warped", true, last}}}) {
        EXPECT_EQ(InterpolationTensors::find(inputs, outputs).value().output, 1U);
        FadeModel model(inputs, outputs);
        auto interpolator = Interpolator::make(model, 1).value();
        const api::StopFlag stop{false};
        EXPECT_TRUE(interpolator.between(picture(2, 2, 0), picture(2, 2, 100), 0.5, stop));
    }
    const auto none = InterpolationTensors::find(inputs, {{"flow", true, {-1, -1, -1, 2}}});
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("flow [?, ?, ?, 2]"), std::string::npos) << none.error().message;
}

TEST(interpolation, a_network_of_one_size_gets_that_size) {
    const api::StopFlag stop{false};
    const Shape planes{1, 3, 8, 16};
    FadeModel model({{"img0", true, planes}, {"img1", true, planes}, {"timestep", true, {1}}});
    auto interpolator = Interpolator::make(model, 64).value();
    ASSERT_TRUE(interpolator.between(picture(5, 3, 10), picture(5, 3, 110), 0.5, stop));
    EXPECT_EQ(model.shapes.front(), planes);
    const auto larger = interpolator.between(picture(17, 3, 10), picture(17, 3, 110), 0.5, stop);
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error().code, Errc::kInvalidArgument);
    EXPECT_NE(larger.error().message.find("16x8"), std::string::npos) << larger.error().message;
}

TEST(interpolation, cuts_are_seen_and_movement_is_none) {
    const auto flat = [](std::uint8_t value) { return api::RgbImage{8, 8, Bytes(8 * 8 * 3, value)}; };
    EXPECT_TRUE(is_cut(flat(20), flat(200)));
    EXPECT_FALSE(is_cut(flat(20), flat(60)));
    auto moved = flat(20);
    std::fill_n(moved.pixels.begin(), moved.pixels.size() / 8, 250);  // an eighth of the picture changes
    EXPECT_FALSE(is_cut(flat(20), moved));
    EXPECT_FALSE(is_cut({}, {}));
}

TEST(interpolation, what_does_not_fit_is_refused) {
    const Shape planes{-1, 3, -1, -1};
    const std::vector<std::vector<api::TensorInfo>> unknown{
        {},
        {{"img0", true, planes}},
        {{"input", true, {1, 9, -1, -1}}},
        {{"img0", true, planes}, {"img1", true, planes}, {"img2", true, planes}},
        {{"img0", true, planes}, {"img1", true, {-1, -1, -1, 3}}},
        {{"img0", true, planes}, {"ids", false, {1}}},
    };
    for (const auto& inputs : unknown) {
        FadeModel model(inputs);
        const auto interpolator = Interpolator::make(model, 4);
        ASSERT_FALSE(interpolator);
        EXPECT_EQ(interpolator.error().code, Errc::kUnprocessable);
    }
    FadeModel model({{"img0", true, planes}, {"img1", true, planes}});
    auto interpolator = Interpolator::make(model, 4).value();
    api::StopFlag stop{false};
    EXPECT_EQ(
        interpolator.between(picture(2, 2, 0), picture(3, 2, 0), 0.5, stop).error().code,
        Errc::kInvalidArgument
    );
    model.wrong_size = true;
    EXPECT_EQ(
        interpolator.between(picture(2, 2, 0), picture(2, 2, 0), 0.5, stop).error().code, Errc::kUnprocessable
    );
    stop = true;
    EXPECT_EQ(
        interpolator.between(picture(2, 2, 0), picture(2, 2, 0), 0.5, stop).error().code, Errc::kCancelled
    );
}

}  // namespace
}  // namespace framegrid::engine
