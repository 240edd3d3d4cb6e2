#include <framegrid/diffusion/generations.hpp>
#include <framegrid/diffusion/pictures.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {

Result<void> VideoGeneration::prepare() {
    const VaeConfig& vae = pipeline_.config().vae;
    FG_TRY(embedded, embed_picture());
    const api::Tensor zeros = make_floats(embedded.shape);
    conditions_.hidden =
        guided_ ? concat_rows(std::vector<const api::Tensor*>{&zeros, &embedded}) : std::move(embedded);

    api::Tensor picture = picture_to_tensor(resize_lanczos(*request_.image, request_.width, request_.height));
    const auto noise = draw(NoiseUse::kAugment, 0, picture.floats().size());
    const auto strength = static_cast<float>(request_.noise_aug_strength);
    for (std::size_t i = 0; i < noise.size(); ++i) {
        picture.floats()[i] += strength * noise[i];
    }
    FG_TRY(latents, pipeline_.autoencoder().encode(picture, {}));
    picture_ = repeat_row(latents, request_.frames);
    if (guided_) {
        const api::Tensor nothing = make_floats(picture_.shape);
        picture_ = concat_rows(std::vector<const api::Tensor*>{&nothing, &picture_});
    }
    // The network was trained on one frame per second less than is asked for.
    conditions_.time_ids = repeat_row(
        make_floats(
            {1, 3},
            {static_cast<float>(request_.fps - 1), static_cast<float>(request_.motion_bucket_id), strength}
        ),
        rows()
    );
    FG_CHECK(scheduler_->set_steps(request_.steps));
    start_from_noise(
        {1, request_.frames, vae.latent_channels, request_.height / vae.factor, request_.width / vae.factor}
    );
    const auto first = static_cast<float>(request_.guidance_first);
    const auto last = static_cast<float>(request_.guidance);
    guidance_.clear();
    for (std::int64_t frame = 0; frame < request_.frames; ++frame) {
        const float part =
            request_.frames > 1 ? static_cast<float>(frame) / static_cast<float>(request_.frames - 1) : 0;
        guidance_.push_back(first + (last - first) * part);
    }
    return {};
}

// [1, 1, width]: what CLIP sees in the request's picture.
Result<api::Tensor> VideoGeneration::embed_picture() const {
    const VisionConfig& vision = pipeline_.config().vision;
    api::Tensor pixels = resize_antialiased(picture_to_tensor(*request_.image), vision.side, vision.side);
    const std::size_t plane = pixels.floats().size() / 3;
    for (std::size_t i = 0; i < pixels.floats().size(); ++i) {
        const std::size_t channel = i / plane;
        float& value = pixels.floats()[i];
        value = ((value + 1) / 2 - static_cast<float>(vision.mean[channel])) /
                static_cast<float>(vision.deviation[channel]);
    }
    const Network& network = *pipeline_.image_encoder();
    FG_TRY(
        embedded,
        network.run_rows(
            {{"pixel_values", std::move(pixels)}}, network.output("image_embeds").value_or(0), {-1}, 1
        )
    );
    embedded.shape.insert(embedded.shape.begin() + 1, 1);
    return embedded;
}

api::Tensor VideoGeneration::network_sample(api::Tensor latents) const {
    const Shape shape = latents.shape;
    latents.shape = picture_.shape;
    api::Tensor out = concat_channels(std::vector<const api::Tensor*>{&latents, &picture_});
    out.shape = {shape[0], shape[1], 2 * shape[2], shape[3], shape[4]};
    return out;
}

api::Tensor VideoGeneration::frames_of(const api::Tensor& latents) const {
    api::Tensor out = latents;
    out.shape.erase(out.shape.begin());
    return out;
}

}  // namespace framegrid::diffusion
