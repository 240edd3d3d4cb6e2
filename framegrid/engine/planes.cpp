#include <framegrid/engine/planes.hpp>

#include <algorithm>

namespace framegrid::engine {

namespace {

// Where in 0 .. side - 1 the pixel comes from that stands at `at`, which may be outside.
int source_of(int at, int side, Edges edges) {
    if (edges == Edges::kRepeat || side == 1) {
        return std::clamp(at, 0, side - 1);
    }
    const int period = edges == Edges::kReflect ? 2 * (side - 1) : 2 * side;
    const int folded = (at % period + period) % period;
    if (folded < side) {
        return folded;
    }
    return edges == Edges::kReflect ? period - folded : period - 1 - folded;
}

}  // namespace

void put_planes(const api::RgbImage& image, const Window& window, Edges edges, std::span<float> out) {
    const auto [width, height] = window.size;
    const std::size_t plane = window.plane();
    FG_ASSERT(image.width > 0 && image.height > 0 && out.size() == 3 * plane);
    // Columns inside the picture, which are read in order.
    const int from = std::clamp(-window.left, 0, width);
    const int to = std::clamp(image.width - window.left, from, width);
    for (int row = 0; row < height; ++row) {
        const int y = source_of(window.top + row, image.height, edges);
        const std::uint8_t* line =
            image.pixels.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) * 3;
        for (std::size_t channel = 0; channel < 3; ++channel) {
            float* target = out.data() + channel * plane +
                            static_cast<std::size_t>(row) * static_cast<std::size_t>(width);
            const auto value_at = [&](int x) {
                const auto column = static_cast<std::size_t>(source_of(window.left + x, image.width, edges));
                return static_cast<float>(line[column * 3 + channel]) / 255.0F;
            };
            for (int x = 0; x < from; ++x) {
                target[x] = value_at(x);
            }
            const std::uint8_t* source = line + static_cast<std::ptrdiff_t>(window.left + from) * 3 + channel;
            for (int x = from; x < to; ++x, source += 3) {
                target[x] = static_cast<float>(*source) / 255.0F;
            }
            for (int x = to; x < width; ++x) {
                target[x] = value_at(x);
            }
        }
    }
}

std::uint8_t to_byte(float value) {
    // The comparisons are false for NaN.
    const float scaled = value > 0.0F ? value * 255.0F + 0.5F : 0.0F;
    return static_cast<std::uint8_t>(scaled < 255.0F ? scaled : 255.0F);
}

void take_planes(
    std::span<const float> planes, media::Size planes_size, const Window& window, api::RgbImage& out,
    int left, int top
) {
    const auto width = static_cast<std::size_t>(planes_size.width);
    const std::size_t plane = width * static_cast<std::size_t>(planes_size.height);
    FG_ASSERT(planes.size() == 3 * plane);
    FG_ASSERT(window.left >= 0 && window.left + window.size.width <= planes_size.width);
    FG_ASSERT(window.top >= 0 && window.top + window.size.height <= planes_size.height);
    FG_ASSERT(left >= 0 && left + window.size.width <= out.width);
    FG_ASSERT(top >= 0 && top + window.size.height <= out.height);
    const auto columns = static_cast<std::size_t>(window.size.width);
    for (int row = 0; row < window.size.height; ++row) {
        const float* red = planes.data() + static_cast<std::size_t>(window.top + row) * width +
                           static_cast<std::size_t>(window.left);
        const float* green = red + plane;
        const float* blue = green + plane;
        std::uint8_t* target =
            out.pixels.data() + (static_cast<std::size_t>(top + row) * static_cast<std::size_t>(out.width) +
                                 static_cast<std::size_t>(left)) *
                                    3;
        for (std::size_t x = 0; x < columns; ++x, target += 3) {
            target[0] = to_byte(red[x]);
            target[1] = to_byte(green[x]);
            target[2] = to_byte(blue[x]);
        }
    }
}

std::vector<float> turn_channels(const std::vector<float>& from, std::size_t plane, bool to_last) {
    std::vector<float> out(from.size());
    for (std::size_t start = 0; start < from.size(); start += 3 * plane) {
        for (std::size_t i = 0; i < plane; ++i) {
            for (std::size_t channel = 0; channel < 3; ++channel) {
                const std::size_t last = start + i * 3 + channel;
                const std::size_t first = start + channel * plane + i;
                out[to_last ? last : first] = from[to_last ? first : last];
            }
        }
    }
    return out;
}

}  // namespace framegrid::engine
