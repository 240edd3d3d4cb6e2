#include <framegrid/diffusion/schedulers_sigma.hpp>

#include <algorithm>
#include <cmath>

#include <framegrid/diffusion/noise_schedule.hpp>

namespace framegrid::diffusion {
namespace {

constexpr float kSmallestAlpha = 0x1p-24F;

struct SignalAndSpread {
    double signal = 1;
    double spread = 0;
    double log_ratio() const { return std::log(signal) - std::log(spread); }  // half the log of the SNR
};

SignalAndSpread parts_of(double sigma) {
    const double signal = 1 / std::sqrt(sigma * sigma + 1);
    return {.signal = signal, .spread = sigma * signal};
}

}  // namespace

void SigmaScheduler::add_noise(std::span<float> sample, std::span<const float> noise, int index) const {
    const auto sigma = static_cast<float>(sigma_at(index));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        sample[i] += sigma * noise[i];
    }
}

std::vector<double> SigmaScheduler::training_sigmas() const {
    auto alphas = make_alphas_cumprod(config_);
    if (config_.rescale_zero_snr) {
        alphas.back() = kSmallestAlpha;
    }
    return sigmas_of(alphas);
}

Result<void> SigmaScheduler::check_times() const {
    const bool inside = std::ranges::all_of(timesteps_, [&](float time) {
        return time >= 0 && time <= static_cast<float>(config_.train_steps - 1);
    });
    return inside
               ? Result<void>()
               : fail(
                     Errc::kInvalidArgument,
                     "with so many steps one falls outside of the scheduler's training", "num_inference_steps"
                 );
}

void SigmaScheduler::use_sigmas(const std::vector<double>& values, double last) {
    sigmas_.assign(values.begin(), values.end());
    sigmas_.push_back(static_cast<float>(last));
}

double EulerScheduler::init_noise_sigma() const {
    const double largest = *std::ranges::max_element(sigmas_);
    return config_.spacing == Spacing::kLeading ? std::sqrt(largest * largest + 1) : largest;
}

double EulerScheduler::input_scale(int index) const {
    const double sigma = sigma_at(index);
    return 1 / std::sqrt(sigma * sigma + 1);
}

Result<void> EulerScheduler::choose_times(int steps) {
    const auto training = training_sigmas();
    auto times = spaced_timesteps(config_, steps);
    std::vector<double> sigmas;
    for (double& time : times) {
        time = static_cast<float>(time);
        sigmas.push_back(interpolate(training, time));
    }
    timesteps_.assign(times.begin(), times.end());
    FG_CHECK(check_times());
    if (config_.karras) {
        sigmas = karras_sigmas(
            config_.sigma_min.value_or(sigmas.back()), config_.sigma_max.value_or(sigmas.front()), steps
        );
        timesteps_.clear();
        for (const double sigma : sigmas) {
            timesteps_.push_back(static_cast<float>(time_of_sigma(training, sigma)));
        }
    }
    use_sigmas(sigmas, config_.final_sigma_min ? training.front() : 0);
    if (config_.continuous_time && config_.prediction == Prediction::kVelocity) {
        timesteps_.clear();
        for (const double sigma : sigmas) {
            timesteps_.push_back(0.25F * std::log(static_cast<float>(sigma)));
        }
    }
    return {};
}

void EulerScheduler::advance(
    std::span<const float> prediction, std::span<const float> noise, std::span<float> sample
) {
    const double sigma = sigma_at(position_);
    const double next = sigma_at(position_ + 1);
    double down = next;
    double up = 0;
    if (wants_noise()) {
        up = std::sqrt(next * next * (sigma * sigma - next * next) / (sigma * sigma));
        down = std::sqrt(next * next - up * up);
    }
    const double skip = 1 / (sigma * sigma + 1);
    const double out = -sigma / std::sqrt(sigma * sigma + 1);
    for (std::size_t i = 0; i < sample.size(); ++i) {
        const double x = sample[i];
        double clean = prediction[i];
        if (config_.prediction == Prediction::kEpsilon) {
            clean = x - sigma * prediction[i];
        } else if (config_.prediction == Prediction::kVelocity) {
            clean = prediction[i] * out + x * skip;
        }
        clean_[i] = static_cast<float>(clean);
        sample[i] =
            static_cast<float>(x + (x - clean) / sigma * (down - sigma) + (up > 0 ? up * noise[i] : 0.0));
    }
}

