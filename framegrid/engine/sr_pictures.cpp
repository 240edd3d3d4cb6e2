#include <framegrid/engine/sr_pictures.hpp>

#include <array>
#include <cmath>
#include <complex>
#include <numbers>

namespace framegrid::engine {
namespace {

using Colour = std::array<float, 3>;
constexpr int kSamples = 4;
constexpr float kPi = std::numbers::pi_v<float>;

// A small hash as the only source of variety: scenes need a value at any lattice point, in any order.
std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31U);
}

class Scene {
  public:
    explicit Scene(std::uint64_t seed) : seed_(mix(seed)) {}

    // 0..1, fixed for each (i, j, which).
    float value(int i, int j, int which) const {
        const auto key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(i)) << 32U) |
                         static_cast<std::uint32_t>(j);
        const std::uint64_t bits = mix(mix(seed_ ^ key) + static_cast<std::uint64_t>(which));
        return static_cast<float>(bits >> 40U) / 16777216.0F;
    }
    Colour colour(int i, int j) const {
        const float grey = value(i, j, 90);
        const float tint = value(i, j, 91);
        Colour c{};
        for (int k = 0; k < 3; ++k) {
            c[static_cast<std::size_t>(k)] = grey + tint * 0.7F * (value(i, j, 92 + k) - grey);
        }
        return c;
    }
    // Smooth gradient noise, about -0.7..0.7.
    float noise(float x, float y) const {
        const float fx = std::floor(x);
        const float fy = std::floor(y);
        const int ix = static_cast<int>(fx);
        const int iy = static_cast<int>(fy);
        const float u = x - fx;
        const float v = y - fy;
        const auto corner = [&](int dx, int dy) {
            const float angle = 2 * kPi * value(ix + dx, iy + dy, 7);
            return std::cos(angle) * (u - static_cast<float>(dx)) +
                   std::sin(angle) * (v - static_cast<float>(dy));
        };
        const float su = u * u * u * (u * (u * 6 - 15) + 10);
        const float sv = v * v * v * (v * (v * 6 - 15) + 10);
        return std::lerp(
            std::lerp(corner(0, 0), corner(1, 0), su), std::lerp(corner(0, 1), corner(1, 1), su), sv
        );
    }

  private:
    std::uint64_t seed_;
};

Colour mixed(const Colour& a, const Colour& b, float t) {
    return {std::lerp(a[0], b[0], t), std::lerp(a[1], b[1], t), std::lerp(a[2], b[2], t)};
}

// Cells around scattered points, shaded, with dark seams. Coordinates of all scenes are in pixels of the
// result.
Colour cells(const Scene& scene, float x, float y) {
    constexpr float kSide = 26;
    const int cx = static_cast<int>(std::floor(x / kSide));
    const int cy = static_cast<int>(std::floor(y / kSide));
    float best = 1e9F;
    float second = 1e9F;
    Colour colour{};
    for (int j = cy - 1; j <= cy + 1; ++j) {
        for (int i = cx - 1; i <= cx + 1; ++i) {
            const float dx = x - (static_cast<float>(i) + scene.value(i, j, 0)) * kSide;
            const float dy = y - (static_cast<float>(j) + scene.value(i, j, 1)) * kSide;
            const float d = std::hypot(dx, dy);
            if (d < best) {
                second = best;
                best = d;
                colour = scene.colour(i, j);
            } else {
                second = std::min(second, d);
            }
        }
    }
    const float shade = 1.1F - best / kSide * 0.6F;
    return second - best < 1.6F ? Colour{0.08F, 0.07F, 0.1F}
                                : Colour{colour[0] * shade, colour[1] * shade, colour[2] * shade};
}

// A Siemens star on a soft ground.
Colour star(const Scene& scene, float x, float y, float width, float height) {
    const float dx = x - width * 0.47F;
    const float dy = y - height * 0.52F;
    const float r = std::hypot(dx, dy);
    const Colour ground = mixed(scene.colour(1, 0), scene.colour(2, 0), y / height);
    if (r > std::min(width, height) * 0.45F) {
        return ground;
    }
    const float spokes = 18 + 14 * scene.value(0, 0, 3);
    return std::sin(std::atan2(dy, dx) * std::floor(spokes)) > 0 ? scene.colour(3, 0) : scene.colour(4, 0);
}

