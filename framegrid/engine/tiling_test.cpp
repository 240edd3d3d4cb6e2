#include <framegrid/engine/tiling.hpp>

#include <limits>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>

namespace framegrid::engine {
namespace {

TEST(Tiling, CoresCoverEveryPixelOnce) {
    for (const auto& [width, height] :
         {std::pair{1, 1}, {7, 3}, {240, 240}, {241, 239}, {1279, 719}, {5, 1000}}) {
        const TilePlan plan = plan_tiles(width, height, 256, 8);
        EXPECT_LE(plan.tile_width(), 256);
        EXPECT_LE(plan.tile_height(), 256);
        std::vector<int> seen(static_cast<std::size_t>(width * height));
        for (const Tile tile : plan.tiles) {
            for (int y = tile.y; y < std::min(height, tile.y + plan.core_height); ++y) {
                for (int x = tile.x; x < std::min(width, tile.x + plan.core_width); ++x) {
                    ++seen[static_cast<std::size_t>(y * width + x)];
                }
            }
        }
        EXPECT_TRUE(std::ranges::all_of(seen, [](int n) { return n == 1; })) << width << "x" << height;
    }
}

TEST(Tiling, TilesAreEven) {
    const TilePlan plan = plan_tiles(250, 100, 256, 8);  // would be 240 + 10
    EXPECT_EQ(plan.core_width, 125);
    EXPECT_EQ(plan.core_height, 100);
    EXPECT_EQ(plan.tiles, (std::vector<Tile>{{0, 0}, {125, 0}}));
}

TEST(Tiling, ContextComesFromNeighboursAndRepeatsTheEdge) {
    api::RgbImage image{.width = 3, .height = 2, .pixels = {}};
    for (int i = 0; i < 18; ++i) {
        image.pixels.push_back(static_cast<std::uint8_t>(i * 10));
    }
    const TilePlan plan = plan_tiles(3, 2, 4, 1);  // cores of 2 x 2
    ASSERT_EQ(plan.tiles.size(), 2U);
    std::vector<float> out(plan.tile_floats());
    cut_tile(image, plan, plan.tiles[1], out);  // x from 1 to 5 with context, beyond 2 repeats
    const auto red = [&](int x, int y) { return out[static_cast<std::size_t>(y * 4 + x)] * 255; };
    EXPECT_FLOAT_EQ(red(0, 1), 30);  // pixel (1, 0)
    EXPECT_FLOAT_EQ(red(1, 1), 60);  // pixel (2, 0)
    EXPECT_FLOAT_EQ(red(2, 1), 60);  // repeated
    EXPECT_FLOAT_EQ(red(3, 1), 60);
    EXPECT_FLOAT_EQ(red(0, 0), 30);          // above: repeated
    EXPECT_FLOAT_EQ(red(0, 3), 120);         // below: repeats row 1
    EXPECT_FLOAT_EQ(out[16 + 4] * 255, 40);  // green plane
}

TEST(Tiling, CutThenPasteIsTheIdentity) {
    for (const auto& [width, height] : {std::pair{1, 1}, {3, 1}, {1, 40}, {37, 29}, {64, 64}}) {
        const auto image = testing::make_noise(width, height);
        const TilePlan plan = plan_tiles(width, height, 24, 4);
        api::RgbImage out{.width = width, .height = height, .pixels = Bytes(image.pixels.size(), 77)};
        std::vector<float> tile(plan.tile_floats());
        for (const Tile t : plan.tiles) {
            cut_tile(image, plan, t, tile);
            paste_tile(tile, plan, t, 1, out);
        }
        EXPECT_EQ(out.pixels, image.pixels) << width << "x" << height;
    }
}

TEST(Tiling, PasteClampsAndSurvivesNan) {
    const TilePlan plan = plan_tiles(1, 1, 16, 0);
    api::RgbImage out{.width = 1, .height = 1, .pixels = Bytes(3, 9)};
    const std::vector<float> values = {
        -4.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()
    };
    paste_tile(values, plan, {}, 1, out);
    EXPECT_EQ(out.pixels, (Bytes{0, 255, 0}));
}

TEST(Tiling, BatchesKeepOrderAndSize) {
    const TilePlan plan = plan_tiles(100, 16, 16, 0);
    ASSERT_EQ(plan.tiles.size(), 7U);
    const auto batches = plan.batches(3);
    ASSERT_EQ(batches.size(), 3U);
    EXPECT_EQ(batches[2].size(), 1U);
    EXPECT_EQ(batches[1][0], plan.tiles[3]);
}

}  // namespace
}  // namespace framegrid::engine
