#include <framegrid/diffusion/schedulers_alpha.hpp>

#include <algorithm>
#include <cmath>

#include <framegrid/diffusion/noise_schedule.hpp>

namespace framegrid::diffusion {
namespace {

std::unexpected<Error> bad_steps(std::string message) {
    return fail(Errc::kInvalidArgument, std::move(message), "num_inference_steps");
}

}  // namespace

AlphaScheduler::AlphaScheduler(const SchedulerConfig& config)
    : Scheduler(config), alphas_(make_alphas_cumprod(config)) {}

Result<void> AlphaScheduler::use_times(const std::vector<double>& times) {
    timesteps_.clear();
    for (const double time : times) {
        if (time < 0 || time > config_.train_steps - 1) {
            return bad_steps("with so many steps one falls outside of the scheduler's training");
        }
        timesteps_.push_back(static_cast<float>(time));
    }
    return {};
}

double AlphaScheduler::alpha_at(int time) const {
    if (time < 0) {
        return config_.set_alpha_to_one ? 1.0 : static_cast<double>(alphas_.front());
    }
    return alphas_[std::min(static_cast<std::size_t>(time), alphas_.size() - 1)];
}

void AlphaScheduler::split(double alpha, float prediction, float sample, double& clean, double& noise) const {
    const double signal = std::sqrt(alpha);
    const double spread = std::sqrt(1 - alpha);
    switch (config_.prediction) {
        case Prediction::kEpsilon:
            clean = (sample - spread * prediction) / signal;
            noise = prediction;
            break;
        case Prediction::kSample:
            clean = prediction;
            noise = (sample - signal * clean) / spread;
            break;
        case Prediction::kVelocity:
            clean = signal * sample - spread * prediction;
            noise = signal * prediction + spread * sample;
            break;
    }
    if (config_.clip) {
        clean = std::clamp(clean, -*config_.clip, *config_.clip);
    }
}

void AlphaScheduler::add_noise(std::span<float> sample, std::span<const float> noise, int index) const {
    const double alpha = alpha_at(time_at(index));
    const auto signal = static_cast<float>(std::sqrt(alpha));
    const auto spread = static_cast<float>(std::sqrt(1 - alpha));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        sample[i] = signal * sample[i] + spread * noise[i];
    }
}

Result<void> DdimScheduler::choose_times(int steps) {
    auto times = spaced_timesteps(config_, steps);
    std::ranges::transform(times, times.begin(), [](double time) { return std::nearbyint(time); });
    return use_times(times);
}

void DdimScheduler::advance(
    std::span<const float> prediction, std::span<const float> /*noise*/, std::span<float> sample
) {
    const int time = time_at(position_);
    const double alpha = alpha_at(time);
    const double alpha_next = alpha_at(time - config_.train_steps / steps_);
    const double signal = std::sqrt(alpha_next);
    const double spread = std::sqrt(1 - alpha_next);
    for (std::size_t i = 0; i < sample.size(); ++i) {
        double clean = 0;
        double noise = 0;
        split(alpha, prediction[i], sample[i], clean, noise);
        clean_[i] = static_cast<float>(clean);
        sample[i] = static_cast<float>(signal * clean + spread * noise);
    }
}

Result<void> PndmScheduler::choose_times(int steps) {
    auto times = spaced_timesteps(config_, steps);
    std::ranges::transform(times, times.begin(), [](double time) { return std::nearbyint(time); });
    if (times.size() > 1) {
        times.insert(times.begin() + 1, times[1]);
    }
    return use_times(times);
}

void PndmScheduler::reset() {
    taken_ = 0;
    history_.clear();
    first_sample_.clear();
}

