// Cutting a picture into equally sized tiles with context around each, and putting the results back together.
//
//      +-----------+-----------+     Each tile is its core plus at least `overlap` pixels on every side. Only
//      |  +------+ |           |     cores are written back, so with an overlap of at least the network's
//      |  | core | |           |     receptive radius the result does not depend on the tiling. Whether tiles
//      |  +------+ |           |     reach over the picture's edges, and what is there: ImageSpec::edges.
//      |<-overlap->|           |
#pragma once

#include <span>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/engine/manifest.hpp>

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
    media::Size tile{};   // context included
    media::Size whole{};  // the picture with what is added to its sides
    ImageSpec spec;
    std::vector<Tile> tiles;  // row by row; cores cover every pixel exactly once

    // Floats of one tile's input: 3 planes.
    std::size_t tile_floats() const { return 3 * Window{.size = tile}.plane(); }
    // What a tile shows of the picture. May reach over its edges.
    Window window(Tile of) const;
    // The tiles in groups of at most `size`, in order.
    std::vector<std::span<const Tile>> batches(int size) const;
};

// Tiles of at most spec.tile x spec.tile (context included), or of spec.fixed, as even as possible. The
// picture has a pixel and has_room(spec) (asserted: callers validate).
TilePlan plan_tiles(int width, int height, const ImageSpec& spec);

// Writes one tile as 3 planes of 0..1 into `out` (plan.tile_floats() long).
void cut_tile(const api::RgbImage& image, const TilePlan& plan, Tile tile, std::span<float> out);

// Writes the core of an inferred tile (3 planes, `scale` times the tile's size) into `out`, a picture `scale`
// times the source's size. Values are clamped to 0..1 and rounded; NaN becomes 0.
void paste_tile(
    std::span<const float> inferred, const TilePlan& plan, Tile tile, int scale, api::RgbImage& out
);

}  // namespace framegrid::engine
