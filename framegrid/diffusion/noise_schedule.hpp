// How much noise each training step has: betas, their products, and the lists of times that steps are taken
// at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/diffusion/scheduler_config.hpp>

namespace framegrid::diffusion {

// The product of (1 - beta) up to each training step. The same roundings to float as in PyTorch: near the end
// of the process 1 - product is so small that they are felt.
std::vector<float> make_alphas_cumprod(const SchedulerConfig& config);

// sqrt((1 - a) / a) of each.
std::vector<double> sigmas_of(const std::vector<float>& alphas_cumprod);

// `count` numbers from `start` to `stop`, both included (one: `start`).
std::vector<double> linspace(double start, double stop, int count);

// The times of `steps` steps, falling, not rounded for linspace.
std::vector<double> spaced_timesteps(const SchedulerConfig& config, int steps);

// `values` at x, linear between whole numbers, constant outside.
double interpolate(const std::vector<double>& values, double x);

// Karras et al. (2022), equation 5 with rho = 7, falling.
std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int steps);

// The training time whose sigma this is, interpolated in the logarithm. `sigmas` rise.
double time_of_sigma(const std::vector<double>& sigmas, double sigma);

}  // namespace framegrid::diffusion
