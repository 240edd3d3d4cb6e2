#include <framegrid/engine/resample.hpp>

#include <array>
#include <cmath>

namespace framegrid::engine {
namespace {

// Keys' kernel with a = -0.5.
double cubic(double t) {
    t = std::abs(t);
    if (t < 1) {
        return (1.5 * t - 2.5) * t * t + 1;
    }
    return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

// Weights of the source samples first .. first + size - 1 for one target sample.
struct Taps {
    int first = 0;
    std::vector<float> weights;
};

std::vector<Taps> make_taps(int source, int target) {
    const double ratio = static_cast<double>(source) / target;
    const double widen = std::max(1.0, ratio);
    std::vector<Taps> out(static_cast<std::size_t>(target));
    for (int i = 0; i < target; ++i) {
        const double centre = (i + 0.5) * ratio;
        const int first = static_cast<int>(std::floor(centre - 2 * widen));
        const int last = static_cast<int>(std::ceil(centre + 2 * widen));
        Taps& taps = out[static_cast<std::size_t>(i)];
        taps.first = first;
        double sum = 0;
        for (int k = first; k < last; ++k) {
            const double weight = cubic((k + 0.5 - centre) / widen);
            taps.weights.push_back(static_cast<float>(weight));
            sum += weight;
        }
        for (float& weight : taps.weights) {
            weight = static_cast<float>(weight / sum);
        }
    }
    return out;
}

std::size_t index(int x, int y, int width) {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) * 3;
}

// Filters lines into floats, then columns into bytes.
api::RgbImage resample(const api::RgbImage& image, int width, int height) {
    const auto across = make_taps(image.width, width);
    const auto down = make_taps(image.height, height);
    std::vector<float> lines(index(0, image.height, width));
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < width; ++x) {
            const Taps& taps = across[static_cast<std::size_t>(x)];
            float* target = &lines[index(x, y, width)];
            for (std::size_t k = 0; k < taps.weights.size(); ++k) {
                const int sx = std::clamp(taps.first + static_cast<int>(k), 0, image.width - 1);
                const std::uint8_t* source = &image.pixels[index(sx, y, image.width)];
                for (std::size_t c = 0; c < 3; ++c) {
                    target[c] += taps.weights[k] * static_cast<float>(source[c]);
                }
            }
        }
    }
    api::RgbImage out{.width = width, .height = height, .pixels = Bytes(index(0, height, width))};
    for (int y = 0; y < height; ++y) {
        const Taps& taps = down[static_cast<std::size_t>(y)];
        for (int x = 0; x < width; ++x) {
            std::array<float, 3> sum{};
            for (std::size_t k = 0; k < taps.weights.size(); ++k) {
                const int sy = std::clamp(taps.first + static_cast<int>(k), 0, image.height - 1);
                const float* source = &lines[index(x, sy, width)];
                for (std::size_t c = 0; c < 3; ++c) {
                    sum[c] += taps.weights[k] * source[c];
                }
            }
            for (std::size_t c = 0; c < 3; ++c) {
                out.pixels[index(x, y, width) + c] =
                    static_cast<std::uint8_t>(std::clamp(sum[c] + 0.5F, 0.0F, 255.0F));
            }
        }
    }
    return out;
}

}  // namespace

api::RgbImage shrink_bicubic(const api::RgbImage& image, int factor) {
    FG_ASSERT(factor > 0 && image.width % factor == 0 && image.height % factor == 0);
    return resample(image, image.width / factor, image.height / factor);
}

api::RgbImage enlarge_bicubic(const api::RgbImage& image, int factor) {
    FG_ASSERT(factor > 0);
    return resample(image, image.width * factor, image.height * factor);
}

double psnr_rgb(const api::RgbImage& a, const api::RgbImage& b, int border) {
    FG_ASSERT(a.width == b.width && a.height == b.height && a.width > 2 * border && a.height > 2 * border);
    std::int64_t sum = 0;
    std::int64_t count = 0;
    for (int y = border; y < a.height - border; ++y) {
        const std::size_t from = index(border, y, a.width);
        const std::size_t to = index(a.width - border, y, a.width);
        for (std::size_t i = from; i < to; ++i) {
            const std::int64_t d = std::int64_t{a.pixels[i]} - b.pixels[i];
            sum += d * d;
        }
        count += static_cast<std::int64_t>(to - from);
    }
    if (sum == 0) {
        return 100.0;
    }
    return 10 * std::log10(255.0 * 255.0 * static_cast<double>(count) / static_cast<double>(sum));
}

}  // namespace framegrid::engine
