#include <framegrid/diffusion/pipeline.hpp>

#include <array>
#include <string_view>

#include <framegrid/diffusion/generations.hpp>
#include <framegrid/diffusion/request_check.hpp>

namespace framegrid::diffusion {
namespace {

Result<Network> need(const char* name, api::TensorModel* model) {
    if (model == nullptr) {
        return fail(Errc::kNotFound, std::string("the pipeline has no network ") + name, name);
    }
    return Network(name, *model);
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::load(
    const PipelineFiles& files, const Networks& networks, PipelineSettings settings
) {
    FG_TRY(config, parse_pipeline_config(files));
    FG_TRY(unet, need("unet", networks.unet));
    FG_TRY(denoiser, Denoiser::load(config, std::move(unet)));
    FG_TRY(decoder, need("vae_decoder", networks.vae_decoder));
    std::optional<Network> encoder;
    if (networks.vae_encoder != nullptr) {
        encoder.emplace("vae_encoder", *networks.vae_encoder);
    }
    FG_TRY(autoencoder, Autoencoder::load(config.vae, std::move(decoder), std::move(encoder)));
    std::unique_ptr<Pipeline> out(
        new Pipeline(std::move(config), settings, std::move(denoiser), std::move(autoencoder))
    );
    if (out->config_.kind == PipelineKind::kStableVideoDiffusion) {
        FG_CHECK(out->load_image_encoder(networks));
    } else {
        FG_CHECK(out->load_text_encoders(files, networks));
    }
    return out;
}

Result<void> Pipeline::load_text_encoders(const PipelineFiles& files, const Networks& networks) {
    if (config_.kind != PipelineKind::kStableDiffusionXl) {
        FG_TRY(network, need("text_encoder", networks.text_encoder));
        FG_TRY(encoder, TextEncoder::load(files, "tokenizer", std::move(network), false, false));
        text_encoders_.push_back(std::move(encoder));
        return {};
    }
    FG_TRY(first, need("text_encoder", networks.text_encoder));
    FG_TRY(second, need("text_encoder_2", networks.text_encoder_2));
    FG_TRY(encoder, TextEncoder::load(files, "tokenizer", std::move(first), true, false));
    FG_TRY(encoder_2, TextEncoder::load(files, "tokenizer_2", std::move(second), true, true));
    text_encoders_.push_back(std::move(encoder));
    text_encoders_.push_back(std::move(encoder_2));
    return {};
}

Result<void> Pipeline::load_image_encoder(const Networks& networks) {
    FG_TRY(network, need("image_encoder", networks.image_encoder));
    FG_CHECK(network.expect_inputs({"pixel_values"}, {}));
    FG_CHECK(network.expect_input("pixel_values", true, {-1, 3, config_.vision.side, config_.vision.side}));
    image_encoder_.emplace(std::move(network));
    return {};
}

Result<std::unique_ptr<Generation>> Pipeline::start(Request request, std::unique_ptr<NoiseSource> noise)
    const {
    FG_TRY(checked, check_request(config_, autoencoder_.can_encode(), std::move(request)));
    FG_CHECK(check_fixed_size(config_, denoiser_.sample_shape(), checked));
    auto scheduler = make_scheduler(config_.scheduler);
    FG_CHECK(scheduler->set_steps(checked.steps));
    if (noise == nullptr) {
        noise = std::make_unique<SeededNoise>(checked.seed);
    }
    switch (config_.kind) {
        case PipelineKind::kFramegridVideo:
            return std::make_unique<ClipGeneration>(
                *this, std::move(checked), std::move(scheduler), std::move(noise)
            );
        case PipelineKind::kStableDiffusion:
        case PipelineKind::kStableDiffusionXl:
            return std::make_unique<StillGeneration>(
                *this, std::move(checked), std::move(scheduler), std::move(noise)
            );
        case PipelineKind::kStableVideoDiffusion:
            return std::make_unique<VideoGeneration>(
                *this, std::move(checked), std::move(scheduler), std::move(noise)
            );
    }
    return fail(Errc::kInternal, "an unknown kind of pipeline");
}

Result<api::Tensor> Pipeline::predict(const StepInput& step) const {
    const StepInput* const one = &step;
    FG_TRY(predictions, predict(std::span(&one, 1)));
    return std::move(predictions.front());
}

}  // namespace framegrid::diffusion
