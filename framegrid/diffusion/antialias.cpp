#include <algorithm>
#include <array>
#include <cmath>

#include <framegrid/diffusion/pictures.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

// Samples of a line and their weights for one target sample.
struct Taps {
    std::vector<std::int64_t> from;
    std::vector<float> weights;
};

// The index mirrored into 0 .. size - 1, the edge not repeated.
std::int64_t mirror(std::int64_t i, std::int64_t size) {
    const std::int64_t period = std::max<std::int64_t>(2 * (size - 1), 1);
    i = ((i % period) + period) % period;
    return std::min(i, period - i) % size;
}

std::vector<Taps> blur_taps(std::int64_t size, std::int64_t target) {
    const double factor = static_cast<double>(size) / static_cast<double>(target);
    const auto sigma = static_cast<float>(std::max((factor - 1) / 2, 0.001));
    auto width = static_cast<std::int64_t>(std::max(4.0 * std::max((factor - 1) / 2, 0.001), 3.0));
    width += width % 2 == 0 ? 1 : 0;
    std::vector<float> kernel;
    float sum = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        const std::int64_t offset = i - width / 2;
        const auto x = static_cast<float>(offset);
        kernel.push_back(std::exp(-x * x / (2 * sigma * sigma)));
        sum += kernel.back();
    }
    std::vector<Taps> out(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i) {
        Taps& taps = out[static_cast<std::size_t>(i)];
        for (std::int64_t k = 0; k < width; ++k) {
            taps.from.push_back(mirror(i + k - width / 2, size));
            taps.weights.push_back(kernel[static_cast<std::size_t>(k)] / sum);
        }
    }
    return out;
}

// Keys' kernel with a = -0.75 at distance t.
double cubic(double t) {
    constexpr double kA = -0.75;
    t = std::abs(t);
    if (t <= 1) {
        return ((kA + 2) * t - (kA + 3)) * t * t + 1;
    }
    return t < 2 ? ((kA * t - 5 * kA) * t + 8 * kA) * t - 4 * kA : 0;
}

std::vector<Taps> cubic_taps(std::int64_t size, std::int64_t target) {
    std::vector<Taps> out(static_cast<std::size_t>(target));
    for (std::int64_t i = 0; i < target; ++i) {
        const double place =
            target > 1 ? static_cast<double>(i * (size - 1)) / static_cast<double>(target - 1) : 0;
        const auto low = static_cast<std::int64_t>(std::floor(place));
        Taps& taps = out[static_cast<std::size_t>(i)];
        for (std::int64_t k = low - 1; k <= low + 2; ++k) {
            taps.from.push_back(std::clamp<std::int64_t>(k, 0, size - 1));
            taps.weights.push_back(static_cast<float>(cubic(place - static_cast<double>(k))));
        }
    }
    return out;
}

// Filters axis `axis` (2 or 3) of [1, c, h, w].
api::Tensor filter(const api::Tensor& in, std::size_t axis, const std::vector<Taps>& taps) {
    Shape shape = in.shape;
    const std::int64_t size = shape[axis];
    shape[axis] = static_cast<std::int64_t>(taps.size());
    const std::int64_t stride = axis == 2 ? shape[3] : 1;
    const std::int64_t outer = axis == 2 ? shape[1] : shape[1] * shape[2];
    auto out = make_floats(shape);
    for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t i = 0; i < shape[axis]; ++i) {
            const Taps& t = taps[static_cast<std::size_t>(i)];
            for (std::int64_t s = 0; s < stride; ++s) {
                float sum = 0;
                for (std::size_t k = 0; k < t.weights.size(); ++k) {
                    sum += t.weights[k] *
                           in.floats()[static_cast<std::size_t>((o * size + t.from[k]) * stride + s)];
                }
                out.floats()[static_cast<std::size_t>((o * shape[axis] + i) * stride + s)] = sum;
            }
        }
    }
    return out;
}

}  // namespace

api::Tensor resize_antialiased(const api::Tensor& tensor, std::int64_t width, std::int64_t height) {
    FG_ASSERT(tensor.shape.size() == 4 && tensor.shape[0] == 1 && width > 0 && height > 0);
    const std::int64_t old_height = tensor.shape[2];
    const std::int64_t old_width = tensor.shape[3];
    const api::Tensor blurred =
        filter(filter(tensor, 3, blur_taps(old_width, width)), 2, blur_taps(old_height, height));
    return filter(filter(blurred, 3, cubic_taps(old_width, width)), 2, cubic_taps(old_height, height));
}

}  // namespace framegrid::diffusion
