#include <framegrid/engine/hub_layout.hpp>

#include <algorithm>
#include <array>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::engine {

namespace {

constexpr std::size_t kIndexBytesMax = 64 * 1024;
constexpr std::size_t kFilesMax = 64;
constexpr int kReceptiveRadius = 32;  // of enlarging networks that do not state theirs

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

Result<ModelManifest> describe_single(
    const std::string& id, const FoundFile& network, const std::vector<std::string>& inputs,
    const std::vector<std::string>& outputs, int scale
) {
    ModelManifest manifest;
    manifest.id = id;
    manifest.format = "onnx";
    manifest.licence = "NOASSERTION";
    manifest.file = network.path;
    manifest.files = {{network.path, network.bytes, {}}};
    manifest.memory_bytes = estimate_memory(manifest.files) + (std::int64_t{256} << 20);
    if (inputs.empty() || outputs.empty() || inputs.size() > 3) {
        return fail(Errc::kUnsupported, network.path + " is no network that a pipeline here can use");
    }
    const auto is_time = [](std::string_view name) { return name.find("time") != std::string_view::npos; };
    const bool pair = inputs.size() - static_cast<std::size_t>(std::ranges::count_if(inputs, is_time)) == 2;
    if (pair || (inputs.size() == 2 && std::ranges::any_of(inputs, is_time))) {
        manifest.pipelines = {"frame-interpolation"};
        manifest.layout = ModelLayout::kInterpolation;
        manifest.multiple = 64;
        manifest.description = "frame interpolation network";
        return manifest;
    }
    if (inputs.size() != 1) {
        return fail(Errc::kUnsupported, network.path + " is no network that a pipeline here can use");
    }
    manifest.pipelines = {"upscale"};
    manifest.layout = ModelLayout::kImage;
    manifest.description = "super-resolution network";
    manifest.input = {inputs.front(), "float32", {"n", "3", "h", "w"}};
    manifest.output = {outputs.front(), "float32", {"n", "3", "h", "w"}};
    manifest.image = {.scale = scale, .tile = 256, .overlap = kReceptiveRadius, .batch = 1};
    return manifest;
}

}  // namespace framegrid::engine
