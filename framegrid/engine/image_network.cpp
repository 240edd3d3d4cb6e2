#include <framegrid/engine/image_network.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/planes.hpp>
#include <framegrid/engine/tensor_text.hpp>

namespace framegrid::engine {

namespace {

constexpr std::int64_t kFloatsMax = std::int64_t{1} << 29;
constexpr int kProbeSide = 16;
constexpr std::array<int, 7> kMultiples{1, 2, 4, 8, 16, 32, 64};

std::unexpected<Error> unfit(const ModelManifest& manifest, const std::string& what) {
    return fail(Errc::kUnprocessable, "model " + manifest.id + ": " + what);
}

// Which tensors of a network an ImageModel uses.
struct Tensors {
    const api::TensorInfo* input = nullptr;
    std::size_t output = 0;
    bool input_last = false;  // colours are on the last axis
};

Result<void> check_tensor(const ModelManifest& manifest, const api::TensorInfo& info) {
    const auto is_colours = [&](std::size_t axis) { return info.shape[axis] == 3 || info.shape[axis] == -1; };
    if (info.shape.size() != 4 || !(is_colours(1) || is_colours(3))) {
        return unfit(
            manifest, tensor_text(info) + " does not have the shape [n, 3, h, w] or [n, h, w, 3] of a picture"
        );
    }
    return {};
}

Result<Tensors> find_tensors(const ModelManifest& manifest, const api::TensorModel& network) {
    const auto& inputs = network.inputs();
    const auto& outputs = network.outputs();
    if (inputs.size() != 1 || inputs.front().name != manifest.input.name) {
        return unfit(
            manifest, "the network takes " + tensors_text(inputs) + ", the manifest says " +
                          printable(manifest.input.name)
        );
    }
    const auto output = std::ranges::find(outputs, manifest.output.name, &api::TensorInfo::name);
    if (output == outputs.end()) {
        return unfit(
            manifest, "the network gives " + tensors_text(outputs) + ", the manifest says " +
                          printable(manifest.output.name)
        );
    }
    FG_CHECK(check_tensor(manifest, inputs.front()));
    if (inputs.front().shape[0] > 1) {
        return unfit(
            manifest, tensor_text(inputs.front()) + " takes several pictures at a time, and no fewer"
        );
    }
    FG_CHECK(check_tensor(manifest, *output));
    return Tensors{
        &inputs.front(), static_cast<std::size_t>(output - outputs.begin()), is_channels_last(inputs.front())
    };
}

class NetworkImageModel : public api::ImageModel {
  public:
    NetworkImageModel(
        const ModelManifest& manifest, const Tensors& tensors, std::unique_ptr<api::TensorModel> network
    )
        : what_("model " + manifest.id),
          scale_(manifest.image.scale),
          value_max_(static_cast<float>(manifest.image.value_max)),
          tensors_(tensors),
          network_(std::move(network)) {}

    int scale() const override { return scale_; }

    Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) override {
        const std::int64_t floats = std::int64_t{3} * count * tile_height * tile_width;
        const std::int64_t factor = std::int64_t{scale_} * scale_;
        if (count <= 0 || tile_height <= 0 || tile_width <= 0 ||
            tiles.size() != static_cast<std::size_t>(floats) || floats > kFloatsMax / factor) {
            return fail(Errc::kInvalidArgument, what_ + ": the tiles do not have the stated size");
        }
        const api::Tensor input = to_input(tiles, {count, 3, tile_height, tile_width});
        const api::NamedTensor named{tensors_.input->name, &input};
        FG_TRY(outputs, network_->run({&named, 1}));
        if (tensors_.output >= outputs.size()) {
            return fail(Errc::kInternal, what_ + ": the network gave no picture");
        }
        return from_output(
            std::move(outputs[tensors_.output]),
            {count, 3, std::int64_t{tile_height} * scale_, std::int64_t{tile_width} * scale_}
        );
    }

  private:
    api::Tensor to_input(const std::vector<float>& tiles, std::vector<std::int64_t> shape) const {
        std::vector<float> values = tiles;
        if (tensors_.input_last) {
            values = turn_channels(tiles, static_cast<std::size_t>(shape[2] * shape[3]), true);
            shape = {shape[0], shape[2], shape[3], shape[1]};
        }
        if (value_max_ != 1) {
            std::ranges::for_each(values, [&](float& value) { value *= value_max_; });
        }
        if (tensors_.input->is_float) {
            return {std::move(shape), std::move(values)};
        }
        std::vector<std::int64_t> whole(values.size());
        std::ranges::transform(values, whole.begin(), [](float value) { return std::lround(value); });
        return {std::move(shape), std::move(whole)};
    }

