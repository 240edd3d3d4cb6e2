// A pipeline of several networks, loaded once; and generations, which the caller steps.
//
//     Pipeline::load(files, networks) ── start(request) ──> Generation
//         begin()                        prompt and input picture through their encoders
//         while !done():                 one step; steps of several generations may share a call
//             advance(predict(next()))
//         decode()                       the pictures
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>
#include <framegrid/diffusion/autoencoder.hpp>
#include <framegrid/diffusion/denoiser.hpp>
#include <framegrid/diffusion/noise_source.hpp>
#include <framegrid/diffusion/pipeline_config.hpp>
#include <framegrid/diffusion/scheduler.hpp>
#include <framegrid/diffusion/tensors.hpp>
#include <framegrid/diffusion/text_conditioner.hpp>

namespace framegrid::diffusion {

inline constexpr int kSideMax = 4096;  // pixels of a picture
inline constexpr std::int64_t kFramesMax = 256;
inline constexpr double kGuidanceMax = 100;

// One picture, or one clip. What is asked for follows from what is given: a picture without or with a mask
// makes image-to-image or inpainting, for a video pipeline image-to-video.
struct Request {
    std::string prompt{};  // ignored by Stable Video Diffusion
    std::optional<std::string> negative_prompt{};
    // Pixels; the nearest multiple of PipelineConfig::side_step() is made. 0: the input picture's for a
    // picture, or the model's.
    int width = 0;
    int height = 0;
    int steps = 30;
    double guidance = 7.5;   // at most 1: no guidance; half as much work. Stable Video: of the last frame
    double strength = 0.8;   // with a picture: the part of the steps that is taken, over 0, at most 1
    std::uint64_t seed = 0;  // several pictures of one request take seed, seed + 1, ...
    std::optional<api::RgbImage> image{};  // stretched to width x height
    std::optional<api::RgbImage> mask{};   // white: to be painted
    std::int64_t frames = 0;               // 0: the model's
    // Stable Video Diffusion alone
    double guidance_first = 1;  // guidance of the first frame; between it and the last one linear
    int fps = 7;
    int motion_bucket_id = 127;
    double noise_aug_strength = 0.02;
};

class Pipeline;

// One request on its way. Refers to its pipeline, which must outlive it. For one thread at a time; several
// generations of a pipeline may not call networks at the same time unless the networks allow it.
class Generation {
  public:
    virtual ~Generation() = default;
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

    // Runs the encoders; once, first. kInvalidArgument ("prompt"), kUnprocessable: a network.
    Result<void> begin();
    bool done() const { return scheduler_->done(); }
    int steps_done() const { return scheduler_->position() - first_step_; }
    int steps_total() const { return static_cast<int>(scheduler_->timesteps().size()) - first_step_; }

    // What the denoiser is to be given now; after begin(), not done() (asserted).
    StepInput next() const;
    // Takes the denoiser's answer to next(). kUnprocessable: it has another shape.
    Result<void> advance(const api::Tensor& prediction);

    // The pictures or frames, [n, 3, height, width] in about -1 .. 1; when done().
    Result<api::Tensor> decode_tensor() const;
    Result<std::vector<api::RgbImage>> decode() const;
    // What the finished picture (a clip's middle frame) will look like, decoded from the current estimate, at
    // most about 256 pixels a side where the decoder takes any size. After begin().
    Result<api::RgbImage> preview() const;

    const api::Tensor& latents() const { return latents_; }
    const Request& request() const { return request_; }

  protected:
    Generation(
        const Pipeline& pipeline, Request request, std::unique_ptr<Scheduler> scheduler,
        std::unique_ptr<NoiseSource> noise
    );
    // Fills latents_ and conditions_, and sets the scheduler to its first step.
    virtual Result<void> prepare() = 0;
    // `rows` equal rows of the scaled latents to the denoiser's sample.
    virtual api::Tensor network_sample(api::Tensor latents) const { return latents; }
    virtual void after_step() {}
    // Latents of this generation's shape as [n, c, h, w].
    virtual api::Tensor frames_of(const api::Tensor& latents) const { return latents; }

