#include <framegrid/engine/interpolation.hpp>

#include <algorithm>
#include <cmath>

namespace framegrid::engine {

namespace {

constexpr int kHalvingsMax = 5;

bool is_picture(const api::TensorInfo& info) {
    return info.is_float && info.shape.size() == 4;
}

bool is_time(const api::TensorInfo& info) {
    return info.is_float && (info.name.find("time") != std::string::npos || info.name == "t");
}

int padded(int side, int multiple) {
    return (side + multiple - 1) / multiple * multiple;
}

// Whether the colours are on the last axis.
bool is_channels_last(const api::TensorInfo& info) {
    return info.shape[3] == 3 && info.shape[1] != 3;
}

// [1, 3, h, w] to [1, h, w, 3], or back.
api::Tensor turn_channels(const api::Tensor& from, bool to_last) {
    const auto& shape = from.shape;
    api::Tensor out{
        to_last ? std::vector<std::int64_t>{1, shape[2], shape[3], 3}
                : std::vector<std::int64_t>{1, 3, shape[1], shape[2]},
        std::vector<float>(from.floats().size())
    };
    const std::size_t plane = from.floats().size() / 3;
    for (std::size_t i = 0; i < plane; ++i) {
        for (std::size_t channel = 0; channel < 3; ++channel) {
            const std::size_t last = i * 3 + channel;
            const std::size_t first = channel * plane + i;
            out.floats()[to_last ? last : first] = from.floats()[to_last ? first : last];
        }
    }
    return out;
}

// 3 planes of 0..1, the last row and column repeated to the padded size.
void put_planes(const api::RgbImage& image, int width, int height, float* out) {
    for (int channel = 0; channel < 3; ++channel) {
        for (int y = 0; y < height; ++y) {
            const int from_y = std::min(y, image.height - 1);
            const std::uint8_t* row = image.pixels.data() + static_cast<std::size_t>(from_y) *
                                                                static_cast<std::size_t>(image.width) * 3;
            for (int x = 0; x < width; ++x) {
                const int from_x = std::min(x, image.width - 1);
                *out++ = static_cast<float>(row[from_x * 3 + channel]) / 255.0F;
            }
        }
    }
}

api::RgbImage take_planes(const float* planes, int width, int height, media::Size size) {
    api::RgbImage image{size.width, size.height, {}};
    image.pixels.resize(static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height) * 3);
    const std::size_t plane = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    std::uint8_t* out = image.pixels.data();
    for (int y = 0; y < size.height; ++y) {
        const float* row = planes + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
        for (int x = 0; x < size.width; ++x) {
            for (std::size_t channel = 0; channel < 3; ++channel) {
                const float value = row[channel * plane + static_cast<std::size_t>(x)];
                const float clean = value > 0 ? std::min(value, 1.0F) : 0.0F;  // NaN becomes 0
                *out++ = static_cast<std::uint8_t>(std::lround(clean * 255.0F));
            }
        }
    }
    return image;
}

}  // namespace

Result<InterpolationInputs> InterpolationInputs::find(const api::TensorModel& network) {
    InterpolationInputs found;
    std::vector<const api::TensorInfo*> pictures;
    for (const auto& info : network.inputs()) {
        if (is_time(info)) {
            found.time = info.name;
            found.time_rank = info.shape.size();
            found.time_is_plane = info.shape.size() == 4 && (info.shape[2] != 1 || info.shape[3] != 1);
        } else if (is_picture(info)) {
            pictures.push_back(&info);
        } else {
            return fail(
                Errc::kUnprocessable, "the network's input " + info.name + " is neither picture nor time"
            );
        }
    }
    if (pictures.size() == 2) {
        found.before = pictures[0]->name;
        found.after = pictures[1]->name;
        found.channels_last = is_channels_last(*pictures[0]);
        if (found.channels_last != is_channels_last(*pictures[1])) {
            return fail(Errc::kUnprocessable, "the network takes its two pictures in different layouts");
        }
        return found;
    }
    if (pictures.size() == 1 && pictures[0]->shape[1] >= 6 && pictures[0]->shape[1] <= 8) {
        found.before = pictures[0]->name;
        found.channels = pictures[0]->shape[1];
        return found;
    }
    return fail(Errc::kUnprocessable, "the network does not take two pictures");
}

