// Configurations of pipelines and schedulers: never a crash, and a scheduler that was accepted runs to its
// end.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <framegrid/diffusion/pipeline_config.hpp>
#include <framegrid/diffusion/scheduler.hpp>

namespace {

using namespace framegrid;
using namespace framegrid::diffusion;

void run(const SchedulerConfig& config, int steps) {
    const auto scheduler = make_scheduler(config);
    if (const auto set = scheduler->set_steps(steps); !set) {
        FG_ASSERT(!set.error().field.empty());
        return;
    }
    scheduler->begin(static_cast<int>(scheduler->timesteps().size()) / 3);
    std::vector<float> sample{1, -0.5F};
    const std::vector<float> noise{0.3F, -1};
    while (!scheduler->done()) {
        static_cast<void>(scheduler->input_scale(scheduler->position()));
        scheduler->step(noise, noise, sample);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const BytesView bytes(data + 1, size - 1);
    if (const auto config = parse_scheduler_config(bytes)) {
        run(*config, 1 + data[0] % 60);
    } else {
        FG_ASSERT(!config.error().field.empty());
    }
    // The same bytes in the place of each file, the others being sound.
    const PipelineFiles sound{
        {"model_index.json", Blob::copy_of(R"({"_class_name":"StableDiffusionXLPipeline"})")},
        {"unet/config.json", Blob::copy_of("{}")},
        {"vae_decoder/config.json", Blob::copy_of(R"({"latents_mean":null})")},
        {"scheduler/scheduler_config.json", Blob::copy_of(R"({"_class_name":"DDIMScheduler"})")},
        {"feature_extractor/preprocessor_config.json", Blob::copy_of("{}")},
    };
    for (const auto& [path, content] : sound) {
        PipelineFiles files = sound;
        files[path] = Blob::copy_of(bytes);
        if (const auto config = parse_pipeline_config(files)) {
            FG_ASSERT(config->vae.factor >= 1 && config->vae.factor <= 64);
            FG_ASSERT(config->unet.in_channels >= 1 && config->vae.latent_channels >= 1);
        } else {
            FG_ASSERT(!config.error().message.empty() && !config.error().field.empty());
        }
    }
    return 0;
}
