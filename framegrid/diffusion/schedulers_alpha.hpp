// The schedulers that count in training steps: DDIM, PNDM and LCM.
#pragma once

#include <deque>

#include <framegrid/diffusion/scheduler.hpp>

namespace framegrid::diffusion {

class AlphaScheduler : public Scheduler {
  public:
    void add_noise(std::span<float> sample, std::span<const float> noise, int index) const override;

  protected:
    explicit AlphaScheduler(const SchedulerConfig& config);
    // Takes whole, falling times. kInvalidArgument: one is not a training step.
    Result<void> use_times(const std::vector<double>& times);
    // The product of alphas at a training step; below 0: after the last.
    double alpha_at(int time) const;
    int time_at(int index) const { return static_cast<int>(timesteps_[static_cast<std::size_t>(index)]); }
    // The clean sample and the noise that a prediction means.
    void split(double alpha, float prediction, float sample, double& clean, double& noise) const;

    std::vector<float> alphas_;
};

class DdimScheduler final : public AlphaScheduler {
  public:
    explicit DdimScheduler(const SchedulerConfig& config) : AlphaScheduler(config) {}

  private:
    Result<void> choose_times(int steps) override;
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;
};

// Pseudo linear multistep, with the second step taken twice instead of Runge-Kutta ones.
class PndmScheduler final : public AlphaScheduler {
  public:
    explicit PndmScheduler(const SchedulerConfig& config) : AlphaScheduler(config) {}

  private:
    Result<void> choose_times(int steps) override;
    void reset() override;
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;
    std::vector<float> combine(std::span<const float> prediction) const;

    int taken_ = 0;
    std::deque<std::vector<float>> history_;  // at most four predictions
    std::vector<float> first_sample_;
};

class LcmScheduler final : public AlphaScheduler {
  public:
    explicit LcmScheduler(const SchedulerConfig& config) : AlphaScheduler(config) {}
    bool wants_noise() const override { return position_ != steps_ - 1; }

  private:
    Result<void> choose_times(int steps) override;
    void advance(std::span<const float> prediction, std::span<const float> noise, std::span<float> sample)
        override;
};

}  // namespace framegrid::diffusion
