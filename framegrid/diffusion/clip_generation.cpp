#include <algorithm>

#include <framegrid/diffusion/generations.hpp>
#include <framegrid/diffusion/pictures.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {

Result<void> ClipGeneration::prepare() {
    const VaeConfig& vae = pipeline_.config().vae;
    FG_CHECK(encode_texts());
    FG_CHECK(scheduler_->set_steps(request_.steps));
    const std::int64_t c = vae.latent_channels;
    const std::int64_t f = request_.frames;
    const std::int64_t h = request_.height / vae.factor;
    const std::int64_t w = request_.width / vae.factor;
    given_ = make_floats({1, c + 1, f, h, w});
    if (request_.image) {
        const api::Tensor picture =
            picture_to_tensor(resize_lanczos(*request_.image, request_.width, request_.height));
        FG_TRY(first, encode_picture(picture, std::nullopt));
        give_frame(first);
    }
    start_from_noise({1, c, f, h, w});
    return {};
}

// Latents [1, c, h, w] and a mask of ones into the first frame, or into all of them.
void ClipGeneration::give_frame(const api::Tensor& first) {
    const std::int64_t channels = given_.shape[1];
    const std::int64_t frames = given_.shape[2];
    const std::int64_t plane = given_.shape[3] * given_.shape[4];
    const std::int64_t filled = pipeline_.config().unet.repeats_first_frame ? frames : 1;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
        for (std::int64_t frame = 0; frame < filled; ++frame) {
            const auto target = given_.floats().begin() + (channel * frames + frame) * plane;
            if (channel + 1 == channels) {
                std::fill_n(target, plane, 1.0F);
            } else {
                std::copy_n(first.floats().begin() + channel * plane, plane, target);
            }
        }
    }
}

api::Tensor ClipGeneration::network_sample(api::Tensor latents) const {
    const api::Tensor given = repeat_row(given_, rows());
    return concat_channels(std::vector<const api::Tensor*>{&latents, &given});
}

// [1, c, f, h, w] to [f, c, h, w].
api::Tensor ClipGeneration::frames_of(const api::Tensor& latents) const {
    const std::int64_t channels = latents.shape[1];
    const std::int64_t frames = latents.shape[2];
    const auto plane = static_cast<std::size_t>(latents.shape[3] * latents.shape[4]);
    auto out = make_floats({frames, channels, latents.shape[3], latents.shape[4]});
    for (std::int64_t frame = 0; frame < frames; ++frame) {
        for (std::int64_t channel = 0; channel < channels; ++channel) {
            std::copy_n(
                latents.floats().begin() +
                    static_cast<std::ptrdiff_t>(static_cast<std::size_t>(channel * frames + frame) * plane),
                plane,
                out.floats().begin() +
                    static_cast<std::ptrdiff_t>(static_cast<std::size_t>(frame * channels + channel) * plane)
            );
        }
    }
    return out;
}

}  // namespace framegrid::diffusion
