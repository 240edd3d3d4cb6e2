#include <framegrid/engine/hub_layout.hpp>

#include <algorithm>
#include <array>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/image_network.hpp>
#include <framegrid/engine/interpolation.hpp>
#include <framegrid/engine/tensor_text.hpp>

namespace framegrid::engine {

namespace {

constexpr std::size_t kIndexBytesMax = 64 * 1024;
constexpr std::size_t kFilesMax = 64;
constexpr int kReceptiveRadius = 32;  // of enlarging networks that do not state theirs
constexpr int kTile = 256;            // likewise

struct PipelineClass {
    std::string_view name;  // of diffusers' class, without the exporters' prefixes
    std::vector<std::string> pipelines;
};

const std::array<PipelineClass, 8>& classes() {
    static const std::array<PipelineClass, 8> all{{
        {"StableDiffusionPipeline", {"text-to-image", "image-to-image", "inpaint"}},
        {"StableDiffusionXLPipeline", {"text-to-image", "image-to-image", "inpaint"}},
        {"StableDiffusionImg2ImgPipeline", {"image-to-image"}},
        {"StableDiffusionInpaintPipeline", {"inpaint"}},
        {"StableDiffusionXLInpaintPipeline", {"inpaint"}},
        {"LatentConsistencyModelPipeline", {"text-to-image", "image-to-image"}},
        {"StableVideoDiffusionPipeline", {"image-to-video"}},
        {"FramegridVideoPipeline", {"text-to-video", "image-to-video"}},
    }};
    return all;
}

std::string_view plain_class(std::string_view name) {
    for (const std::string_view prefix : {"ORT", "Onnx", "OV"}) {
        if (name.starts_with(prefix)) {
            name.remove_prefix(prefix.size());
        }
    }
    return name;
}

// Loaded weights, and as much again for the largest network's activations.
std::int64_t estimate_memory(const std::vector<ModelFile>& files) {
    std::int64_t sum = 0;
    std::int64_t largest = 0;
    for (const auto& file : files) {
        sum += file.bytes;
        largest = std::max(largest, file.bytes);
    }
    return std::max<std::int64_t>(sum + largest, std::int64_t{64} << 20);
}

// A picture of 3 colours.
bool is_picture(const api::TensorInfo& info) {
    const bool rank = info.shape.size() == 4;
    return rank && (info.shape[1] == 3 || info.shape[3] == 3 || (info.is_float && info.shape[1] == -1));
}

TensorSpec spec_of(const api::TensorInfo& info) {
    TensorSpec spec{info.name, "float32", {}};
    const bool last = is_channels_last(info);
    const std::array<std::string_view, 4> names = last ? std::array<std::string_view, 4>{"n", "h", "w", "3"}
                                                       : std::array<std::string_view, 4>{"n", "3", "h", "w"};
    for (std::size_t axis = 0; axis < names.size(); ++axis) {
        const std::int64_t side = info.shape[axis];
        spec.shape.push_back(side > 0 ? std::to_string(side) : std::string(names[axis]));
    }
    return spec;
}

// A hub's JSON object; absent ones are empty.
Result<boost::json::object> read_config(std::string_view name, std::string_view bytes) {
    if (bytes.empty()) {
        return boost::json::object{};
    }
    boost::system::error_code error;
    auto value = boost::json::parse(bytes, error);
    if (error || !value.is_object()) {
        return fail(Errc::kUnprocessable, std::string(name) + " is not a JSON object");
    }
    return std::move(value.as_object());
}

std::int64_t integer_of(const boost::json::object& object, std::string_view key, std::int64_t otherwise) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_int64() ? value->get_int64() : otherwise;
}

// What config.json and preprocessor_config.json say of Swin2SR, whose image processor always adds to the
// sides, up to a full multiple.
Result<void> apply_configs(const SingleNetwork& network, ModelManifest& manifest) {
    FG_TRY(config, read_config("config.json", network.config));
    FG_TRY(preprocessor, read_config("preprocessor_config.json", network.preprocessor));
    ImageSpec& image = manifest.image;
    if (const auto* type = config.if_contains("model_type"); type != nullptr && type->is_string()) {
        manifest.description = printable(std::string_view(type->get_string()));
    }
    const std::int64_t scale = integer_of(config, "upscale", 0);
    if (scale < 0 || scale > kImageScaleMax) {
        return fail(
            Errc::kUnsupported, "config.json enlarges by " + std::to_string(scale) + ", here up to 8 is",
            "upscale"
        );
    }
    if (scale > 0) {
        image.scale = static_cast<int>(scale);
        image.is_guess = false;
    }
    const auto* pads = preprocessor.if_contains("do_pad");
    if (manifest.description != "swin2sr" || (pads != nullptr && pads->is_bool() && !pads->get_bool())) {
        return {};
    }
    const std::int64_t size =
        integer_of(preprocessor, "pad_size", integer_of(preprocessor, "size_divisor", 8));
    if (size < 1 || size > 64) {
        return fail(
            Errc::kUnsupported, "preprocessor_config.json pads to " + std::to_string(size), "pad_size"
        );
    }
    image.multiple = static_cast<int>(size);
    image.edges = Edges::kMirror;
    return {};
}

// By how much a network with sizes of its own enlarges; 0: they do not say.
int scale_of_shapes(const api::TensorInfo& input, const api::TensorInfo& output) {
    const std::size_t axis = is_channels_last(input) ? 1 : 2;
    if (output.shape.size() != 4) {
        return 0;
    }
    const auto ratio = [&](std::size_t at) {
        const std::int64_t from = input.shape[at];
        const std::int64_t to = output.shape[at];
        return from > 0 && to > 0 && to % from == 0 ? to / from : 0;
    };
    const std::int64_t scale = ratio(axis);
    return scale == ratio(axis + 1) && scale <= kImageScaleMax ? static_cast<int>(scale) : 0;
}

Result<void> describe_enlarger(const SingleNetwork& network, ModelManifest& manifest) {
    const api::TensorInfo& input = network.inputs.front();
    const auto output = std::ranges::find_if(network.outputs, is_picture);
    if (output == network.outputs.end()) {
        return fail(
            Errc::kUnsupported,
            network.file.path + " takes a picture and gives none, but " + tensors_text(network.outputs)
        );
    }
    manifest.pipelines = {"upscale"};
    manifest.layout = ModelLayout::kImage;
    manifest.description = "super-resolution network";
    manifest.input = spec_of(input);
    manifest.output = spec_of(*output);
    manifest.image = {.tile = kTile, .overlap = kReceptiveRadius, .batch = 1, .edges = Edges::kReflect};
    ImageSpec& image = manifest.image;
    image.value_max = input.is_float ? 1 : 255;
    fit_tile(input, image);
    image.scale = scale_of_shapes(input, *output);
    if (image.scale == 0) {
        image.scale = scale_of_name(network.file.path + " " + manifest.id);
        image.is_guess = true;
    }
    return apply_configs(network, manifest);
}

// Activations of a tile: 64 channels at the size that comes out, three of them at a time, as ESRGAN has.
std::int64_t tile_memory(const ImageSpec& image) {
    const std::int64_t width = image.fixed.width > 0 ? image.fixed.width : image.tile;
    const std::int64_t height = image.fixed.height > 0 ? image.fixed.height : image.tile;
    const std::int64_t scale = image.scale > 0 ? image.scale : 4;  // what most are
    return width * height * scale * scale * 64 * 4 * 3;
}

}  // namespace