// Rows of 5 x 7 letters, sheared, in growing sizes.
Colour letters(const Scene& scene, float x, float y) {
    const Colour paper = mixed({0.95F, 0.94F, 0.9F}, scene.colour(0, 1), 0.15F);
    float top = 4;
    for (int row = 0; top < y; ++row) {
        const float dot = 1.3F + 0.45F * static_cast<float>(row % 5);
        const float next = top + dot * 10;
        if (y < next) {
            const float sheared = x + (y - top) * 0.15F * static_cast<float>(row % 2);
            const int letter = static_cast<int>(std::floor(sheared / (dot * 6)));
            const int column = static_cast<int>(std::floor(sheared / dot)) - letter * 6;
            const int line = static_cast<int>(std::floor((y - top) / dot));
            const bool ink = line < 7 && column < 5 && scene.value(letter, row, column * 7 + line) < 0.45F;
            return ink ? mixed({0.05F, 0.05F, 0.08F}, scene.colour(row, 2), 0.3F) : paper;
        }
        top = next;
    }
    return paper;
}

// The Mandelbrot set near its edge, smooth colours.
Colour mandelbrot(const Scene& scene, float x, float y, float width, float height) {
    const float zoom = 0.004F + 0.02F * scene.value(0, 0, 1);
    const std::complex<float> c(
        -0.7436F + zoom * (x - width / 2) / height * 2, 0.1318F + zoom * (y - height / 2) / height * 2
    );
    std::complex<float> z = 0;
    int n = 0;
    while (n < 160 && std::norm(z) < 64) {
        z = {z.real() * z.real() - z.imag() * z.imag() + c.real(), 2 * z.real() * z.imag() + c.imag()};
        ++n;
    }
    if (n == 160) {
        return {0, 0, 0};
    }
    const float t = (static_cast<float>(n) + 1 - std::log2(0.5F * std::log(std::norm(z)))) * 0.08F;
    return {0.5F + 0.5F * std::sin(t), 0.5F + 0.5F * std::sin(t + 1), 0.5F + 0.5F * std::sin(t + 2.2F)};
}

// Truchet tiles: quarter arcs that join into curves.
Colour truchet(const Scene& scene, float x, float y) {
    constexpr float kSide = 18;
    const int i = static_cast<int>(std::floor(x / kSide));
    const int j = static_cast<int>(std::floor(y / kSide));
    float u = x / kSide - static_cast<float>(i);
    const float v = y / kSide - static_cast<float>(j);
    if (scene.value(i, j, 0) < 0.5F) {
        u = 1 - u;
    }
    const float d = std::min(std::abs(std::hypot(u, v) - 0.5F), std::abs(std::hypot(1 - u, 1 - v) - 0.5F));
    return d < 0.14F ? scene.colour(1, 1) : mixed(scene.colour(2, 1), scene.colour(3, 1), y / 200);
}

// Layers of hills with rough edges and grain under a sky.
Colour hills(const Scene& scene, float x, float y, float width, float height) {
    Colour colour = mixed({0.45F, 0.65F, 0.9F}, {0.95F, 0.9F, 0.8F}, y / height);
    for (int layer = 0; layer < 5; ++layer) {
        const float f = static_cast<float>(layer);
        const float ridge = height * (0.25F + 0.15F * f) +
                            height * 0.2F * scene.noise(x / width * 3 + 17 * f, f) +
                            8 * scene.noise(x / 9 + 31 * f, f + 0.5F) + 3 * scene.noise(x / 3, f + 0.7F);
        if (y > ridge) {
            const float grain =
                scene.noise(x / 2.5F, y / 2.5F + 40 * f) * 0.16F + scene.noise(x / 7, y / 5) * 0.2F;
            colour = mixed(scene.colour(layer, 3), {0.1F, 0.2F, 0.12F}, 0.2F * f);
            for (float& c : colour) {
                c += grain;
            }
        }
    }
    return colour;
}

