#include <framegrid/engine/upscale.hpp>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>

namespace framegrid::engine {
namespace {

using testing::make_noise;
using testing::NearestModel;
using testing::repeat_pixels;

constexpr std::int64_t kNoLimit = 1'000'000;

TEST(Upscale, TiledEqualsUntiledForAnySize) {
    for (const int scale : {1, 2, 4}) {
        for (const auto& [width, height] : {std::pair{1, 1}, {2, 1}, {17, 16}, {16, 17}, {50, 33}, {64, 7}}) {
            NearestModel model(scale);
            const auto image = make_noise(width, height);
            const ImageSpec spec{.scale = scale, .tile = 24, .overlap = 4, .batch = 3};
            const api::StopFlag stop = false;
            const auto out = upscale(model, spec, image, kNoLimit, stop);
            ASSERT_TRUE(out) << out.error().message;
            const auto expected = repeat_pixels(image, scale);
            EXPECT_EQ(out->width, expected.width);
            EXPECT_EQ(out->height, expected.height);
            EXPECT_EQ(out->pixels, expected.pixels) << width << "x" << height << " by " << scale;
        }
    }
}

TEST(Upscale, BatchesAreBounded) {
    NearestModel model(2);
    const api::StopFlag stop = false;
    ASSERT_TRUE(upscale(
        model, {.scale = 2, .tile = 16, .overlap = 2, .batch = 4}, make_noise(100, 100), kNoLimit, stop
    ));
    EXPECT_EQ(model.tiles_seen, 81);
    EXPECT_EQ(model.calls, 21);
    EXPECT_LE(model.floats_max, 4U * 3 * 16 * 16);
}

TEST(Upscale, StopsBetweenBatches) {
    NearestModel model(2);
    api::StopFlag stop = false;
    model.on_infer = [&] { stop = model.calls == 2; };
    const auto out = upscale(
        model, {.scale = 2, .tile = 16, .overlap = 2, .batch = 1}, make_noise(100, 100), kNoLimit, stop
    );
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().code, Errc::kCancelled);
    EXPECT_EQ(model.calls, 2);
}

TEST(Upscale, RefusesBadInputAndBadModels) {
    NearestModel model(2);
    const api::StopFlag stop = false;
    const ImageSpec spec{.scale = 2, .tile = 16, .overlap = 2, .batch = 1};
    EXPECT_EQ(upscale(model, spec, {}, kNoLimit, stop).error().code, Errc::kInvalidArgument);
    api::RgbImage lying = make_noise(4, 4);
    lying.width = 100'000;
    EXPECT_EQ(upscale(model, spec, lying, kNoLimit, stop).error().code, Errc::kInvalidArgument);
    EXPECT_EQ(upscale(model, spec, make_noise(10, 10), 399, stop).error().code, Errc::kTooLarge);
    EXPECT_TRUE(upscale(model, spec, make_noise(10, 10), 400, stop));
    EXPECT_EQ(
        upscale(model, {.scale = 4}, make_noise(4, 4), kNoLimit, stop).error().code, Errc::kUnprocessable
    );
    model.short_result = true;
    EXPECT_EQ(upscale(model, spec, make_noise(4, 4), kNoLimit, stop).error().code, Errc::kUnprocessable);
    model.error = make_error(Errc::kInternal, "boom");
    EXPECT_EQ(upscale(model, spec, make_noise(4, 4), kNoLimit, stop).error().message, "boom");
}

}  // namespace
}  // namespace framegrid::engine
