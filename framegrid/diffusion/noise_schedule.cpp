#include <framegrid/diffusion/noise_schedule.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace framegrid::diffusion {
namespace {

// As PyTorch fills a float range: from both ends, each value rounded once.
std::vector<float> float_range(double start, double stop, int count) {
    const auto first = static_cast<float>(start);
    const auto last = static_cast<float>(stop);
    const float step = count > 1 ? (last - first) / static_cast<float>(count - 1) : 0.0F;
    std::vector<float> out(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        out[static_cast<std::size_t>(i)] = i < count / 2
                                               ? std::fma(step, static_cast<float>(i), first)
                                               : std::fma(-step, static_cast<float>(count - 1 - i), last);
    }
    return out;
}

double cosine_alpha(double t) {
    const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
}

std::vector<float> make_betas(const SchedulerConfig& config) {
    const int count = config.train_steps;
    std::vector<float> out;
    switch (config.beta_schedule) {
        case BetaSchedule::kLinear:
            return float_range(config.beta_start, config.beta_end, count);
        case BetaSchedule::kScaledLinear:
            out = float_range(std::sqrt(config.beta_start), std::sqrt(config.beta_end), count);
            std::ranges::transform(out, out.begin(), [](float root) { return root * root; });
            return out;
        case BetaSchedule::kSquaredCosine:
            for (int i = 0; i < count; ++i) {
                const double now = cosine_alpha(static_cast<double>(i) / count);
                const double next = cosine_alpha(static_cast<double>(i + 1) / count);
                out.push_back(static_cast<float>(std::min(1 - next / now, 0.999)));
            }
            return out;
    }
    return out;
}

std::vector<float> cumulative_product(const std::vector<float>& betas) {
    std::vector<float> out;
    out.reserve(betas.size());
    double product = 1;
    for (const float beta : betas) {
        product *= 1.0F - beta;
        out.push_back(static_cast<float>(product));
    }
    return out;
}

// Shifts and scales so that nothing of the picture is left at the last step (Lin et al. 2023, algorithm 1).
std::vector<float> rescale_to_zero_snr(const std::vector<float>& betas) {
    std::vector<float> roots = cumulative_product(betas);
    std::ranges::transform(roots, roots.begin(), [](float a) { return std::sqrt(a); });
    const float first = roots.front();
    const float last = roots.back();
    const float scale = first / (first - last);
    for (float& root : roots) {
        root = (root - last) * scale;
    }
    std::vector<float> out;
    out.reserve(roots.size());
    float before = 1;
    for (const float root : roots) {
        const float bar = root * root;
        out.push_back(1.0F - bar / before);
        before = bar;
    }
    return out;
}

}  // namespace

std::vector<float> make_alphas_cumprod(const SchedulerConfig& config) {
    const auto betas = make_betas(config);
    return cumulative_product(config.rescale_zero_snr ? rescale_to_zero_snr(betas) : betas);
}

std::vector<double> sigmas_of(const std::vector<float>& alphas_cumprod) {
    std::vector<double> out;
    out.reserve(alphas_cumprod.size());
    for (const float alpha : alphas_cumprod) {
        out.push_back(std::sqrt((1.0F - alpha) / alpha));
    }
    return out;
}

std::vector<double> linspace(double start, double stop, int count) {
    const double step = count > 1 ? (stop - start) / (count - 1) : 0;
    std::vector<double> out;
    for (int i = 0; i < count; ++i) {
        out.push_back(i > 0 && i + 1 == count ? stop : start + step * i);
    }
    return out;
}

std::vector<double> spaced_timesteps(const SchedulerConfig& config, int steps) {
    std::vector<double> out;
    switch (config.spacing) {
        case Spacing::kLinspace:
            out = linspace(0, config.train_steps - 1, steps);
            std::ranges::reverse(out);
            return out;
        case Spacing::kLeading:
            for (int i = steps - 1; i >= 0; --i) {
                const int time = i * (config.train_steps / steps) + config.steps_offset;
                out.push_back(time);
            }
            return out;
        case Spacing::kTrailing: {
            // Counted down as NumPy's arange does: its rounding decides whether a last step is added.
            const double start = config.train_steps;
            const double ratio = start / steps;
            const auto count = static_cast<int>(std::ceil(start / ratio));
            const double delta = (start - ratio) - start;
            for (int i = 0; i < count; ++i) {
                out.push_back(std::nearbyint(start + i * delta) - 1);
            }
            return out;
        }
    }
    return out;
}

double interpolate(const std::vector<double>& values, double x) {
    const double last = static_cast<double>(values.size()) - 1;
    if (x >= last) {
        return values.back();
    }
    if (x <= 0) {
        return values.front();
    }
    const auto low = static_cast<std::size_t>(x);
    return (values[low + 1] - values[low]) * (x - static_cast<double>(low)) + values[low];
}

std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int steps) {
    constexpr double kRho = 7;
    const double low = std::pow(sigma_min, 1 / kRho);
    const double high = std::pow(sigma_max, 1 / kRho);
    std::vector<double> out = linspace(0, 1, steps);
    for (double& value : out) {
        value = std::pow(high + value * (low - high), kRho);
    }
    return out;
}

double time_of_sigma(const std::vector<double>& sigmas, double sigma) {
    const double wanted = std::log(std::max(sigma, 1e-10));
    // The table's logarithms are floats in diffusers, which decides on which side of a step a time falls.
    const auto log_of = [](double value) { return double{std::log(static_cast<float>(value))}; };
    const auto above = std::ranges::upper_bound(sigmas, wanted, {}, log_of);
    const auto count = static_cast<std::ptrdiff_t>(sigmas.size());
    const auto low = std::clamp<std::ptrdiff_t>(above - sigmas.begin() - 1, 0, count - 2);
    const double log_low = log_of(sigmas[static_cast<std::size_t>(low)]);
    const double log_high = log_of(sigmas[static_cast<std::size_t>(low) + 1]);
    const double part = std::clamp((log_low - wanted) / (log_low - log_high), 0.0, 1.0);
    return (1 - part) * static_cast<double>(low) + part * static_cast<double>(low + 1);
}

}  // namespace framegrid::diffusion