bool is_cut(const api::RgbImage& before, const api::RgbImage& after) {
    constexpr std::size_t kStride = 7;  // every so many values are enough, and fall on all colours
    constexpr double kDifference = 0.2 * 255;
    std::int64_t sum = 0;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < std::min(before.pixels.size(), after.pixels.size()); i += kStride) {
        sum += std::abs(int{before.pixels[i]} - int{after.pixels[i]});
        ++count;
    }
    return count > 0 && static_cast<double>(sum) > kDifference * static_cast<double>(count);
}

Result<Interpolator> Interpolator::make(api::TensorModel& network, int multiple) {
    FG_TRY(inputs, InterpolationInputs::find(network));
    if (network.outputs().empty() || !network.outputs().front().is_float) {
        return fail(Errc::kUnprocessable, "the network gives no picture");
    }
    return Interpolator(network, std::move(inputs), std::max(1, multiple));
}

Result<api::RgbImage> Interpolator::once(
    const api::RgbImage& before, const api::RgbImage& after, double time
) {
    const int width = padded(before.width, multiple_);
    const int height = padded(before.height, multiple_);
    const std::size_t plane = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    const bool joined = inputs_.after.empty();
    const auto channels = static_cast<std::size_t>(joined ? inputs_.channels : 3);
    api::Tensor first{
        {1, static_cast<std::int64_t>(channels), height, width}, std::vector<float>(plane * channels)
    };
    api::Tensor second{{1, 3, height, width}, std::vector<float>(joined ? 0 : plane * 3)};
    put_planes(before, width, height, first.floats().data());
    put_planes(after, width, height, joined ? first.floats().data() + 3 * plane : second.floats().data());
    if (joined && channels > 6) {
        std::fill_n(first.floats().data() + 6 * plane, plane, static_cast<float>(time));
    }
    api::Tensor when{
        std::vector<std::int64_t>(inputs_.time_rank, 1), std::vector<float>{static_cast<float>(time)}
    };
    if (inputs_.time_is_plane) {
        when = {{1, 1, height, width}, std::vector<float>(plane, static_cast<float>(time))};
    }
    if (inputs_.channels_last) {
        first = turn_channels(first, true);
        second = turn_channels(second, true);
    }
    std::vector<api::NamedTensor> named{{inputs_.before, &first}};
    if (!joined) {
        named.push_back({inputs_.after, &second});
    }
    if (inputs_.time) {
        named.push_back({*inputs_.time, &when});
    }
    FG_TRY(outputs, network_->run(named));
    auto& out = outputs.front();
    const auto wanted = inputs_.channels_last ? std::vector<std::int64_t>{1, height, width, 3}
                                              : std::vector<std::int64_t>{1, 3, height, width};
    if (!std::holds_alternative<std::vector<float>>(out.values) || out.shape != wanted) {
        return fail(Errc::kUnprocessable, "the network's picture has another size than its inputs");
    }
    if (inputs_.channels_last) {
        out = turn_channels(out, false);
    }
    return take_planes(out.floats().data(), width, height, {before.width, before.height});
}

Result<api::RgbImage> Interpolator::between(
    const api::RgbImage& before, const api::RgbImage& after, double time, const api::StopFlag& stop
) {
    if (before.width != after.width || before.height != after.height || before.width < 1 ||
        before.height < 1) {
        return fail(Errc::kInvalidArgument, "the two pictures have different sizes", "video");
    }
    const bool any_time = inputs_.time.has_value() || inputs_.channels > 6;
    api::RgbImage low = before;
    api::RgbImage high = after;
    double low_time = 0;
    double high_time = 1;
    for (int halving = 1;; ++halving) {
        if (stop.load(std::memory_order_relaxed)) {
            return fail(Errc::kCancelled, "the work was stopped");
        }
        if (any_time) {
            return once(before, after, time);
        }
        const double middle_time = (low_time + high_time) / 2;
        FG_TRY(middle, once(low, high, 0.5));
        if (halving == kHalvingsMax || std::abs(middle_time - time) < 1.0 / 32) {
            return middle;
        }
        if (time < middle_time) {
            high = std::move(middle);
            high_time = middle_time;
        } else {
            low = std::move(middle);
            low_time = middle_time;
        }
    }
}

}  // namespace framegrid::engine