// Adams-Bashforth of the order that the history allows; the second call averages with the first.
std::vector<float> PndmScheduler::combine(std::span<const float> prediction) const {
    std::vector<float> out(prediction.begin(), prediction.end());
    const auto& h = history_;
    const std::size_t n = h.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (n == 1 && taken_ == 1) {
            out[i] = (prediction[i] + h[0][i]) / 2;
        } else if (n == 2) {
            out[i] = (3 * h[1][i] - h[0][i]) / 2;
        } else if (n == 3) {
            out[i] = (23 * h[2][i] - 16 * h[1][i] + 5 * h[0][i]) / 12;
        } else if (n >= 4) {
            out[i] = (55 * h[n - 1][i] - 59 * h[n - 2][i] + 37 * h[n - 3][i] - 9 * h[n - 4][i]) / 24;
        }
    }
    return out;
}

void PndmScheduler::advance(
    std::span<const float> prediction, std::span<const float> /*noise*/, std::span<float> sample
) {
    const int stride = config_.train_steps / steps_;
    int time = time_at(position_);
    int next = time - stride;
    if (taken_ == 1) {
        next = time;
        time += stride;
    } else {
        history_.emplace_back(prediction.begin(), prediction.end());
        if (history_.size() > 4) {
            history_.pop_front();
        }
    }
    const auto combined = combine(prediction);
    if (taken_ == 0) {
        first_sample_.assign(sample.begin(), sample.end());
    } else if (taken_ == 1) {
        std::ranges::copy(first_sample_, sample.begin());
        first_sample_.clear();
    }
    ++taken_;
    // The transfer part of PNDM, equation 9.
    const double alpha = alpha_at(time);
    const double alpha_next = alpha_at(next);
    const double beta = 1 - alpha;
    const double scale = std::sqrt(alpha_next / alpha);
    const double down = alpha * std::sqrt(1 - alpha_next) + std::sqrt(alpha * beta * alpha_next);
    const bool is_velocity = config_.prediction == Prediction::kVelocity;
    for (std::size_t i = 0; i < sample.size(); ++i) {
        double noise = combined[i];
        if (is_velocity) {
            noise = std::sqrt(alpha) * noise + std::sqrt(beta) * sample[i];
        }
        clean_[i] = static_cast<float>((sample[i] - std::sqrt(beta) * noise) / std::sqrt(alpha));
        sample[i] = static_cast<float>(scale * sample[i] - (alpha_next - alpha) * noise / down);
    }
}

Result<void> LcmScheduler::choose_times(int steps) {
    if (steps > config_.original_steps) {
        return bad_steps("must not be over the scheduler's original_inference_steps");
    }
    const int stride = config_.train_steps / config_.original_steps;
    std::vector<double> times;
    for (int i = 0; i < steps; ++i) {
        const double place = i * (static_cast<double>(config_.original_steps) / steps);
        times.push_back((config_.original_steps - std::floor(place)) * stride - 1);
    }
    return use_times(times);
}

void LcmScheduler::advance(
    std::span<const float> prediction, std::span<const float> noise, std::span<float> sample
) {
    const int time = time_at(position_);
    const bool is_last = position_ + 1 >= static_cast<int>(timesteps_.size());
    const double alpha = alpha_at(time);
    const double alpha_next = alpha_at(is_last ? time : time_at(position_ + 1));
    constexpr double kData = 0.5;
    const double scaled = time * config_.timestep_scaling;
    const double skip = kData * kData / (scaled * scaled + kData * kData);
    const double out = scaled / std::sqrt(scaled * scaled + kData * kData);
    const bool noisy = wants_noise();
    for (std::size_t i = 0; i < sample.size(); ++i) {
        double clean = 0;
        double unused = 0;
        split(alpha, prediction[i], sample[i], clean, unused);
        const double denoised = out * clean + skip * sample[i];
        clean_[i] = static_cast<float>(denoised);
        sample[i] = static_cast<float>(
            noisy ? std::sqrt(alpha_next) * denoised + std::sqrt(1 - alpha_next) * noise[i] : denoised
        );
    }
}

}  // namespace framegrid::diffusion