    Result<std::vector<float>> from_output(api::Tensor tensor, const std::vector<std::int64_t>& wanted)
        const {
        std::vector<float> values;
        const bool is_float = std::holds_alternative<std::vector<float>>(tensor.values);
        if (is_float) {
            values = std::move(tensor.floats());
        } else {
            const auto& integers = tensor.integers();
            values.assign(integers.begin(), integers.end());
        }
        const std::vector<std::int64_t> last{wanted[0], wanted[2], wanted[3], wanted[1]};
        if (tensor.shape != wanted && tensor.shape != last) {
            return fail(
                Errc::kInternal, what_ + ": the network does not enlarge by what its manifest says: " +
                                     shape_text(tensor.shape) + " instead of " + shape_text(wanted)
            );
        }
        if (tensor.shape != wanted) {
            values = turn_channels(values, static_cast<std::size_t>(wanted[2] * wanted[3]), false);
        }
        if (const float white = is_float ? value_max_ : 255.0F; white != 1) {
            std::ranges::for_each(values, [&](float& value) { value /= white; });
        }
        return values;
    }

    std::string what_;
    int scale_;
    float value_max_;
    Tensors tensors_;
    std::unique_ptr<api::TensorModel> network_;
};

// What a network made of a grey picture of one size: the ratio of the sides.
Result<int> probe(
    const ModelManifest& manifest, const Tensors& tensors, api::TensorModel& network, media::Size size
) {
    const std::size_t values = 3 * Window{.size = size}.plane();
    const std::vector<std::int64_t> shape = tensors.input_last
                                                ? std::vector<std::int64_t>{1, size.height, size.width, 3}
                                                : std::vector<std::int64_t>{1, 3, size.height, size.width};
    api::Tensor grey{shape, std::vector<float>(values, 0.5F * static_cast<float>(manifest.image.value_max))};
    if (!tensors.input->is_float) {
        grey.values = std::vector<std::int64_t>(values, 128);
    }
    const api::NamedTensor named{tensors.input->name, &grey};
    FG_TRY(outputs, network.run({&named, 1}));
    const auto& out = outputs.at(tensors.output).shape;
    const std::size_t axis = out.size() == 4 && out[1] != 3 && out[3] == 3 ? 1 : 2;
    const bool is_multiple = out.size() == 4 && out[axis] >= size.height && out[axis] % size.height == 0 &&
                             out[axis] / size.height * size.width == out[axis + 1] &&
                             out[axis == 1 ? 3 : 1] == 3;
    if (!is_multiple || out[axis] / size.height > kImageScaleMax) {
        return unfit(
            manifest, "the network makes " + shape_text(out) + " (" +
                          printable(network.outputs()[tensors.output].name) + ") of " + shape_text(shape) +
                          ": that is no picture enlarged by a whole number from 1 to " +
                          std::to_string(kImageScaleMax)
        );
    }
    return static_cast<int>(out[axis] / size.height);
}

// The smallest multiple whose sides the network takes, and by how much it enlarges.
Result<void> measure(ModelManifest& manifest, const Tensors& tensors, api::TensorModel& network) {
    ImageSpec& image = manifest.image;
    const bool is_free = image.fixed.width == 0 || image.fixed.height == 0;
    Result<int> scale;
    for (const int multiple : kMultiples) {
        const auto side = [&](int fixed) {
            const int least = (kProbeSide + multiple - 1) / multiple;
            return fixed > 0 ? fixed
                             : (least % 2 == 1 ? least : least + 1) * multiple;  // and not of its double
        };
        scale = probe(manifest, tensors, network, {side(image.fixed.width), side(image.fixed.height)});
        if (scale) {
            image.scale = *scale;
            image.multiple = std::max(image.multiple, is_free ? multiple : 1);
            image.is_guess = false;
            return {};
        }
    }
    return fail(std::move(scale.error()));
}

}  // namespace

void fit_tile(const api::TensorInfo& input, ImageSpec& spec) {
    if (input.shape.size() != 4) {
        return;
    }
    const bool last = is_channels_last(input);
    const auto side = [&](std::size_t axis) {
        const std::int64_t value = input.shape[axis];
        return value > 0 && value <= kFixedSideMax ? static_cast<int>(value) : 0;
    };
    spec.fixed = {side(last ? 2 : 3), side(last ? 1 : 2)};
    for (const int fixed : {spec.fixed.width, spec.fixed.height}) {
        if (fixed > 0 && fixed < 4 * spec.overlap) {
            spec.overlap = fixed / 8;
        }
    }
    if (input.shape[0] > 0) {
        spec.batch = 1;
    }
}

Result<void> fit_manifest(ModelManifest& manifest, api::TensorModel& network) {
    FG_TRY(tensors, find_tensors(manifest, network));
    fit_tile(*tensors.input, manifest.image);
    if (manifest.image.is_guess) {
        FG_CHECK(measure(manifest, tensors, network));
    }
    if (!has_room(manifest.image)) {
        return unfit(
            manifest, "tiles of " + tensor_text(*tensors.input) + " leave no room beside their context"
        );
    }
    return {};
}

Result<std::unique_ptr<api::ImageModel>> make_image_model(
    const ModelManifest& manifest, std::unique_ptr<api::TensorModel> network
) {
    FG_TRY(tensors, find_tensors(manifest, *network));
    return std::make_unique<NetworkImageModel>(manifest, tensors, std::move(network));
}

}  // namespace framegrid::engine
