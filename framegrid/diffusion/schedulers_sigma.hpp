// The schedulers that count in noise levels: Euler, Euler ancestral, DPM-Solver++ and flow matching.
#pragma once

#include <framegrid/diffusion/scheduler.hpp>

namespace framegrid::diffusion {

class SigmaScheduler : public Scheduler {
  public:
    void add_noise(std::span<float> sample, std::span<const float> noise, int index) const override;

  protected:
    explicit SigmaScheduler(const SchedulerConfig& config) : Scheduler(config) {}
    // The training's noise levels, rising. With zero terminal SNR the last would be infinite: a huge one
    // instead.
    std::vector<double> training_sigmas() const;
    Result<void> check_times() const;
    double sigma_at(int index) const { return sigmas_[static_cast<std::size_t>(index)]; }
    // sigmas_ from `values` and the last one.
    void use_sigmas(const std::vector<double>& values, double last);

    std::vector<float> sigmas_;  // one more than timesteps_
};

class EulerScheduler final : public SigmaScheduler {
  public:
    explicit EulerScheduler(const SchedulerConfig& config) : SigmaScheduler(config) {}
    double init_noise_sigma() const override;
    double input_scale(int index) const override;
    bool wants_noise() const override { return config_.kind == SchedulerKind::kEulerAncestral; }

  private:
    Result<void> choose_times(int steps) override;
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;
};

// DPM-Solver++ of first or second order ("2M"), without added noise.
class DpmMultistepScheduler final : public SigmaScheduler {
  public:
    explicit DpmMultistepScheduler(const SchedulerConfig& config) : SigmaScheduler(config) {}
    void add_noise(std::span<float> sample, std::span<const float> noise, int index) const override;

  private:
    Result<void> choose_times(int steps) override;
    void reset() override { before_.clear(); }
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;

    std::vector<float> before_;  // the clean estimate of the step before; empty: none
};

// x_t = (1 - sigma) x0 + sigma noise; the network predicts noise - x0 and is given 1000 sigma (the number of
// training steps).
class FlowMatchScheduler final : public SigmaScheduler {
  public:
    explicit FlowMatchScheduler(const SchedulerConfig& config) : SigmaScheduler(config) {}
    void add_noise(std::span<float> sample, std::span<const float> noise, int index) const override;

  private:
    Result<void> choose_times(int steps) override;
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;
};

}  // namespace framegrid::diffusion