bool is_pipeline_file(std::string_view path) {
    const auto slash = path.find('/');
    if (slash == std::string_view::npos) {
        return path == "model_index.json";
    }
    const std::string_view folder = path.substr(0, slash);
    if (folder == "safety_checker" || path.find('/', slash + 1) != std::string_view::npos) {
        return false;
    }
    return path.ends_with(".json") || path.ends_with("/merges.txt") || path.ends_with("/model.onnx") ||
           path.find("/model.onnx") != std::string_view::npos;
}

Result<ModelManifest> describe_diffusers(
    const std::string& id, std::string_view model_index, const std::vector<FoundFile>& files
) {
    if (model_index.size() > kIndexBytesMax) {
        return fail(Errc::kTooLarge, "model_index.json has over 64 KiB");
    }
    boost::system::error_code error;
    const auto index = boost::json::parse(model_index, error);
    const auto* name = !error && index.is_object() ? index.get_object().if_contains("_class_name") : nullptr;
    if (name == nullptr || !name->is_string()) {
        return fail(Errc::kUnprocessable, "model_index.json does not name a pipeline class", "_class_name");
    }
    const std::string_view wanted = plain_class(name->get_string());
    const auto known = std::ranges::find(classes(), wanted, &PipelineClass::name);
    if (known == classes().end()) {
        return fail(
            Errc::kUnsupported, "the pipeline class " + printable(wanted) + " does not run here",
            "_class_name"
        );
    }
    ModelManifest manifest;
    manifest.id = id;
    manifest.pipelines = known->pipelines;
    manifest.layout = ModelLayout::kDiffusers;
    manifest.format = "onnx";
    manifest.licence = "NOASSERTION";
    manifest.description = std::string(wanted);
    for (const auto& file : files) {
        if (is_pipeline_file(file.path) && manifest.files.size() < kFilesMax) {
            manifest.files.push_back({file.path, file.bytes, {}});
        }
    }
    const auto has = [&](std::string_view path) {
        return std::ranges::find(manifest.files, path, &ModelFile::path) != manifest.files.end();
    };
    for (const std::string_view needed :
         {"unet/model.onnx", "vae_decoder/model.onnx", "scheduler/scheduler_config.json"}) {
        if (!has(needed)) {
            return fail(Errc::kUnprocessable, std::string(needed) + " is missing");
        }
    }
    manifest.memory_bytes = estimate_memory(manifest.files);
    return manifest;
}

