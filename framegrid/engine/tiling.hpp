// Cutting a picture into equally sized tiles with context around each, and putting the results back together.
//
//      +-----------+-----------+     Each tile is its core plus `overlap` pixels on every side. Context
//      outside the | core |    |           |     picture repeats its edge. Only cores are written back, so
//      with an overlap of at
//      +------+    |           |     least the network's receptive radius the result does not depend on the
//      tiling. | <-overlap->           |
#pragma once

#include <span>
#include <vector>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

// The part of the picture that one tile is responsible for. May reach over the right and lower edge.
struct Tile {
    int x = 0;
    int y = 0;
    friend bool operator==(const Tile&, const Tile&) = default;
};

struct TilePlan {
    int core_width = 0;
    int core_height = 0;
    int overlap = 0;
    std::vector<Tile> tiles;  // row by row; cores cover every pixel exactly once

    int tile_width() const { return core_width + 2 * overlap; }
    int tile_height() const { return core_height + 2 * overlap; }
    // Floats of one tile's input: 3 planes.
    std::size_t tile_floats() const {
        return std::size_t{3} * static_cast<std::size_t>(tile_width()) *
               static_cast<std::size_t>(tile_height());
    }
    // The tiles in groups of at most `size`, in order.
    std::vector<std::span<const Tile>> batches(int size) const;
};

// Tiles of at most tile_side x tile_side (overlap included), as even as possible. All sizes at least 1 and
// tile_side > 2 * overlap (asserted: callers validate).
TilePlan plan_tiles(int width, int height, int tile_side, int overlap);

// Writes one tile as 3 planes of 0..1 into `out` (plan.tile_floats() long).
void cut_tile(const api::RgbImage& image, const TilePlan& plan, Tile tile, std::span<float> out);

// Writes the core of an inferred tile (3 planes, `scale` times the tile's size) into `out`, a picture `scale`
// times the source's size. Values are clamped to 0..1 and rounded; NaN becomes 0.
void paste_tile(
    std::span<const float> inferred, const TilePlan& plan, Tile tile, int scale, api::RgbImage& out
);

}  // namespace framegrid::engine
