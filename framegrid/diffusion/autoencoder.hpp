// Pictures to latents and back.
#pragma once

#include <optional>
#include <span>

#include <framegrid/diffusion/network.hpp>
#include <framegrid/diffusion/pipeline_config.hpp>

namespace framegrid::diffusion {

class Autoencoder {
  public:
    // `encoder` may be absent: then encode() is kUnsupported.
    static Result<Autoencoder> load(const VaeConfig& config, Network decoder, std::optional<Network> encoder);

    bool can_encode() const { return encoder_.has_value(); }
    // [1, 3, h, w] in -1 .. 1 to [1, c, h / factor, w / factor], not scaled. `noise` of variance 1 and the
    // result's size: a sample of the encoder's distribution; empty: its mean.
    Result<api::Tensor> encode(const api::Tensor& picture, std::span<const float> noise) const;
    // Between the autoencoder's latents and those that are diffused.
    void scale(api::Tensor& latents) const;
    void unscale(api::Tensor& latents) const;
    // Diffused latents [n, c, h, w] to [n, 3, h * factor, w * factor], at most `chunk` rows per call. A
    // decoder with an input `num_frames` gets a chunk as one clip.
    Result<api::Tensor> decode(api::Tensor latents, std::int64_t chunk) const;
    // Whether the decoder takes pictures of any size.
    bool any_size() const;

  private:
    Autoencoder(VaeConfig config, Network decoder)
        : config_(std::move(config)), decoder_(std::move(decoder)) {}
    Result<void> bind_decoder();
    Result<void> bind_encoder();
    void affine(api::Tensor& latents, bool to_diffused) const;

    VaeConfig config_;
    Network decoder_;
    std::optional<Network> encoder_;
    std::string latents_;  // the decoder's input
    std::string picture_;  // the encoder's input
    std::size_t encoded_ = 0;
    bool takes_frames_ = false;
};

}  // namespace framegrid::diffusion
