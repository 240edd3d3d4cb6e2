#include <algorithm>
#include <utility>

#include <framegrid/diffusion/pictures.hpp>
#include <framegrid/diffusion/pipeline.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

constexpr std::int64_t kPreviewLatents = 32;  // a side

}  // namespace

Generation::Generation(
    const Pipeline& pipeline, Request request, std::unique_ptr<Scheduler> scheduler,
    std::unique_ptr<NoiseSource> noise
)
    : pipeline_(pipeline),
      request_(std::move(request)),
      scheduler_(std::move(scheduler)),
      noise_(std::move(noise)),
      // A network that was distilled with guidance is told how much instead.
      guided_(request_.guidance > 1 && pipeline.config().unet.time_cond_width == 0),
      guidance_{static_cast<float>(request_.guidance)} {}

Result<void> Generation::begin() {
    FG_ASSERT(!begun_);
    FG_CHECK(prepare());
    first_step_ = scheduler_->position();
    begun_ = true;
    return {};
}

StepInput Generation::next() const {
    FG_ASSERT(begun_ && !done());
    const int step = scheduler_->position();
    api::Tensor scaled = latents_;
    if (const auto scale = static_cast<float>(scheduler_->input_scale(step)); scale != 1) {
        for (float& value : scaled.floats()) {
            value *= scale;
        }
    }
    return pipeline_.denoiser().make_input(
        network_sample(repeat_row(scaled, rows())), scheduler_->timesteps()[static_cast<std::size_t>(step)],
        conditions_
    );
}

Result<void> Generation::advance(const api::Tensor& prediction) {
    FG_ASSERT(begun_ && !done());
    Shape wanted = latents_.shape;
    wanted[0] = rows();
    if (prediction.shape != wanted || !std::holds_alternative<std::vector<float>>(prediction.values)) {
        return fail(
            Errc::kUnprocessable,
            "the denoiser's answer is " + to_text(prediction.shape) + ", expected " + to_text(wanted), "unet"
        );
    }
    const std::size_t count = latents_.floats().size();
    std::span<const float> guided(prediction.floats());
    std::vector<float> mixed;
    if (guided_) {
        mixed.resize(count);
        const std::size_t part = count / guidance_.size();
        for (std::size_t i = 0; i < count; ++i) {
            const float without = guided[i];
            mixed[i] = without + guidance_[i / part] * (guided[count + i] - without);
        }
        guided = mixed;
    }
    const int step = scheduler_->position();
    const auto fresh = scheduler_->wants_noise() ? draw(NoiseUse::kStep, step, count) : std::vector<float>{};
    scheduler_->step(guided, fresh, latents_.floats());
    after_step();
    return {};
}

Result<api::Tensor> Generation::decode_tensor() const {
    FG_ASSERT(begun_);
    return pipeline_.autoencoder().decode(frames_of(latents_), pipeline_.settings().decode_chunk);
}

Result<std::vector<api::RgbImage>> Generation::decode() const {
    FG_TRY(frames, decode_tensor());
    std::vector<api::RgbImage> out;
    for (std::int64_t row = 0; row < frames.shape[0]; ++row) {
        out.push_back(tensor_to_picture(frames, row));
    }
    return out;
}

Result<api::RgbImage> Generation::preview() const {
    FG_ASSERT(begun_);
    api::Tensor estimate = latents_;
    if (!scheduler_->clean().empty() && !done()) {
        estimate.floats() = scheduler_->clean();
    }
    api::Tensor frames = frames_of(estimate);
    frames = slice_rows(frames, frames.shape[0] / 2, 1);
    const std::int64_t side = std::max(frames.shape[2], frames.shape[3]);
    const std::int64_t least = std::min(frames.shape[2], frames.shape[3]);
    const std::int64_t factor = std::min((side + kPreviewLatents - 1) / kPreviewLatents, least);
    if (factor > 1 && pipeline_.autoencoder().any_size()) {
        frames = shrink_by_mean(frames, static_cast<int>(factor));
    }
    FG_TRY(picture, pipeline_.autoencoder().decode(std::move(frames), 1));
    return tensor_to_picture(picture, 0);
}

std::vector<float> Generation::draw(NoiseUse use, int index, std::size_t count) const {
    std::vector<float> out(count);
    noise_->fill(use, index, out);
    return out;
}

void Generation::start_from_noise(Shape shape) {
    const std::size_t count = element_count(shape);
    latents_ = make_floats(std::move(shape), draw(NoiseUse::kStart, 0, count));
    const auto sigma = static_cast<float>(scheduler_->init_noise_sigma());
    for (float& value : latents_.floats()) {
        value *= sigma;
    }
}

Result<api::Tensor> Generation::encode_picture(const api::Tensor& picture, std::optional<NoiseUse> noise)
    const {
    const auto& config = pipeline_.config().vae;
    const std::int64_t plane = (picture.shape[2] / config.factor) * (picture.shape[3] / config.factor);
    const auto count = static_cast<std::size_t>(config.latent_channels * plane);
    const auto numbers = noise ? draw(*noise, 0, count) : std::vector<float>{};
    FG_TRY(latents, pipeline_.autoencoder().encode(picture, numbers));
    pipeline_.autoencoder().scale(latents);
    return latents;
}

Result<int> Generation::first_step_of_strength() const {
    const int taken = std::min(static_cast<int>(request_.steps * request_.strength), request_.steps);
    if (taken < 1) {
        return fail(Errc::kInvalidArgument, "strength leaves none of the num_inference_steps", "strength");
    }
    return request_.steps - taken;
}

Result<void> Generation::encode_texts() {
    FG_TRY(
        text, encode_prompts(
                  pipeline_.text_encoders(), request_.prompt, request_.negative_prompt, guided_,
                  pipeline_.config().zeros_for_empty_negative
              )
    );
    conditions_.hidden = std::move(text.hidden);
    conditions_.pooled = std::move(text.pooled);
    return {};
}

Result<std::vector<api::RgbImage>> run_to_end(
    const Pipeline& pipeline, Generation& generation, const StepProgress& progress
) {
    FG_CHECK(generation.begin());
    while (!generation.done()) {
        FG_TRY(prediction, pipeline.predict(generation.next()));
        FG_CHECK(generation.advance(prediction));
        if (progress && !progress(generation.steps_done(), generation.steps_total())) {
            return fail(Errc::kCancelled, "stopped between two steps");
        }
    }
    return generation.decode();
}

}  // namespace framegrid::diffusion
