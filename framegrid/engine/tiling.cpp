#include <framegrid/engine/tiling.hpp>

#include <algorithm>

namespace framegrid::engine {
namespace {

int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

bool stays_inside(const ImageSpec& spec) {
    return spec.edges != Edges::kRepeat;
}

// One direction of a plan.
struct Axis {
    int core = 0;
    int tile = 0;
    int whole = 0;
};

Axis plan_axis(int side, int fixed, const ImageSpec& spec) {
    const int multiple = spec.multiple;
    const bool inside = stays_inside(spec);
    const int tile_max = fixed > 0 ? fixed : spec.tile / multiple * multiple;
    const int units = spec.edges == Edges::kMirror ? side / multiple + 1 : ceil_div(side, multiple);
    const int whole = std::max(units * multiple, fixed);
    if (inside && whole <= tile_max) {
        return {side, whole, whole};
    }
    // Tiles inside start at multiples, so that windows of attention lie the same in all: the context on the
    // left is that much larger.
    const int lost = inside ? multiple - 1 : 0;
    const int core_max = tile_max - 2 * spec.overlap - lost;
    const int core = ceil_div(side, ceil_div(side, core_max));
    const int tile = fixed > 0 ? fixed : ceil_div(core + 2 * spec.overlap + lost, multiple) * multiple;
    return {core, tile, whole};
}

}  // namespace

Window TilePlan::window(Tile of) const {
    const auto start = [&](int core, int tile_side, int whole_side) {
        const int wanted = core - spec.overlap;
        if (!stays_inside(spec)) {
            return wanted;
        }
        return std::min(std::max(wanted, 0) / spec.multiple * spec.multiple, whole_side - tile_side);
    };
    return {start(of.x, tile.width, whole.width), start(of.y, tile.height, whole.height), tile};
}

std::vector<std::span<const Tile>> TilePlan::batches(int size) const {
    FG_ASSERT(size > 0);
    std::vector<std::span<const Tile>> out;
    const auto step = static_cast<std::size_t>(size);
    for (std::size_t first = 0; first < tiles.size(); first += step) {
        out.push_back(std::span(tiles).subspan(first, std::min(step, tiles.size() - first)));
    }
    return out;
}

TilePlan plan_tiles(int width, int height, const ImageSpec& spec) {
    FG_ASSERT(width > 0 && height > 0 && spec.overlap >= 0 && spec.multiple > 0 && has_room(spec));
    const Axis across = plan_axis(width, spec.fixed.width, spec);
    const Axis down = plan_axis(height, spec.fixed.height, spec);
    TilePlan plan{
        .core_width = across.core,
        .core_height = down.core,
        .tile = {across.tile, down.tile},
        .whole = {across.whole, down.whole},
        .spec = spec,
        .tiles = {}
    };
    for (int y = 0; y < height; y += plan.core_height) {
        for (int x = 0; x < width; x += plan.core_width) {
            plan.tiles.push_back({.x = x, .y = y});
        }
    }
    return plan;
}

void cut_tile(const api::RgbImage& image, const TilePlan& plan, Tile tile, std::span<float> out) {
    put_planes(image, plan.window(tile), plan.spec.edges, out);
}

void paste_tile(
    std::span<const float> inferred, const TilePlan& plan, Tile tile, int scale, api::RgbImage& out
) {
    const Window window = plan.window(tile);
    const media::Size size{
        std::min(plan.core_width * scale, out.width - tile.x * scale),
        std::min(plan.core_height * scale, out.height - tile.y * scale)
    };
    const Window core{(tile.x - window.left) * scale, (tile.y - window.top) * scale, size};
    take_planes(
        inferred, {plan.tile.width * scale, plan.tile.height * scale}, core, out, tile.x * scale,
        tile.y * scale
    );
}

}  // namespace framegrid::engine
