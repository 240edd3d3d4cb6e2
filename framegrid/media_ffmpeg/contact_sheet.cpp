#include <framegrid/media_ffmpeg/contact_sheet.hpp>

#include <algorithm>
#include <array>

#include <framegrid/media_ffmpeg/quality.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kGap = 12;    // between tiles
constexpr int kPixel = 2;   // size of a letter's dot
constexpr int kLetter = 6;  // columns of dots per letter, with the gap
constexpr int kLabel = 7 * kPixel + 10;
constexpr std::uint8_t kPaper = 24;
constexpr std::uint8_t kInk = 236;

struct Glyph {
    char letter;
    std::array<std::uint8_t, 7> rows;  // five dots each, the leftmost is bit 4
};

constexpr std::array kGlyphs{
    Glyph{'0', {0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E}},
    Glyph{'1', {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E}},
    Glyph{'2', {0x0E, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1F}},
    Glyph{'3', {0x0E, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0E}},
    Glyph{'4', {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02}},
    Glyph{'5', {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E}},
    Glyph{'6', {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}},
    Glyph{'7', {0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}},
    Glyph{'8', {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E}},
    Glyph{'9', {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C}},
    Glyph{'A', {0x04, 0x0A, 0x11, 0x11, 0x1F, 0x11, 0x11}},
    Glyph{'B', {0x1E, 0x11, 0x11, 0x1E, 0x11, 0x11, 0x1E}},
    Glyph{'C', {0x0E, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0E}},
    Glyph{'D', {0x1E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1E}},
    Glyph{'E', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F}},
    Glyph{'F', {0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x10}},
    Glyph{'G', {0x0E, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0F}},
    Glyph{'H', {0x11, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11}},
    Glyph{'I', {0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E}},
    Glyph{'J', {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0C}},
    Glyph{'K', {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}},
    Glyph{'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1F}},
    Glyph{'M', {0x11, 0x1B, 0x15, 0x15, 0x11, 0x11, 0x11}},
    Glyph{'N', {0x11, 0x19, 0x19, 0x15, 0x13, 0x13, 0x11}},
    Glyph{'O', {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}},
    Glyph{'P', {0x1E, 0x11, 0x11, 0x1E, 0x10, 0x10, 0x10}},
    Glyph{'Q', {0x0E, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0D}},
    Glyph{'R', {0x1E, 0x11, 0x11, 0x1E, 0x14, 0x12, 0x11}},
    Glyph{'S', {0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E}},
    Glyph{'T', {0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
    Glyph{'U', {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}},
    Glyph{'V', {0x11, 0x11, 0x11, 0x11, 0x11, 0x0A, 0x04}},
    Glyph{'W', {0x11, 0x11, 0x11, 0x15, 0x15, 0x1B, 0x11}},
    Glyph{'X', {0x11, 0x11, 0x0A, 0x04, 0x0A, 0x11, 0x11}},
    Glyph{'Y', {0x11, 0x11, 0x0A, 0x04, 0x04, 0x04, 0x04}},
    Glyph{'Z', {0x1F, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1F}},
    Glyph{'.', {0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C}},
    Glyph{',', {0x00, 0x00, 0x00, 0x00, 0x0C, 0x04, 0x08}},
    Glyph{':', {0x00, 0x0C, 0x0C, 0x00, 0x0C, 0x0C, 0x00}},
    Glyph{'-', {0x00, 0x00, 0x00, 0x0E, 0x00, 0x00, 0x00}},
    Glyph{'+', {0x00, 0x04, 0x04, 0x1F, 0x04, 0x04, 0x00}},
    Glyph{'/', {0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10}},
    Glyph{'%', {0x19, 0x19, 0x02, 0x04, 0x08, 0x13, 0x13}},
    Glyph{'(', {0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02}},
    Glyph{')', {0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08}},
    Glyph{'=', {0x00, 0x00, 0x1F, 0x00, 0x1F, 0x00, 0x00}},
    Glyph{'_', {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1F}},
    Glyph{'>', {0x08, 0x04, 0x02, 0x01, 0x02, 0x04, 0x08}},
};

void fill(api::RgbImage& sheet, int x, int y, int width, int height, std::uint8_t value) {
    for (int row = std::max(0, y); row < std::min(sheet.height, y + height); ++row) {
        for (int column = std::max(0, x); column < std::min(sheet.width, x + width); ++column) {
            std::uint8_t* pixel = sheet.pixels.data() + (std::ptrdiff_t{row} * sheet.width + column) * 3;
            std::fill_n(pixel, 3, value);
        }
    }
}

void write_label(api::RgbImage& sheet, int x, int y, int width, std::string_view text) {
    const auto room = static_cast<std::size_t>(std::max(0, width / (kLetter * kPixel)));
    for (char letter : text.substr(0, room)) {
        if (letter >= 'a' && letter <= 'z') {
            letter = static_cast<char>(letter - 'a' + 'A');
        }
        const auto* glyph = std::ranges::find(kGlyphs, letter, &Glyph::letter);
        for (int row = 0; glyph != kGlyphs.end() && row < 7; ++row) {
            for (int column = 0; column < 5; ++column) {
                if ((glyph->rows[static_cast<std::size_t>(row)] >> (4 - column) & 1) != 0) {
                    fill(sheet, x + column * kPixel, y + row * kPixel, kPixel, kPixel, kInk);
                }
            }
        }
        x += kLetter * kPixel;
    }
}

void paste(api::RgbImage& sheet, int x, int y, const api::RgbImage& image) {
    for (int row = 0; row < image.height; ++row) {
        std::copy_n(
            image.pixels.data() + std::ptrdiff_t{row} * image.width * 3, std::ptrdiff_t{image.width} * 3,
            sheet.pixels.data() + (std::ptrdiff_t{y + row} * sheet.width + x) * 3
        );
    }
}

api::RgbImage repeat_pixels(const api::RgbImage& image, int width, int height) {
    api::RgbImage out{
        width, height, Bytes(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3)
    };
    for (int y = 0; y < height; ++y) {
        const std::int64_t from_y = std::int64_t{y} * image.height / height;
        for (int x = 0; x < width; ++x) {
            const std::int64_t from_x = std::int64_t{x} * image.width / width;
            std::copy_n(
                image.pixels.data() + (from_y * image.width + from_x) * 3, 3,
                out.pixels.data() + (std::ptrdiff_t{y} * width + x) * 3
            );
        }
    }
    return out;
}

}  // namespace

Result<api::RgbImage> contact_sheet(const std::vector<SheetTile>& tiles, const SheetSettings& settings) {
    if (tiles.empty() || tiles.size() > 1'000 || settings.columns < 1 || settings.columns > 32 ||
        settings.tile_width < 16 || settings.tile_width > 4096) {
        return fail(Errc::kInvalidArgument, "a contact sheet has 1 to 1000 tiles in 1 to 32 columns");
    }
    std::vector<api::RgbImage> scaled;
    for (const SheetTile& tile : tiles) {
        const api::RgbImage& image = tile.image;
        if (image.width <= 0 || image.height <= 0) {
            return fail(Errc::kInvalidArgument, "a tile has no picture");
        }
        const auto height = static_cast<int>(
            std::clamp<std::int64_t>(std::int64_t{image.height} * settings.tile_width / image.width, 1, 8192)
        );
        if (settings.pixelated && settings.tile_width >= image.width) {
            scaled.push_back(repeat_pixels(image, settings.tile_width, height));
            continue;
        }
        FG_TRY(small, resize(image, {settings.tile_width, height}));
        scaled.push_back(std::move(small));
    }
    const auto columns = static_cast<std::size_t>(settings.columns);
    std::vector<int> row_tops;
    int y = kGap;
    for (std::size_t i = 0; i < scaled.size(); i += columns) {
        int tallest = 0;
        for (std::size_t k = i; k < std::min(scaled.size(), i + columns); ++k) {
            tallest = std::max(tallest, scaled[k].height);
        }
        row_tops.push_back(y);
        y += kLabel + tallest + kGap;
    }
    const int used = static_cast<int>(std::min(columns, tiles.size()));
    api::RgbImage sheet{kGap + used * (settings.tile_width + kGap), y, {}};
    if (std::int64_t{sheet.width} * sheet.height > (64LL << 20)) {
        return fail(Errc::kInvalidArgument, "the contact sheet would be over 64 megapixels");
    }
    sheet.pixels.assign(
        static_cast<std::size_t>(sheet.width) * static_cast<std::size_t>(sheet.height) * 3, kPaper
    );
    for (std::size_t i = 0; i < scaled.size(); ++i) {
        const int x = kGap + static_cast<int>(i % columns) * (settings.tile_width + kGap);
        const int top = row_tops[i / columns];
        write_label(sheet, x, top, settings.tile_width, tiles[i].label);
        paste(sheet, x, top + kLabel, scaled[i]);
    }
    return sheet;
}

}  // namespace framegrid::media_ffmpeg
