#include <framegrid/engine/interpolation.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <framegrid/engine/planes.hpp>
#include <framegrid/engine/tensor_text.hpp>

namespace framegrid::engine {

namespace {

constexpr int kHalvingsMax = 5;
constexpr std::int64_t kSideMax = 1 << 14;
constexpr std::array<std::int64_t, 4> kJoinedChannels{6, 7, 8, 11};

bool is_time(const api::TensorInfo& info) {
    if (!info.is_float) {
        return false;
    }
    const auto& name = info.name;
    const bool named = name.find("time") != std::string::npos || name == "t" || name == "dt" || name == "tau";
    const bool is_plane = info.shape.size() == 4 && info.shape[1] == 1;
    return named || info.shape.size() <= 2 || is_plane;
}

int padded(int side, int multiple) {
    return (side + multiple - 1) / multiple * multiple;
}

// Networks say where their pictures are: of the two, the one with the smaller number is the earlier.
bool is_after(const api::TensorInfo& first, const api::TensorInfo& second) {
    const auto stem = [](std::string_view name) {
        return name.substr(0, name.find_last_not_of("0123456789") + 1);
    };
    return stem(first.name) == stem(second.name) && first.name.size() == second.name.size() &&
           first.name > second.name;
}

media::Size fixed_size(const api::TensorInfo& picture, bool channels_last) {
    const auto side = [&](std::size_t axis) {
        const std::int64_t value = picture.shape[axis];
        return value > 0 && value <= kSideMax ? static_cast<int>(value) : 0;
    };
    return channels_last ? media::Size{side(2), side(1)} : media::Size{side(3), side(2)};
}

// The output that is a picture: the one of a usual name, else the first of a picture's shape.
std::optional<std::size_t> find_output(const std::vector<api::TensorInfo>& outputs, bool channels_last) {
    std::optional<std::size_t> first;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto& shape = outputs[i].shape;
        const std::size_t axis = channels_last ? 3 : 1;
        if (!outputs[i].is_float || shape.size() != 4 || (shape[axis] != 3 && shape[axis] != -1)) {
            continue;
        }
        if (outputs[i].name == "image" || outputs[i].name == "output") {
            return i;
        }
        first = first.value_or(i);
    }
    return first;
}

// [1, 3, h, w] to [1, h, w, 3], or back.
api::Tensor turned(const api::Tensor& from, bool to_last) {
    const auto& shape = from.shape;
    return {
        to_last ? std::vector<std::int64_t>{1, shape[2], shape[3], 3}
                : std::vector<std::int64_t>{1, 3, shape[1], shape[2]},
        turn_channels(from.floats(), from.floats().size() / 3, to_last)
    };
}

}  // namespace

Result<InterpolationTensors> InterpolationTensors::find(
    const std::vector<api::TensorInfo>& inputs, const std::vector<api::TensorInfo>& outputs
) {
    InterpolationTensors found;
    std::vector<const api::TensorInfo*> pictures;
    for (const auto& info : inputs) {
        if (info.is_float && info.shape.size() == 4 && !is_time(info)) {
            pictures.push_back(&info);
        } else if (is_time(info) && !found.time) {
            found.time = info.name;
            found.time_rank = info.shape.size();
            found.time_is_plane = info.shape.size() == 4 && (info.shape[2] != 1 || info.shape[3] != 1);
        } else {
            return fail(
                Errc::kUnprocessable,
                "the network's input " + tensor_text(info) + " is neither a picture nor a time"
            );
        }
    }
    if (pictures.size() == 2) {
        if (is_after(*pictures[0], *pictures[1])) {
            std::swap(pictures[0], pictures[1]);
        }
        found.before = pictures[0]->name;
        found.after = pictures[1]->name;
        found.channels_last = is_channels_last(*pictures[0]);
        for (const auto* picture : pictures) {
            const std::int64_t channels = picture->shape[found.channels_last ? 3 : 1];
            if (is_channels_last(*picture) != found.channels_last || (channels != 3 && channels != -1)) {
                return fail(
                    Errc::kUnprocessable, "the network's input " + tensor_text(*picture) +
                                              " is no picture of 3 colours like the other one"
                );
            }
        }
    } else if (pictures.size() == 1 &&
               std::ranges::find(kJoinedChannels, pictures[0]->shape[1]) != kJoinedChannels.end()) {
        found.before = pictures[0]->name;
        found.channels = pictures[0]->shape[1];
    } else {
        return fail(
            Errc::kUnprocessable, "the network does not take two pictures, but " + tensors_text(inputs)
        );
    }
    found.fixed = fixed_size(*pictures[0], found.channels_last);
    const auto output = find_output(outputs, found.channels_last);
    if (!output) {
        return fail(Errc::kUnprocessable, "the network gives no picture, but " + tensors_text(outputs));
    }
    found.output = *output;
    return found;
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
    FG_TRY(tensors, InterpolationTensors::find(network.inputs(), network.outputs()));
    return Interpolator(network, std::move(tensors), std::max(1, multiple));
}

