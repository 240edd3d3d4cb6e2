#include <framegrid/diffusion/autoencoder.hpp>

#include <algorithm>
#include <cmath>

#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

constexpr std::string_view kFrames = "num_frames";

// The one input with rows of planes.
Result<std::string> planes_input(const Network& network, std::int64_t channels) {
    for (const api::TensorInfo& info : network.inputs()) {
        if (info.name != kFrames) {
            FG_CHECK(network.expect_input(info.name, true, {-1, channels, -1, -1}));
            FG_CHECK(network.expect_inputs({info.name}, {kFrames}));
            return info.name;
        }
    }
    return network.unsupported("sample", "is missing");
}

}  // namespace

Result<Autoencoder> Autoencoder::load(
    const VaeConfig& config, Network decoder, std::optional<Network> encoder
) {
    Autoencoder out(config, std::move(decoder));
    out.encoder_ = std::move(encoder);
    FG_CHECK(out.bind_decoder());
    if (out.encoder_) {
        FG_CHECK(out.bind_encoder());
    }
    return out;
}

Result<void> Autoencoder::bind_decoder() {
    FG_TRY(name, planes_input(decoder_, config_.latent_channels));
    latents_ = name;
    if (const api::TensorInfo* frames = decoder_.input(kFrames)) {
        if (frames->is_float || frames->shape.size() > 1) {
            return decoder_.unsupported(kFrames, "must be one integer");
        }
        takes_frames_ = true;
    }
    return {};
}

Result<void> Autoencoder::bind_encoder() {
    FG_TRY(name, planes_input(*encoder_, 3));
    picture_ = name;
    if (encoder_->input(kFrames) != nullptr) {
        return encoder_->unsupported(kFrames, "is an input that this pipeline has no value for");
    }
    encoded_ = encoder_->output("latent_parameters").value_or(encoder_->output("latent_sample").value_or(0));
    return {};
}

bool Autoencoder::any_size() const {
    const auto& shape = decoder_.input(latents_)->shape;
    return shape[2] < 0 && shape[3] < 0;
}

Result<api::Tensor> Autoencoder::encode(const api::Tensor& picture, std::span<const float> noise) const {
    if (!encoder_) {
        return fail(Errc::kUnsupported, "this model has no encoder for pictures", "vae_encoder");
    }
    const std::int64_t height = picture.shape[2] / config_.factor;
    const std::int64_t width = picture.shape[3] / config_.factor;
    FG_TRY(encoded, encoder_->run_rows({{picture_, picture}}, encoded_, {-1, height, width}, 1));
    const std::int64_t c = config_.latent_channels;
    if (encoded.shape[1] == c) {
        return encoded;
    }
    if (encoded.shape[1] != 2 * c) {
        return encoder_->failed("its latents have " + std::to_string(encoded.shape[1]) + " channels");
    }
    auto out = make_floats({1, c, height, width});
    auto& values = out.floats();
    FG_ASSERT(noise.empty() || noise.size() == values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float log_variance = std::clamp(encoded.floats()[values.size() + i], -30.0F, 20.0F);
        values[i] = encoded.floats()[i] + (noise.empty() ? 0.0F : std::exp(0.5F * log_variance) * noise[i]);
    }
    return out;
}

void Autoencoder::affine(api::Tensor& latents, bool to_diffused) const {
    const auto channels = static_cast<std::size_t>(latents.shape[1]);
    const std::size_t plane =
        element_count(latents.shape) / static_cast<std::size_t>(latents.shape[0]) / channels;
    const auto factor = static_cast<float>(config_.scaling_factor);
    for (std::size_t i = 0; i < latents.floats().size(); ++i) {
        const std::size_t channel = i / plane % channels;
        const bool has = !config_.latents_mean.empty();
        const float mean = has ? static_cast<float>(config_.latents_mean[channel]) : 0;
        const float deviation = has ? static_cast<float>(config_.latents_std[channel]) : 1;
        float& value = latents.floats()[i];
        value = to_diffused ? (value - mean) * factor / deviation : value * deviation / factor + mean;
    }
}

void Autoencoder::scale(api::Tensor& latents) const {
    affine(latents, true);
}

void Autoencoder::unscale(api::Tensor& latents) const {
    affine(latents, false);
}

Result<api::Tensor> Autoencoder::decode(api::Tensor latents, std::int64_t chunk) const {
    unscale(latents);
    const Shape row{3, latents.shape[2] * config_.factor, latents.shape[3] * config_.factor};
    if (!takes_frames_) {
        return decoder_.run_rows({{latents_, std::move(latents)}}, 0, row, chunk);
    }
    std::vector<api::Tensor> parts;
    for (std::int64_t begin = 0; begin < latents.shape[0]; begin += chunk) {
        const std::int64_t count = std::min(chunk, latents.shape[0] - begin);
        api::Tensor frames = make_integers({1}, {count});
        frames.shape.resize(decoder_.input(kFrames)->shape.size());
        FG_TRY(
            part,
            decoder_.run_rows(
                {{latents_, slice_rows(latents, begin, count)}, {std::string(kFrames), std::move(frames)}}, 0,
                row, count
            )
        );
        parts.push_back(std::move(part));
    }
    std::vector<const api::Tensor*> pointers;
    for (const api::Tensor& part : parts) {
        pointers.push_back(&part);
    }
    return concat_rows(pointers);
}

}  // namespace framegrid::diffusion
