#include <framegrid/diffusion/pipeline_config.hpp>

#include <functional>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include <framegrid/diffusion/json_reader.hpp>

namespace framegrid::diffusion {
namespace {

namespace json = boost::json;

constexpr std::string_view kIndex = "model_index.json";
constexpr std::string_view kScheduler = "scheduler/scheduler_config.json";
constexpr std::string_view kUnet = "unet/config.json";
constexpr std::string_view kVision = "feature_extractor/preprocessor_config.json";
constexpr std::array<std::string_view, 2> kVaes{"vae_decoder/config.json", "vae/config.json"};
constexpr std::int64_t kChannelsMax = 128;
constexpr std::int64_t kLatentSideMax = 1024;

const Blob* find(const PipelineFiles& files, std::string_view path) {
    const auto it = files.find(path);
    return it == files.end() ? nullptr : &it->second;
}

Result<json::object> read(const PipelineFiles& files, std::string_view path) {
    const Blob* file = find(files, path);
    if (file == nullptr) {
        return fail(Errc::kNotFound, "the pipeline has no " + std::string(path), std::string(path));
    }
    return parse_json_object(file->view(), path, kConfigBytesMax);
}

Result<void> read_index(const PipelineFiles& files, PipelineConfig& out) {
    FG_TRY(object, read(files, kIndex));
    JsonReader reader(object, kIndex);
    std::string name = reader.text("_class_name", "");
    for (const std::string_view prefix : {"ORT", "Onnx"}) {
        if (name.starts_with(prefix)) {
            name.erase(0, prefix.size());
        }
    }
    constexpr std::array kKinds{
        std::pair{std::string_view("StableDiffusionPipeline"), PipelineKind::kStableDiffusion},
        std::pair{std::string_view("StableDiffusionImg2ImgPipeline"), PipelineKind::kStableDiffusion},
        std::pair{std::string_view("StableDiffusionInpaintPipeline"), PipelineKind::kStableDiffusion},
        std::pair{std::string_view("LatentConsistencyModelPipeline"), PipelineKind::kStableDiffusion},
        std::pair{std::string_view("StableDiffusionXLPipeline"), PipelineKind::kStableDiffusionXl},
        std::pair{std::string_view("StableDiffusionXLImg2ImgPipeline"), PipelineKind::kStableDiffusionXl},
        std::pair{std::string_view("StableDiffusionXLInpaintPipeline"), PipelineKind::kStableDiffusionXl},
        std::pair{std::string_view("StableVideoDiffusionPipeline"), PipelineKind::kStableVideoDiffusion},
        std::pair{std::string_view("FramegridVideoPipeline"), PipelineKind::kFramegridVideo},
    };
    const auto* const found = std::ranges::find(kKinds, name, [](const auto& kind) { return kind.first; });
    if (found == kKinds.end()) {
        reader.unsupported("_class_name", "names a pipeline that is not supported");
    } else {
        out.kind = found->second;
    }
    out.zeros_for_empty_negative =
        out.kind == PipelineKind::kStableDiffusionXl && reader.boolean("force_zeros_for_empty_prompt", true);
    reader.expect("requires_aesthetics_score", false);
    return reader.finish();
}

Result<void> read_unet(const PipelineFiles& files, PipelineConfig& out) {
    FG_TRY(object, read(files, kUnet));
    JsonReader reader(object, kUnet);
    UnetConfig& unet = out.unet;
    unet.in_channels = reader.integer("in_channels", unet.in_channels, 1, 2 * kChannelsMax + 1);
    unet.out_channels = reader.integer("out_channels", unet.out_channels, 1, kChannelsMax);
    const auto sizes = reader.integers("sample_size", 1, kLatentSideMax, 2);
    if (!sizes.empty()) {
        unet.sample_height = sizes.front();
        unet.sample_width = sizes.back();
    }
    // An exported network has the sizes of its halvings and doublings built in.
    const auto levels = reader.integers("block_out_channels", 1, 65'536, 7);
    unet.multiple = levels.empty() ? 1 : 1 << (levels.size() - 1);
    unet.time_cond_width = reader.integer("time_cond_proj_dim", 0, 4, 8192);
    unet.frames = reader.integer("num_frames", unet.frames, 1, 256);
    const std::string conditioning = reader.text("first_frame_conditioning", "repeat");
    unet.repeats_first_frame = conditioning == "repeat";
    if (!unet.repeats_first_frame && conditioning != "first") {
        reader.unsupported("first_frame_conditioning", "must be \"repeat\" or \"first\"");
    }
    if (reader.has("class_embed_type")) {
        reader.expect_text("class_embed_type", "projection");
    }
    return reader.finish();
}

std::vector<double> numbers(
    JsonReader& reader, const json::object& object, std::string_view key, std::size_t count
) {
    std::vector<double> out;
    if (reader.has(key)) {
        const json::array* list = object.at(key).if_array();
        for (std::size_t i = 0; list != nullptr && list->size() == count && i < count; ++i) {
            const json::value& item = list->at(i);
            const double value = item.is_number() ? item.to_number<double>() : 1e9;
            if (!(value > -1e6 && value < 1e6)) {
                break;
            }
            out.push_back(value);
        }
        if (out.size() != count) {
            reader.wrong(key, "must hold " + std::to_string(count) + " numbers");
            out.clear();
        }
    }
    return out;
}

Result<void> read_vae(const PipelineFiles& files, PipelineConfig& out) {
    const std::string_view path = find(files, kVaes[0]) != nullptr ? kVaes[0] : kVaes[1];
    FG_TRY(object, read(files, path));
    JsonReader reader(object, path);
    VaeConfig& vae = out.vae;
    vae.scaling_factor = reader.number("scaling_factor", vae.scaling_factor, 1e-6, 1e6);
    vae.latent_channels = reader.integer("latent_channels", vae.latent_channels, 1, kChannelsMax);
    const auto blocks = reader.integers("block_out_channels", 1, 65'536, 7);
    if (!blocks.empty()) {
        vae.factor = 1 << (blocks.size() - 1);
    }
    reader.expect_absent("shift_factor");
    if (out.kind == PipelineKind::kStableDiffusionXl) {
        const auto count = static_cast<std::size_t>(vae.latent_channels);
        vae.latents_mean = numbers(reader, object, "latents_mean", count);
        vae.latents_std = numbers(reader, object, "latents_std", count);
        if (vae.latents_mean.empty() != vae.latents_std.empty()) {
            reader.wrong("latents_std", "goes with latents_mean");
        }
    }
    return reader.finish();
}

Result<void> read_vision(const PipelineFiles& files, PipelineConfig& out) {
    if (find(files, kVision) == nullptr) {
        return {};
    }
    FG_TRY(object, read(files, kVision));
    JsonReader reader(object, kVision);
    for (const auto& [key, target] :
         {std::pair{"image_mean", &out.vision.mean}, std::pair{"image_std", &out.vision.deviation}}) {
        const auto values = numbers(reader, object, key, 3);
        if (values.size() == 3) {
            std::ranges::copy(values, target->begin());
        }
    }
    for (const double deviation : out.vision.deviation) {
        if (!(deviation > 1e-6)) {
            reader.wrong("image_std", "must be positive");
        }
    }
    return reader.finish();
}

// Whether the channels of the networks go together.
Result<void> check_channels(const PipelineConfig& config) {
    const std::int64_t c = config.vae.latent_channels;
    const std::int64_t in = config.unet.in_channels;
    bool fits = false;
    switch (config.kind) {
        case PipelineKind::kStableDiffusion:
        case PipelineKind::kStableDiffusionXl:
            fits = in == c || in == 2 * c + 1;
            break;
        case PipelineKind::kStableVideoDiffusion:
            fits = in == 2 * c;
            break;
        case PipelineKind::kFramegridVideo:
            fits = in == 2 * c + 1;
            break;
    }
    if (!fits) {
        return fail(
            Errc::kUnsupported,
            std::to_string(in) + " input channels of the denoiser do not go with " + std::to_string(c) +
                " of the autoencoder",
            field_name(kUnet, "in_channels")
        );
    }
    if (config.unet.out_channels != c) {
        return fail(
            Errc::kUnsupported, "the denoiser's output must have the autoencoder's channels",
            field_name(kUnet, "out_channels")
        );
    }
    return {};
}

}  // namespace

std::vector<std::string> pipeline_file_paths() {
    std::vector<std::string> out{
        std::string(kIndex), std::string(kScheduler), std::string(kUnet), std::string(kVision)
    };
    for (const std::string_view vae : kVaes) {
        out.emplace_back(vae);
    }
    for (const std::string folder : {"tokenizer", "tokenizer_2"}) {
        for (const char* name :
             {"/vocab.json", "/merges.txt", "/tokenizer_config.json", "/special_tokens_map.json"}) {
            out.push_back(folder + name);
        }
    }
    return out;
}

Result<PipelineConfig> parse_pipeline_config(const PipelineFiles& files) {
    PipelineConfig out;
    FG_CHECK(read_index(files, out));
    FG_CHECK(read_unet(files, out));
    FG_CHECK(read_vae(files, out));
    FG_CHECK(read_vision(files, out));
    FG_CHECK(check_channels(out));
    const Blob* scheduler = find(files, kScheduler);
    if (scheduler == nullptr) {
        return fail(
            Errc::kNotFound, "the pipeline has no " + std::string(kScheduler), std::string(kScheduler)
        );
    }
    FG_TRY(parsed, parse_scheduler_config(scheduler->view()));
    out.scheduler = parsed;
    return out;
}

}  // namespace framegrid::diffusion