api::Tensor Interpolator::joined(
    const api::RgbImage& before, const api::RgbImage& after, double time, media::Size size
) const {
    const Window window{.size = size};
    const std::size_t plane = window.plane();
    const auto channels = static_cast<std::size_t>(tensors_.channels);
    api::Tensor out{{1, tensors_.channels, size.height, size.width}, std::vector<float>(channels * plane)};
    const std::span<float> values = out.floats();
    put_planes(before, window, Edges::kRepeat, values.first(3 * plane));
    put_planes(after, window, Edges::kRepeat, values.subspan(3 * plane, 3 * plane));
    const auto fill = [&](std::size_t channel, double value) {
        std::ranges::fill(values.subspan(channel * plane, plane), static_cast<float>(value));
    };
    if (channels > 6) {
        fill(6, time);
    }
    if (channels == 8) {
        fill(7, 1);
    }
    if (channels == 11) {
        const auto width = static_cast<std::size_t>(size.width);
        const auto place = [](std::size_t at, int side) {
            return side > 1 ? 2 * static_cast<double>(at) / (side - 1) - 1 : 0;
        };
        for (std::size_t i = 0; i < plane; ++i) {
            values[7 * plane + i] = static_cast<float>(place(i % width, size.width));
            values[8 * plane + i] = static_cast<float>(place(i / width, size.height));
        }
        fill(9, 2.0 / std::max(1, size.width - 1));
        fill(10, 2.0 / std::max(1, size.height - 1));
    }
    return out;
}

api::Tensor Interpolator::single(const api::RgbImage& picture, media::Size size) const {
    const Window window{.size = size};
    api::Tensor out{{1, 3, size.height, size.width}, std::vector<float>(3 * window.plane())};
    put_planes(picture, window, Edges::kRepeat, out.floats());
    return tensors_.channels_last ? turned(out, true) : out;
}

api::Tensor Interpolator::moment(double time, media::Size size) const {
    if (tensors_.time_is_plane) {
        const std::size_t plane = Window{.size = size}.plane();
        return {{1, 1, size.height, size.width}, std::vector<float>(plane, static_cast<float>(time))};
    }
    return {std::vector<std::int64_t>(tensors_.time_rank, 1), std::vector<float>{static_cast<float>(time)}};
}

Result<api::RgbImage> Interpolator::once(
    const api::RgbImage& before, const api::RgbImage& after, double time
) {
    const auto [fixed_width, fixed_height] = tensors_.fixed;
    const media::Size size{
        fixed_width > 0 ? fixed_width : padded(before.width, multiple_),
        fixed_height > 0 ? fixed_height : padded(before.height, multiple_)
    };
    if (before.width > size.width || before.height > size.height) {
        return fail(
            Errc::kInvalidArgument,
            "the network takes pictures of at most " + std::to_string(size.width) + "x" +
                std::to_string(size.height) + ", these have " + std::to_string(before.width) + "x" +
                std::to_string(before.height),
            "video"
        );
    }
    const bool is_joined = tensors_.after.empty();
    const api::Tensor first = is_joined ? joined(before, after, time, size) : single(before, size);
    const api::Tensor second = is_joined ? api::Tensor{} : single(after, size);
    const api::Tensor when = moment(time, size);
    std::vector<api::NamedTensor> named{{tensors_.before, &first}};
    if (!is_joined) {
        named.push_back({tensors_.after, &second});
    }
    if (tensors_.time) {
        named.push_back({*tensors_.time, &when});
    }
    FG_TRY(outputs, network_->run(named));
    if (tensors_.output >= outputs.size()) {
        return fail(Errc::kUnprocessable, "the network gave no picture");
    }
    auto& out = outputs[tensors_.output];
    const auto wanted = tensors_.channels_last ? std::vector<std::int64_t>{1, size.height, size.width, 3}
                                               : std::vector<std::int64_t>{1, 3, size.height, size.width};
    if (!std::holds_alternative<std::vector<float>>(out.values) || out.shape != wanted) {
        return fail(
            Errc::kUnprocessable, "the network's picture " + network_->outputs()[tensors_.output].name +
                                      " has another size than its inputs: " + shape_text(out.shape)
        );
    }
    if (tensors_.channels_last) {
        out = turned(out, false);
    }
    api::RgbImage image{before.width, before.height, Bytes(before.pixels.size())};
    take_planes(out.floats(), size, {.size = {before.width, before.height}}, image, 0, 0);
    return image;
}

Result<api::RgbImage> Interpolator::between(
    const api::RgbImage& before, const api::RgbImage& after, double time, const api::StopFlag& stop
) {
    if (before.width != after.width || before.height != after.height || before.width < 1 ||
        before.height < 1) {
        return fail(Errc::kInvalidArgument, "the two pictures have different sizes", "video");
    }
    const bool any_time = tensors_.time.has_value() || tensors_.channels > 6;
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
