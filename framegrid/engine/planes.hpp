// Pictures as planes of floats, which is how networks take and give them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

// What a network sees beyond a picture's edges.
enum class Edges : std::uint8_t {
    kRepeat,   // the last pixel again: aaa|abc
    kReflect,  // back inwards, the last pixel once: cb|abc
    kMirror,   // back inwards, the last pixel twice: ba|abc
};

// As manifests name them, in the order of the values.
inline constexpr std::array<std::string_view, 3> kEdgesNames{"repeat", "reflect", "mirror"};

// A part of a picture; may reach over its edges.
struct Window {
    int left = 0;
    int top = 0;
    media::Size size{};

    // Values of one plane.
    std::size_t plane() const {
        return static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
    }
};

// Writes a window as 3 planes of 0..1 (`out` holds 3 * window.plane() values). The picture has a pixel.
void put_planes(const api::RgbImage& image, const Window& window, Edges edges, std::span<float> out);

// Values of [n, 3, h, w] in the order of [n, h, w, 3], or back; `plane` is h * w.
std::vector<float> turn_channels(const std::vector<float>& from, std::size_t plane, bool to_last);

// The value of a pixel: clamped to 0..1 and rounded; NaN becomes 0.
std::uint8_t to_byte(float value);

// Writes a window of 3 planes of `planes_size` into `out` at `left`, `top`. It lies within both (asserted).
void take_planes(
    std::span<const float> planes, media::Size planes_size, const Window& window, api::RgbImage& out,
    int left, int top
);

}  // namespace framegrid::engine