int scale_of_name(std::string_view name) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const auto digit_at = [&](std::size_t at) { return at < name.size() && is_digit(name[at]); };
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != 'x' && name[i] != 'X') {
            continue;
        }
        const bool before = i > 0 && digit_at(i - 1);
        const bool after = digit_at(i + 1);
        if (before == after) {
            continue;  // "256x256", "max"
        }
        const std::size_t digit = before ? i - 1 : i + 1;
        const bool is_alone = before ? i < 2 || !digit_at(i - 2) : !digit_at(i + 2);
        const int scale = name[digit] - '0';
        if (is_alone && scale >= 1 && scale <= kImageScaleMax) {
            return scale;
        }
    }
    return 0;
}

Result<std::string> choose_network(const std::vector<std::string>& paths) {
    std::vector<std::string> found;
    for (const auto& path : paths) {
        if (path.ends_with(".onnx") && path.find('/') == std::string::npos) {
            found.push_back(path);
        }
    }
    if (found.size() == 1) {
        return found.front();
    }
    for (const char* usual : {"model.onnx", "onnx/model.onnx"}) {
        if (std::ranges::find(paths, usual) != paths.end()) {
            return std::string(usual);
        }
    }
    if (found.empty()) {
        return fail(Errc::kNotFound, "no model.toml, no model_index.json and no ONNX file");
    }
    return fail(
        Errc::kUnsupported, printable(found[0]) + ", " + printable(found[1]) +
                                ": several networks and no model.toml; keep one, or call it model.onnx"
    );
}

bool is_beside(std::string_view network, std::string_view path) {
    return path == "config.json" || path == "preprocessor_config.json" ||
           (path.starts_with(network) && path.find('/', network.size()) == std::string_view::npos);
}

Result<ModelManifest> describe_single(const std::string& id, const SingleNetwork& network) {
    ModelManifest manifest;
    manifest.id = id;
    manifest.format = "onnx";
    manifest.licence = "NOASSERTION";
    manifest.file = network.file.path;
    manifest.files = {{network.file.path, network.file.bytes, {}}};
    for (const auto& weights : network.weights) {
        manifest.files.push_back({weights.path, weights.bytes, {}});
    }
    manifest.memory_bytes = estimate_memory(manifest.files) + (std::int64_t{256} << 20);
    const auto interpolates = InterpolationTensors::find(network.inputs, network.outputs);
    if (interpolates) {
        manifest.pipelines = {"frame-interpolation"};
        manifest.layout = ModelLayout::kInterpolation;
        // What RIFE and FILM want; RIFE's later small networks want more.
        manifest.multiple = (id + network.file.path).find("lite") != std::string::npos ? 128 : 64;
        manifest.description = "frame interpolation network";
        return manifest;
    }
    if (network.inputs.size() != 1 || !is_picture(network.inputs.front())) {
        return fail(
            Errc::kUnsupported, network.file.path + " takes " + tensors_text(network.inputs) +
                                    ", which no pipeline here gives: " + interpolates.error().message
        );
    }
    FG_CHECK(describe_enlarger(network, manifest));
    manifest.memory_bytes += tile_memory(manifest.image);
    return manifest;
}

}  // namespace framegrid::engine
