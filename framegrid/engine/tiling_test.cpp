#include <framegrid/engine/tiling.hpp>

#include <limits>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>

namespace framegrid::engine {
namespace {

TEST(Tiling, CoresCoverEveryPixelOnce) {
    for (const auto& [width, height] :
         {std::pair{1, 1}, {7, 3}, {240, 240}, {241, 239}, {1279, 719}, {5, 1000}}) {
        const TilePlan plan = plan_tiles(width, height, {.tile = 256, .overlap = 8});
        EXPECT_LE(plan.tile.width, 256);
        EXPECT_LE(plan.tile.height, 256);
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
    const TilePlan plan = plan_tiles(250, 100, {.tile = 256, .overlap = 8});  // would be 240 + 10
    EXPECT_EQ(plan.core_width, 125);
    EXPECT_EQ(plan.core_height, 100);
    EXPECT_EQ(plan.tiles, (std::vector<Tile>{{0, 0}, {125, 0}}));
}

TEST(Tiling, ContextComesFromNeighboursAndRepeatsTheEdge) {
    api::RgbImage image{.width = 3, .height = 2, .pixels = {}};
    for (int i = 0; i < 18; ++i) {
        image.pixels.push_back(static_cast<std::uint8_t>(i * 10));
    }
    const TilePlan plan = plan_tiles(3, 2, {.tile = 4, .overlap = 1});  // cores of 2 x 2
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

std::vector<ImageSpec> specs() {
    return {
        {.tile = 24, .overlap = 4},
        {.tile = 24, .overlap = 4, .multiple = 4},
        {.tile = 24, .overlap = 4, .edges = Edges::kReflect},
        {.tile = 27, .overlap = 5, .multiple = 4, .edges = Edges::kReflect},
        {.tile = 24, .overlap = 4, .multiple = 8, .edges = Edges::kMirror},
        {.tile = 256, .overlap = 2, .edges = Edges::kReflect, .fixed = {20, 12}},
        {.tile = 256, .overlap = 2, .multiple = 3, .edges = Edges::kMirror, .fixed = {20, 0}},
    };
}

TEST(Tiling, TilesKeepToTheirRules) {
    for (const ImageSpec& spec : specs()) {
        for (int width = 1; width < 70; ++width) {
            const TilePlan plan = plan_tiles(width, 30, spec);
            if (spec.fixed.width > 0) {
                ASSERT_EQ(plan.tile.width, spec.fixed.width);
            } else {
                ASSERT_EQ(plan.tile.width % spec.multiple, 0);
                ASSERT_LE(plan.tile.width, spec.tile);
            }
            for (const Tile tile : plan.tiles) {
                const Window window = plan.window(tile);
                const int core_end = std::min(width, tile.x + plan.core_width);
                const int window_end = window.left + plan.tile.width;
                ASSERT_TRUE(window.left <= tile.x && window_end >= core_end);
                const bool has_context =
                    window.left <= tile.x - spec.overlap && window_end >= core_end + spec.overlap;
                const bool ends_inside = window.left >= 0 && window_end <= plan.whole.width;
                if (spec.edges == Edges::kRepeat) {
                    ASSERT_TRUE(has_context) << width;
                    continue;
                }
                ASSERT_TRUE(ends_inside) << width;
                ASSERT_TRUE(window.left == 0 || window.left <= tile.x - spec.overlap) << width;
                ASSERT_TRUE(window_end == plan.whole.width || window_end >= core_end + spec.overlap) << width;
            }
        }
    }
}

TEST(Tiling, WhatIsBeyondTheEdges) {
    api::RgbImage image{.width = 3, .height = 1, .pixels = {10, 0, 0, 20, 0, 0, 30, 0, 0}};
    const auto row = [&](Edges edges) {
        std::vector<float> out(3 * 9);
        put_planes(image, {-2, 0, {9, 1}}, edges, out);
        std::vector<int> red;
        for (int i = 0; i < 9; ++i) {
            red.push_back(to_byte(out[static_cast<std::size_t>(i)]));
        }
        return red;
    };
    EXPECT_EQ(row(Edges::kRepeat), (std::vector<int>{10, 10, 10, 20, 30, 30, 30, 30, 30}));
    EXPECT_EQ(row(Edges::kReflect), (std::vector<int>{30, 20, 10, 20, 30, 20, 10, 20, 30}));
    EXPECT_EQ(row(Edges::kMirror), (std::vector<int>{20, 10, 10, 20, 30, 30, 20, 10, 10}));
}

TEST(Tiling, CutThenPasteIsTheIdentity) {
    for (const auto& [width, height] : {std::pair{1, 1}, {3, 1}, {1, 40}, {37, 29}, {64, 64}}) {
        for (const ImageSpec& spec : specs()) {
            const auto image = testing::make_noise(width, height);
            const TilePlan plan = plan_tiles(width, height, spec);
            api::RgbImage out{.width = width, .height = height, .pixels = Bytes(image.pixels.size(), 77)};
            std::vector<float> tile(plan.tile_floats());
            for (const Tile t : plan.tiles) {
                cut_tile(image, plan, t, tile);
                paste_tile(tile, plan, t, 1, out);
            }
            EXPECT_EQ(out.pixels, image.pixels) << width << "x" << height;
        }
    }
}

TEST(Tiling, PasteClampsAndSurvivesNan) {
    const TilePlan plan = plan_tiles(1, 1, {.tile = 16, .overlap = 0});
    api::RgbImage out{.width = 1, .height = 1, .pixels = Bytes(3, 9)};
    const std::vector<float> values = {
        -4.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()
    };
    paste_tile(values, plan, {}, 1, out);
    EXPECT_EQ(out.pixels, (Bytes{0, 255, 0}));
}

TEST(Tiling, BatchesKeepOrderAndSize) {
    const TilePlan plan = plan_tiles(100, 16, {.tile = 16, .overlap = 0});
    ASSERT_EQ(plan.tiles.size(), 7U);
    const auto batches = plan.batches(3);
    ASSERT_EQ(batches.size(), 3U);
    EXPECT_EQ(batches[2].size(), 1U);
    EXPECT_EQ(batches[1][0], plan.tiles[3]);
}

}  // namespace
}  // namespace framegrid::engine
