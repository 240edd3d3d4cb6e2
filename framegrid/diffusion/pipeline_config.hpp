// The small files of a pipeline's directory (diffusers' layout, as Optimum exports it) as typed values.
//
//   model_index.json  scheduler/  tokenizer/  tokenizer_2/  text_encoder/  text_encoder_2/  unet/
//   vae_decoder/  vae_encoder/  image_encoder/  feature_extractor/
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/diffusion/scheduler_config.hpp>

namespace framegrid::diffusion {

// Relative path ("unet/config.json") to content.
using PipelineFiles = std::map<std::string, Blob, std::less<>>;

// Every path that is looked for; most may be missing. None is a network.
std::vector<std::string> pipeline_file_paths();

enum class PipelineKind : std::uint8_t {
    kStableDiffusion,  // also with a flow-matching scheduler (our own small models)
    kStableDiffusionXl,
    kStableVideoDiffusion,  // image to video
    kFramegridVideo,        // text to video and image to video
};

struct UnetConfig {
    std::int64_t in_channels = 4;
    std::int64_t out_channels = 4;
    std::int64_t sample_width = 64;  // latents, when a request says nothing
    std::int64_t sample_height = 64;
    int multiple = 1;                  // sides of latents must divide by it: the network halves them so often
    std::int64_t time_cond_width = 0;  // of the guidance embedding (distilled networks); 0: none
    std::int64_t frames = 16;          // when a request says nothing
    // FramegridVideoPipeline ("first_frame_conditioning"): the given frame's latents and its mask stand in
    // every frame ("repeat", as framegrid/motion was trained), or in the first one alone ("first").
    bool repeats_first_frame = true;
};

struct VaeConfig {
    double scaling_factor = 0.18215;
    std::int64_t latent_channels = 4;
    int factor = 8;                      // pixels per latent, each way
    std::vector<double> latents_mean{};  // per channel; both or neither
    std::vector<double> latents_std{};
};

// CLIP's picture normalisation (feature_extractor/preprocessor_config.json).
struct VisionConfig {
    std::int64_t side = 224;
    std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};
    std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};
};

struct PipelineConfig {
    PipelineKind kind = PipelineKind::kStableDiffusion;
    bool zeros_for_empty_negative = false;  // SDXL: without a negative prompt the second half sees zeros
    UnetConfig unet{};
    VaeConfig vae{};
    VisionConfig vision{};
    SchedulerConfig scheduler{};

    // Sides of pictures are multiples of this many pixels.
    int side_step() const { return vae.factor * unet.multiple; }
    bool is_video() const {
        return kind == PipelineKind::kStableVideoDiffusion || kind == PipelineKind::kFramegridVideo;
    }
};

// kNotFound: a file that this kind needs is missing; kUnsupported: a class or option that is not implemented;
// kInvalidArgument, kTooLarge. The field is "<file>: <key>".
Result<PipelineConfig> parse_pipeline_config(const PipelineFiles& files);

}  // namespace framegrid::diffusion
