#include <framegrid/engine/tiling.hpp>

#include <array>

namespace framegrid::engine {
namespace {

int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

std::uint8_t to_byte(float value) {
    // The comparisons are false for NaN.
    const float scaled = value > 0.0F ? value * 255.0F + 0.5F : 0.0F;
    return static_cast<std::uint8_t>(scaled < 255.0F ? scaled : 255.0F);
}

}  // namespace

std::vector<std::span<const Tile>> TilePlan::batches(int size) const {
    FG_ASSERT(size > 0);
    std::vector<std::span<const Tile>> out;
    const auto step = static_cast<std::size_t>(size);
    for (std::size_t first = 0; first < tiles.size(); first += step) {
        out.push_back(std::span(tiles).subspan(first, std::min(step, tiles.size() - first)));
    }
    return out;
}

TilePlan plan_tiles(int width, int height, int tile_side, int overlap) {
    FG_ASSERT(width > 0 && height > 0 && overlap >= 0 && tile_side > 2 * overlap);
    const int core_max = tile_side - 2 * overlap;
    TilePlan plan;
    plan.overlap = overlap;
    const int columns = ceil_div(width, core_max);
    const int rows = ceil_div(height, core_max);
    plan.core_width = ceil_div(width, columns);
    plan.core_height = ceil_div(height, rows);
    for (int y = 0; y < height; y += plan.core_height) {
        for (int x = 0; x < width; x += plan.core_width) {
            plan.tiles.push_back({.x = x, .y = y});
        }
    }
    return plan;
}

void cut_tile(const api::RgbImage& image, const TilePlan& plan, Tile tile, std::span<float> out) {
    FG_ASSERT(out.size() == plan.tile_floats());
    const int width = plan.tile_width();
    const int height = plan.tile_height();
    const std::size_t plane = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    // Columns inside the picture; those before and after repeat the edge.
    const int left = tile.x - plan.overlap;
    const int from = std::clamp(-left, 0, width);
    const int to = std::clamp(image.width - left, from, width);
    for (int row = 0; row < height; ++row) {
        const int y = std::clamp(tile.y - plan.overlap + row, 0, image.height - 1);
        const std::uint8_t* line =
            image.pixels.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) * 3;
        for (std::size_t channel = 0; channel < 3; ++channel) {
            float* target = out.data() + channel * plane +
                            static_cast<std::size_t>(row) * static_cast<std::size_t>(width);
            const std::uint8_t* source = line + static_cast<std::ptrdiff_t>(left + from) * 3 + channel;
            for (int x = from; x < to; ++x, source += 3) {
                target[x] = static_cast<float>(*source) * (1.0F / 255.0F);
            }
            std::fill(target, target + from, target[from]);
            std::fill(target + to, target + width, target[to - 1]);
        }
    }
}

void paste_tile(
    std::span<const float> inferred, const TilePlan& plan, Tile tile, int scale, api::RgbImage& out
) {
    const auto s = static_cast<std::size_t>(scale);
    const std::size_t width = static_cast<std::size_t>(plan.tile_width()) * s;
    const std::size_t height = static_cast<std::size_t>(plan.tile_height()) * s;
    FG_ASSERT(inferred.size() == 3 * width * height);
    const std::size_t plane = width * height;
    const std::size_t margin = static_cast<std::size_t>(plan.overlap) * s;
    const std::size_t x0 = static_cast<std::size_t>(tile.x) * s;
    const std::size_t y0 = static_cast<std::size_t>(tile.y) * s;
    const auto out_width = static_cast<std::size_t>(out.width);
    const auto out_height = static_cast<std::size_t>(out.height);
    FG_ASSERT(x0 < out_width && y0 < out_height);
    const std::size_t columns = std::min(static_cast<std::size_t>(plan.core_width) * s, out_width - x0);
    const std::size_t rows = std::min(static_cast<std::size_t>(plan.core_height) * s, out_height - y0);
    for (std::size_t row = 0; row < rows; ++row) {
        const float* red = inferred.data() + (margin + row) * width + margin;
        const float* green = red + plane;
        const float* blue = green + plane;
        std::uint8_t* target = out.pixels.data() + ((y0 + row) * out_width + x0) * 3;
        for (std::size_t x = 0; x < columns; ++x, target += 3) {
            target[0] = to_byte(red[x]);
            target[1] = to_byte(green[x]);
            target[2] = to_byte(blue[x]);
        }
    }
}

}  // namespace framegrid::engine