// Shaded balls over each other on a chequered floor.
Colour balls(const Scene& scene, float x, float y, float width, float height) {
    for (int k = 0; k < 24; ++k) {
        const float r = (0.04F + 0.12F * scene.value(k, 0, 2)) * height;
        const float dx = (x - scene.value(k, 0, 0) * width) / r;
        const float dy = (y - scene.value(k, 0, 1) * height) / r;
        const float d = dx * dx + dy * dy;
        if (d < 1) {
            const float light = std::max(0.0F, 0.6F * std::sqrt(1 - d) - 0.5F * dx - 0.6F * dy);
            const Colour body = scene.colour(k, 4);
            const float shine = light > 0.93F ? 0.4F : 0.0F;
            return {
                body[0] * (0.25F + light) + shine, body[1] * (0.25F + light) + shine,
                body[2] * (0.25F + light) + shine
            };
        }
    }
    const float depth = 30 / (y / height + 0.35F);
    const float u = (x - width / 2) * depth / 400;
    const bool odd = (static_cast<int>(std::floor(u)) + static_cast<int>(std::floor(depth))) % 2 != 0;
    return odd ? Colour{0.75F, 0.72F, 0.65F} : Colour{0.3F, 0.28F, 0.33F};
}

// Woven cloth: sine threads bent by noise, with folds of light.
Colour cloth(const Scene& scene, float x, float y) {
    const float bend = 5 * scene.noise(x / 30, y / 30);
    const float u = x * 0.8F + y * 0.35F + bend;
    const float v = y * 0.8F - x * 0.35F + bend;
    const float over = std::sin(u / 2.2F) * std::sin(v / 2.2F);
    const float fold = 0.75F + 0.5F * scene.noise(x / 45 + 9, y / 45);
    const Colour c = over > 0 ? scene.colour(0, 5) : scene.colour(1, 5);
    const float thread = fold * (0.8F + 0.2F * std::cos((over > 0 ? u : v) / 1.1F));
    return {c[0] * thread, c[1] * thread, c[2] * thread};
}

Colour sample(int kind, const Scene& scene, float x, float y, float width, float height) {
    switch (kind) {
        case 0:
            return cells(scene, x, y);
        case 1:
            return star(scene, x, y, width, height);
        case 2:
            return letters(scene, x, y);
        case 3:
            return mandelbrot(scene, x, y, width, height);
        case 4:
            return truchet(scene, x, y);
        case 5:
            return hills(scene, x, y, width, height);
        case 6:
            return balls(scene, x, y, width, height);
        default:
            return cloth(scene, x, y);
    }
}

}  // namespace

std::string_view sr_picture_name(int kind) {
    static constexpr std::array<std::string_view, kSrPictureKinds> kNames = {
        "cells", "star", "letters", "mandelbrot", "truchet", "hills", "balls", "cloth"
    };
    FG_ASSERT(kind >= 0 && kind < kSrPictureKinds);
    return kNames.at(static_cast<std::size_t>(kind));
}

api::RgbImage make_sr_picture(int kind, std::uint64_t seed, int width, int height) {
    FG_ASSERT(kind >= 0 && kind < kSrPictureKinds && width > 0 && height > 0);
    const Scene scene(seed * kSrPictureKinds + static_cast<std::uint64_t>(kind));
    api::RgbImage out{.width = width, .height = height, .pixels = {}};
    out.pixels.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            Colour sum{};
            for (int s = 0; s < kSamples * kSamples; ++s) {
                const int column = s % kSamples;
                const int row = s / kSamples;
                const float sx = static_cast<float>(x) + (static_cast<float>(column) + 0.5F) / kSamples;
                const float sy = static_cast<float>(y) + (static_cast<float>(row) + 0.5F) / kSamples;
                const Colour c =
                    sample(kind, scene, sx, sy, static_cast<float>(width), static_cast<float>(height));
                for (std::size_t k = 0; k < 3; ++k) {
                    sum.at(k) += std::clamp(c.at(k), 0.0F, 1.0F);
                }
            }
            for (const float c : sum) {
                out.pixels.push_back(static_cast<std::uint8_t>(c / (kSamples * kSamples) * 255.0F + 0.5F));
            }
        }
    }
    return out;
}

}  // namespace framegrid::engine
