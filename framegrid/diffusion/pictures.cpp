#include <framegrid/diffusion/pictures.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

constexpr double kLobes = 3;

double lanczos(double x) {
    if (x == 0) {
        return 1;
    }
    if (std::abs(x) >= kLobes) {
        return 0;
    }
    const double p = std::numbers::pi * x;
    return std::sin(p) / p * std::sin(p / kLobes) / (p / kLobes);
}

// The source samples first .. first + weights.size() - 1 of one target sample.
struct Taps {
    int first = 0;
    std::vector<double> weights;
};

std::vector<Taps> make_taps(int source, int target) {
    const double ratio = static_cast<double>(source) / target;
    const double widen = std::max(1.0, ratio);
    std::vector<Taps> out(static_cast<std::size_t>(target));
    for (int i = 0; i < target; ++i) {
        const double centre = (i + 0.5) * ratio;
        const int first = std::max(0, static_cast<int>(centre - kLobes * widen + 0.5));
        const int last = std::min(source, static_cast<int>(centre + kLobes * widen + 0.5));
        Taps& taps = out[static_cast<std::size_t>(i)];
        taps.first = first;
        double sum = 0;
        for (int k = first; k < last; ++k) {
            taps.weights.push_back(lanczos((k - centre + 0.5) / widen));
            sum += taps.weights.back();
        }
        for (double& weight : taps.weights) {
            weight /= sum;
        }
    }
    return out;
}

std::uint8_t to_byte(double value) {
    return static_cast<std::uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

// Lines of `lines` x source samples of 3 bytes to lines x target ones, transposed: out[target][line].
Bytes filter_transposed(const Bytes& in, int lines, int source, int target) {
    const auto taps = make_taps(source, target);
    const auto at = [](int line, int i, int length) {
        return (static_cast<std::size_t>(line) * static_cast<std::size_t>(length) +
                static_cast<std::size_t>(i)) *
               3;
    };
    Bytes out(at(target, 0, lines));
    for (int line = 0; line < lines; ++line) {
        for (int i = 0; i < target; ++i) {
            const Taps& t = taps[static_cast<std::size_t>(i)];
            for (std::size_t c = 0; c < 3; ++c) {
                double sum = 0;
                for (std::size_t k = 0; k < t.weights.size(); ++k) {
                    sum += t.weights[k] * in[at(line, t.first + static_cast<int>(k), source) + c];
                }
                out[at(i, line, lines) + c] = to_byte(sum);
            }
        }
    }
    return out;
}

}  // namespace

bool is_picture(const api::RgbImage& image) {
    return image.width > 0 && image.height > 0 &&
           image.pixels.size() ==
               static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
}

api::RgbImage resize_lanczos(const api::RgbImage& image, int width, int height) {
    FG_ASSERT(is_picture(image) && width > 0 && height > 0);
    if (width == image.width && height == image.height) {
        return image;
    }
    const Bytes across = filter_transposed(image.pixels, image.height, image.width, width);
    return {
        .width = width, .height = height, .pixels = filter_transposed(across, width, image.height, height)
    };
}

api::Tensor picture_to_tensor(const api::RgbImage& image) {
    FG_ASSERT(is_picture(image));
    auto out = make_floats({1, 3, image.height, image.width});
    const std::size_t plane = image.pixels.size() / 3;
    auto& values = out.floats();
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
        values[i % 3 * plane + i / 3] = 2 * (static_cast<float>(image.pixels[i]) / 255.0F) - 1;
    }
    return out;
}

api::RgbImage tensor_to_picture(const api::Tensor& tensor, std::int64_t row) {
    FG_ASSERT(tensor.shape.size() == 4 && tensor.shape[1] == 3 && row < tensor.shape[0]);
    const auto height = static_cast<std::size_t>(tensor.shape[2]);
    const auto width = static_cast<std::size_t>(tensor.shape[3]);
    const std::size_t plane = height * width;
    const float* from = tensor.floats().data() + static_cast<std::size_t>(row) * 3 * plane;
    api::RgbImage out{
        .width = static_cast<int>(width), .height = static_cast<int>(height), .pixels = Bytes(plane * 3)
    };
    for (std::size_t i = 0; i < out.pixels.size(); ++i) {
        const float value = from[i % 3 * plane + i / 3] / 2 + 0.5F;
        out.pixels[i] =
            static_cast<std::uint8_t>(std::nearbyint(value > 0 ? std::min(value, 1.0F) * 255 : 0));
    }
    return out;
}

api::Tensor mask_to_tensor(const api::RgbImage& mask) {
    FG_ASSERT(is_picture(mask));
    auto out = make_floats({1, 1, mask.height, mask.width});
    auto& values = out.floats();
    for (std::size_t i = 0; i < values.size(); ++i) {
        // ITU-R 601 luma in 16-bit fixed point.
        const unsigned luma = (mask.pixels[3 * i] * 19595U + mask.pixels[3 * i + 1] * 38470U +
                               mask.pixels[3 * i + 2] * 7471U + 0x8000U) >>
                              16U;
        values[i] = luma >= 128 ? 1.0F : 0.0F;
    }
    return out;
}

api::Tensor pick_nearest(const api::Tensor& tensor, int factor) {
    FG_ASSERT(tensor.shape.size() == 4 && factor > 0);
    const std::int64_t height = tensor.shape[2] / factor;
    const std::int64_t width = tensor.shape[3] / factor;
    auto out = make_floats({tensor.shape[0], tensor.shape[1], height, width});
    const auto& from = tensor.floats();
    std::size_t at = 0;
    for (std::int64_t plane = 0; plane < tensor.shape[0] * tensor.shape[1]; ++plane) {
        for (std::int64_t y = 0; y < height; ++y) {
            for (std::int64_t x = 0; x < width; ++x) {
                out.floats()[at++] = from[static_cast<std::size_t>(
                    (plane * tensor.shape[2] + y * factor) * tensor.shape[3] + x * factor
                )];
            }
        }
    }
    return out;
}

api::Tensor shrink_by_mean(const api::Tensor& tensor, int factor) {
    FG_ASSERT(tensor.shape.size() == 4 && factor > 0);
    const std::int64_t height = tensor.shape[2] / factor;
    const std::int64_t width = tensor.shape[3] / factor;
    auto out = make_floats({tensor.shape[0], tensor.shape[1], height, width});
    const auto& from = tensor.floats();
    std::size_t at = 0;
    for (std::int64_t plane = 0; plane < tensor.shape[0] * tensor.shape[1]; ++plane) {
        for (std::int64_t y = 0; y < height; ++y) {
            for (std::int64_t x = 0; x < width; ++x) {
                float sum = 0;
                for (std::int64_t k = 0; k < std::int64_t{factor} * factor; ++k) {
                    sum += from[static_cast<std::size_t>(
                        (plane * tensor.shape[2] + y * factor + k / factor) * tensor.shape[3] + x * factor +
                        k % factor
                    )];
                }
                out.floats()[at++] = sum / static_cast<float>(factor * factor);
            }
        }
    }
    return out;
}

}  // namespace framegrid::diffusion
