#include <framegrid/engine/sr_eval.hpp>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>
#include <framegrid/engine/resample.hpp>
#include <framegrid/engine/sr_pictures.hpp>

namespace framegrid::engine {
namespace {

using testing::FakeModels;
using testing::make_manifest;
using testing::make_noise;
using testing::NearestModel;

TEST(Resample, KeepsAConstantAndARamp) {
    api::RgbImage flat{.width = 16, .height = 8, .pixels = Bytes(16 * 8 * 3, 130)};
    EXPECT_EQ(shrink_bicubic(flat, 4).pixels, Bytes(4 * 2 * 3, 130));
    EXPECT_EQ(enlarge_bicubic(flat, 2).pixels, Bytes(32 * 16 * 3, 130));
    api::RgbImage ramp{.width = 32, .height = 1, .pixels = {}};
    for (int x = 0; x < 32; ++x) {
        ramp.pixels.insert(ramp.pixels.end(), 3, static_cast<std::uint8_t>(x * 8));
    }
    const auto large = enlarge_bicubic(ramp, 2);
    for (int x = 8; x < 56; ++x) {  // Catmull-Rom reproduces straight lines
        EXPECT_NEAR(large.pixels[static_cast<std::size_t>(x) * 3], (x + 0.5) / 2 * 8 - 4, 0.51) << x;
    }
}

TEST(Resample, PsnrOfAKnownDifference) {
    const auto a = make_noise(16, 16);
    EXPECT_EQ(psnr_rgb(a, a, 2), 100.0);
    auto b = a;
    for (auto& v : b.pixels) {
        v = static_cast<std::uint8_t>(v < 128 ? v + 1 : v - 1);
    }
    EXPECT_NEAR(psnr_rgb(a, b, 0), 48.13, 0.01);  // 20 log10(255)
}

TEST(SrPictures, AreRepeatableAndVaried) {
    for (int kind = 0; kind < kSrPictureKinds; ++kind) {
        const auto a = make_sr_picture(kind, 1, 24, 16);
        EXPECT_EQ(a.pixels, make_sr_picture(kind, 1, 24, 16).pixels);
        EXPECT_NE(a.pixels, make_sr_picture(kind, 2, 24, 16).pixels) << sr_picture_name(kind);
        ASSERT_EQ(a.pixels.size(), 24U * 16 * 3);
    }
}

TEST(SrEval, NearestNeighbourIsWorseThanBicubic) {
    NearestModel two(2);
    FakeModels models;
    models.add(make_manifest("a/near", 2), two);
    const api::StopFlag stop = false;
    const auto report = evaluate_sr(models, {.side = 48, .seeds = 1, .model_id = {}}, stop);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->rows.size(), 1U);
    EXPECT_EQ(report->rows[0].model, "a/near");
    EXPECT_LT(report->rows[0].delta(), -0.3);
    EXPECT_GT(report->rows[0].psnr_bicubic, 15);
    EXPECT_EQ(report->pictures.size(), static_cast<std::size_t>(kSrPictureKinds));
    EXPECT_EQ(
        evaluate_sr(models, {.side = 48, .seeds = 1, .model_id = "no/such"}, stop).error().code,
        Errc::kNotFound
    );
    EXPECT_EQ(evaluate_sr(models, {.side = 47, .seeds = 1, .model_id = {}}, stop).error().field, "side");
}

}  // namespace
}  // namespace framegrid::engine