    std::int64_t rows() const { return guided_ ? 2 : 1; }
    std::vector<float> draw(NoiseUse use, int index, std::size_t count) const;
    // Latents of pure noise at the first step, which is `first`.
    void start_from_noise(Shape shape);
    // The encoder's latents of the request's picture, scaled; `sampled`: with noise, else their mean.
    Result<api::Tensor> encode_picture(const api::Tensor& picture, std::optional<NoiseUse> noise) const;
    // The scheduler's first step for the request's strength.
    Result<int> first_step_of_strength() const;
    Result<void> encode_texts();

    const Pipeline& pipeline_;
    Request request_;
    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<NoiseSource> noise_;
    bool guided_ = false;
    std::vector<float> guidance_;  // one per equal part of the latents
    int first_step_ = 0;
    bool begun_ = false;
    api::Tensor latents_;
    StepConditions conditions_;
};

// The networks of a directory, by folder. Those that the pipeline's kind does not need may be null; without
// vae_encoder there is no image-to-image. They must outlive the pipeline.
struct Networks {
    api::TensorModel* text_encoder = nullptr;
    api::TensorModel* text_encoder_2 = nullptr;
    api::TensorModel* unet = nullptr;
    api::TensorModel* vae_decoder = nullptr;
    api::TensorModel* vae_encoder = nullptr;
    api::TensorModel* image_encoder = nullptr;
};

struct PipelineSettings {
    std::int64_t rows_max = 8;      // of the denoiser per call, where the network leaves it free
    std::int64_t decode_chunk = 4;  // pictures or frames per call of the decoder
};

class Pipeline {
  public:
    // Checks the files and what the networks declare against each other. kNotFound: a file or network is
    // missing; kUnsupported: an option, input or shape that is not implemented (field "unet: sample");
    // kInvalidArgument, kTooLarge: a file.
    static Result<std::unique_ptr<Pipeline>> load(
        const PipelineFiles& files, const Networks& networks, PipelineSettings settings = {}
    );

    const PipelineConfig& config() const { return config_; }
    // kInvalidArgument with the request's field; kUnsupported: this model cannot do that. `noise`: instead of
    // numbers from the request's seed.
    Result<std::unique_ptr<Generation>> start(Request request, std::unique_ptr<NoiseSource> noise = nullptr)
        const;
    // The denoiser's answers to several generations' next(), in order.
    Result<std::vector<api::Tensor>> predict(std::span<const StepInput* const> steps) const {
        return denoiser_.predict(steps, settings_.rows_max);
    }
    Result<api::Tensor> predict(const StepInput& step) const;

    const std::vector<TextEncoder>& text_encoders() const { return text_encoders_; }
    const Autoencoder& autoencoder() const { return autoencoder_; }
    const Denoiser& denoiser() const { return denoiser_; }
    const Network* image_encoder() const { return image_encoder_ ? &*image_encoder_ : nullptr; }
    const PipelineSettings& settings() const { return settings_; }

  private:
    Pipeline(PipelineConfig config, PipelineSettings settings, Denoiser denoiser, Autoencoder autoencoder)
        : config_(std::move(config)),
          settings_(settings),
          denoiser_(std::move(denoiser)),
          autoencoder_(std::move(autoencoder)) {}
    Result<void> load_text_encoders(const PipelineFiles& files, const Networks& networks);
    Result<void> load_image_encoder(const Networks& networks);

    PipelineConfig config_;
    PipelineSettings settings_;
    Denoiser denoiser_;
    Autoencoder autoencoder_;
    std::vector<TextEncoder> text_encoders_;
    std::optional<Network> image_encoder_;
};

// Told after each step: steps done, steps in all. False: stop.
using StepProgress = std::function<bool(int done, int total)>;

// begin(), all steps and decode(). kCancelled: `progress` returned false.
Result<std::vector<api::RgbImage>> run_to_end(
    const Pipeline& pipeline, Generation& generation, const StepProgress& progress = nullptr
);

}  // namespace framegrid::diffusion
