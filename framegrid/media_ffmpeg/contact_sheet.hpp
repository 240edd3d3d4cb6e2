// Pictures side by side with labels, for people to look at.
#pragma once

#include <string>
#include <vector>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::media_ffmpeg {

struct SheetTile {
    std::string label;  // letters, digits and common signs; shown in capitals, cut to the tile's width
    api::RgbImage image;
};

struct SheetSettings {
    int columns = 2;
    int tile_width = 640;    // pixels; heights follow each row's tallest picture
    bool pixelated = false;  // enlarge without smoothing, to show what is really there
};

// At most 1000 tiles in up to 32 columns. kInvalidArgument: no tiles, or a layout over the picture limits.
Result<api::RgbImage> contact_sheet(const std::vector<SheetTile>& tiles, const SheetSettings& settings = {});

}  // namespace framegrid::media_ffmpeg
