#include <algorithm>
#include <cmath>

#include <framegrid/diffusion/generations.hpp>
#include <framegrid/diffusion/pictures.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {

Result<void> StillGeneration::prepare() {
    const PipelineConfig& config = pipeline_.config();
    FG_CHECK(encode_texts());
    if (config.kind == PipelineKind::kStableDiffusionXl) {
        add_xl_conditions();
    }
    if (config.unet.time_cond_width > 0) {
        add_guidance_embed();
    }
    FG_CHECK(scheduler_->set_steps(request_.steps));
    const Shape shape{
        1, config.vae.latent_channels, request_.height / config.vae.factor, request_.width / config.vae.factor
    };
    if (!request_.image) {
        start_from_noise(shape);
        return {};
    }
    return prepare_picture(shape);
}

Result<void> StillGeneration::prepare_picture(const Shape& shape) {
    FG_TRY(first, first_step_of_strength());
    scheduler_->begin(first);
    const api::Tensor picture =
        picture_to_tensor(resize_lanczos(*request_.image, request_.width, request_.height));
    extends_sample_ = pipeline_.config().unet.in_channels != shape[1];
    // Inpainting at full strength starts from noise alone; what is kept comes from the picture after each
    // step.
    const bool from_noise = request_.mask && request_.strength >= 1;
    if (!from_noise || !extends_sample_) {
        FG_TRY(original, encode_picture(picture, NoiseUse::kImage));
        original_ = std::move(original);
    }
    start_noise_ = draw(NoiseUse::kStart, 0, element_count(shape));
    if (from_noise) {
        start_from_noise(shape);
    } else {
        latents_ = original_;
        scheduler_->add_noise(latents_.floats(), start_noise_, first);
    }
    return request_.mask ? prepare_mask(picture) : Result<void>();
}

Result<void> StillGeneration::prepare_mask(const api::Tensor& picture) {
    const api::Tensor mask = mask_to_tensor(resize_lanczos(*request_.mask, request_.width, request_.height));
    mask_ = pick_nearest(mask, pipeline_.config().vae.factor);
    if (extends_sample_) {
        api::Tensor left = picture;
        const std::size_t plane = mask.floats().size();
        for (std::size_t i = 0; i < left.floats().size(); ++i) {
            left.floats()[i] *= 1 - mask.floats()[i % plane];
        }
        FG_TRY(masked, encode_picture(left, NoiseUse::kMaskedImage));
        masked_ = std::move(masked);
    }
    return {};
}

// Original size, crop and target size, as SDXL was trained with; here the picture's own.
void StillGeneration::add_xl_conditions() {
    const auto height = static_cast<float>(request_.height);
    const auto width = static_cast<float>(request_.width);
    conditions_.time_ids = repeat_row(make_floats({1, 6}, {height, width, 0, 0, height, width}), rows());
}

// The guidance as a sinusoid, for networks that were distilled with it (LCM).
void StillGeneration::add_guidance_embed() {
    const std::int64_t width = pipeline_.config().unet.time_cond_width;
    const auto half = static_cast<std::size_t>(width / 2);
    std::vector<float> values(static_cast<std::size_t>(width));
    // In floats, as the reference: the sine of so large an angle depends on its rounding.
    const float scaled = static_cast<float>(request_.guidance - 1) * 1000.0F;
    const auto slope = static_cast<float>(std::log(10'000.0) / (static_cast<double>(half) - 1));
    for (std::size_t i = 0; i < half; ++i) {
        const float angle = scaled * std::exp(static_cast<float>(i) * -slope);
        values[i] = std::sin(angle);
        values[half + i] = std::cos(angle);
    }
    conditions_.guidance_embed = make_floats(Shape{1, width}, std::move(values));
}

api::Tensor StillGeneration::network_sample(api::Tensor latents) const {
    if (!extends_sample_) {
        return latents;
    }
    const api::Tensor mask = repeat_row(mask_, rows());
    const api::Tensor masked = repeat_row(masked_, rows());
    return concat_channels(std::vector<const api::Tensor*>{&latents, &mask, &masked});
}

// Without extra channels the part to keep is put back, with as much noise as the next step expects.
void StillGeneration::after_step() {
    if (mask_.shape.empty() || extends_sample_) {
        return;
    }
    std::vector<float> kept = original_.floats();
    if (!done()) {
        scheduler_->add_noise(kept, start_noise_, scheduler_->position());
    }
    auto& values = latents_.floats();
    const std::size_t plane = mask_.floats().size();
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float paint = mask_.floats()[i % plane];
        values[i] = (1 - paint) * kept[i] + paint * values[i];
    }
}

}  // namespace framegrid::diffusion
