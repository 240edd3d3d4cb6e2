// Takes a sample from noise to a clean latent, one prediction of the network at a time.
//
//     set_steps(n); begin(i); add_noise() or noise * init_noise_sigma()
//     for k = i .. timesteps().size() - 1:  network(sample * input_scale(k), timesteps()[k]) -> step()
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/diffusion/scheduler_config.hpp>

namespace framegrid::diffusion {

// State of one generation; elementwise, so a sample may have any shape. Not thread-safe.
class Scheduler {
  public:
    virtual ~Scheduler() = default;

    // Chooses the times. kInvalidArgument ("num_inference_steps"): not 1..kStepsMax, or more than the
    // training had.
    Result<void> set_steps(int steps);
    // Starts over at the i-th time; not 0 for image-to-image.
    void begin(int index);

    // What the network is given, one per call; may be more than the steps asked for (PNDM).
    const std::vector<float>& timesteps() const { return timesteps_; }
    int position() const { return position_; }  // of the next step
    bool done() const { return position_ >= static_cast<int>(timesteps_.size()); }

    // Noise of variance 1 is multiplied by this to start without a picture.
    virtual double init_noise_sigma() const { return 1; }
    // The sample is multiplied by this on its way into the network.
    virtual double input_scale(int /*index*/) const { return 1; }
    // Whether the next step uses fresh noise of variance 1.
    virtual bool wants_noise() const { return false; }
    // A clean sample with as much noise as there is before the step at `index`.
    virtual void add_noise(std::span<float> sample, std::span<const float> noise, int index) const = 0;

    // Replaces the sample by the next one. `noise` is ignored unless wants_noise(). Equal sizes (asserted),
    // not done().
    void step(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample);
    // What the last step took for the clean sample; empty before it.
    const std::vector<float>& clean() const { return clean_; }

  protected:
    explicit Scheduler(const SchedulerConfig& config) : config_(config) {}
    virtual Result<void> choose_times(int steps) = 0;
    virtual void reset() {}
    // Writes the clean estimate into clean_ (of the right size) and the next sample over `sample`.
    virtual void advance(
        std::span<const float> prediction, std::span<const float> noise, std::span<float> sample
    ) = 0;

    SchedulerConfig config_;
    int steps_ = 0;
    int position_ = 0;
    std::vector<float> timesteps_;
    std::vector<float> clean_;
};

std::unique_ptr<Scheduler> make_scheduler(const SchedulerConfig& config);

}  // namespace framegrid::diffusion
