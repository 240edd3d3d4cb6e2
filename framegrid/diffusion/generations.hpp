// The kinds of generation; made by Pipeline::start().
#pragma once

#include <memory>
#include <utility>

#include <framegrid/diffusion/pipeline.hpp>

namespace framegrid::diffusion {

// One picture: text-to-image, image-to-image and inpainting of Stable Diffusion and SDXL. Latents [1, c, h,
// w].
class StillGeneration final : public Generation {
  public:
    StillGeneration(
        const Pipeline& pipeline, Request request, std::unique_ptr<Scheduler> scheduler,
        std::unique_ptr<NoiseSource> noise
    )
        : Generation(pipeline, std::move(request), std::move(scheduler), std::move(noise)) {}

  private:
    Result<void> prepare() override;
    api::Tensor network_sample(api::Tensor latents) const override;
    void after_step() override;
    Result<void> prepare_picture(const Shape& shape);
    Result<void> prepare_mask(const api::Tensor& picture);
    void add_xl_conditions();
    void add_guidance_embed();

    bool extends_sample_ = false;  // the denoiser sees the mask and what it leaves
    std::vector<float> start_noise_;
    api::Tensor original_;  // scaled latents of the picture; empty: none
    api::Tensor mask_;      // [1, 1, h, w], 1: to be painted; empty: none
    api::Tensor masked_;    // latents of what the mask leaves
};

// FramegridVideoPipeline. Latents [1, c, f, h, w]; the denoiser sees noisy latents, the latents of the given
// first frame (UnetConfig says in which frames; zeros elsewhere) and a mask that is 1 where they are, in this
// order on axis 1.
class ClipGeneration final : public Generation {
  public:
    ClipGeneration(
        const Pipeline& pipeline, Request request, std::unique_ptr<Scheduler> scheduler,
        std::unique_ptr<NoiseSource> noise
    )
        : Generation(pipeline, std::move(request), std::move(scheduler), std::move(noise)) {}

  private:
    Result<void> prepare() override;
    api::Tensor network_sample(api::Tensor latents) const override;
    api::Tensor frames_of(const api::Tensor& latents) const override;

    void give_frame(const api::Tensor& first);

    api::Tensor given_;  // [1, c + 1, f, h, w]
};

// Stable Video Diffusion. Latents [1, f, c, h, w]; the denoiser also sees the picture's latents in every
// frame, in the guided half alone.
class VideoGeneration final : public Generation {
  public:
    VideoGeneration(
        const Pipeline& pipeline, Request request, std::unique_ptr<Scheduler> scheduler,
        std::unique_ptr<NoiseSource> noise
    )
        : Generation(pipeline, std::move(request), std::move(scheduler), std::move(noise)) {}

  private:
    Result<void> prepare() override;
    api::Tensor network_sample(api::Tensor latents) const override;
    api::Tensor frames_of(const api::Tensor& latents) const override;
    Result<api::Tensor> embed_picture() const;

    api::Tensor picture_;  // [rows * f, c, h, w]
};

}  // namespace framegrid::diffusion