Result<void> DpmMultistepScheduler::choose_times(int steps) {
    const auto training = training_sigmas();
    // Times whose SNR is below the clip are left out.
    int last = config_.train_steps;
    while (last > 1 && -std::log(training[static_cast<std::size_t>(last) - 1]) < config_.lambda_min_clipped) {
        --last;
    }
    std::vector<double> times;
    if (config_.spacing == Spacing::kTrailing) {
        times = spaced_timesteps(config_, steps);
        if (last != config_.train_steps) {
            return fail(
                Errc::kUnsupported, "lambda_min_clipped does not go with trailing timesteps",
                "scheduler/scheduler_config.json: lambda_min_clipped"
            );
        }
    } else if (config_.spacing == Spacing::kLinspace) {
        times = linspace(0, last - 1, steps + 1);
        std::ranges::reverse(times);
        times.pop_back();
    } else {
        for (int i = steps; i > 0; --i) {
            const int time = i * (last / (steps + 1)) + config_.steps_offset;
            times.push_back(time);
        }
    }
    std::vector<double> sigmas;
    for (double& time : times) {
        time = std::nearbyint(time);
        sigmas.push_back(interpolate(training, time));
    }
    if (config_.karras) {
        sigmas = karras_sigmas(training.front(), training.back(), steps);
        times.clear();
        for (const double sigma : sigmas) {
            const double time = time_of_sigma(training, sigma);
            times.push_back(
                config_.beta_schedule == BetaSchedule::kSquaredCosine ? std::trunc(time)
                                                                      : std::nearbyint(time)
            );
        }
    }
    timesteps_.assign(times.begin(), times.end());
    FG_CHECK(check_times());
    use_sigmas(sigmas, config_.final_sigma_min ? training.front() : 0);
    return {};
}

void DpmMultistepScheduler::add_noise(std::span<float> sample, std::span<const float> noise, int index)
    const {
    const auto parts = parts_of(sigma_at(index));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        sample[i] = static_cast<float>(parts.signal * sample[i] + parts.spread * noise[i]);
    }
}

void DpmMultistepScheduler::advance(
    std::span<const float> prediction, std::span<const float> /*noise*/, std::span<float> sample
) {
    const auto now = parts_of(sigma_at(position_));
    const auto next = parts_of(sigma_at(position_ + 1));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        double clean = prediction[i];
        if (config_.prediction == Prediction::kEpsilon) {
            clean = (sample[i] - now.spread * prediction[i]) / now.signal;
        } else if (config_.prediction == Prediction::kVelocity) {
            clean = now.signal * sample[i] - now.spread * prediction[i];
        }
        clean_[i] = static_cast<float>(clean);
    }
    const auto count = static_cast<int>(timesteps_.size());
    const bool is_last =
        position_ == count - 1 &&
        (config_.euler_at_final || (config_.lower_order_final && count < 15) || !config_.final_sigma_min);
    const double h = next.log_ratio() - now.log_ratio();
    const double keep = next.spread / now.spread;
    const double pull = next.signal * (1 - std::exp(-h));
    double slope = 0;  // of the difference to the estimate before
    if (config_.solver_order == 2 && !before_.empty() && !is_last) {
        const double h_before = now.log_ratio() - parts_of(sigma_at(position_ - 1)).log_ratio();
        slope = h / h_before * (config_.heun ? next.signal * ((std::exp(-h) - 1) / h + 1) : pull / 2);
    }
    for (std::size_t i = 0; i < sample.size(); ++i) {
        const double change = slope == 0 ? 0 : static_cast<double>(clean_[i]) - before_[i];
        sample[i] = static_cast<float>(keep * sample[i] + pull * clean_[i] + slope * change);
    }
    before_ = clean_;
}

Result<void> FlowMatchScheduler::choose_times(int steps) {
    const double n = config_.train_steps;
    const auto shifted = [&](double sigma) {
        return config_.shift * sigma / (1 + (config_.shift - 1) * sigma);
    };
    // diffusers shifts the ends of the range when it is made, and everything when steps are chosen.
    auto sigmas = linspace(shifted(1) * n, shifted(1 / n) * n, steps);
    timesteps_.clear();
    for (double& sigma : sigmas) {
        sigma = shifted(sigma / n);
        timesteps_.push_back(static_cast<float>(sigma) * static_cast<float>(n));
    }
    use_sigmas(sigmas, 0);
    return {};
}

void FlowMatchScheduler::add_noise(std::span<float> sample, std::span<const float> noise, int index) const {
    const auto sigma = static_cast<float>(sigma_at(index));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        sample[i] = sigma * noise[i] + (1.0F - sigma) * sample[i];
    }
}

void FlowMatchScheduler::advance(
    std::span<const float> prediction, std::span<const float> /*noise*/, std::span<float> sample
) {
    const auto sigma = static_cast<float>(sigma_at(position_));
    const auto change = static_cast<float>(sigma_at(position_ + 1)) - sigma;
    for (std::size_t i = 0; i < sample.size(); ++i) {
        clean_[i] = sample[i] - sigma * prediction[i];
        sample[i] += change * prediction[i];
    }
}

}  // namespace framegrid::diffusion
