// scheduler_config.json, as diffusers writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::diffusion {

enum class SchedulerKind : std::uint8_t {
    kDdim,
    kPndm,
    kEuler,
    kEulerAncestral,
    kDpmMultistep,
    kLcm,
    kFlowMatchEuler
};
enum class Prediction : std::uint8_t { kEpsilon, kVelocity, kSample };
enum class BetaSchedule : std::uint8_t { kLinear, kScaledLinear, kSquaredCosine };
enum class Spacing : std::uint8_t { kLeading, kTrailing, kLinspace };

struct SchedulerConfig {
    SchedulerKind kind = SchedulerKind::kDdim;
    int train_steps = 1000;
    double beta_start = 0.0001;
    double beta_end = 0.02;
    BetaSchedule beta_schedule = BetaSchedule::kLinear;
    Prediction prediction = Prediction::kEpsilon;
    Spacing spacing = Spacing::kLeading;
    int steps_offset = 0;
    bool rescale_zero_snr = false;
    bool set_alpha_to_one = true;       // DDIM, PNDM, LCM: nothing of the noise is left after the last step
    std::optional<double> clip{};       // DDIM, LCM: x0 stays within -clip .. clip
    bool karras = false;                // Euler, DPM
    bool continuous_time = false;       // Euler: the network's time is log(sigma) / 4 (with v-prediction)
    std::optional<double> sigma_min{};  // Euler with Karras
    std::optional<double> sigma_max{};
    bool final_sigma_min = false;  // Euler, DPM: the last sigma is the training's smallest, else 0
    int solver_order = 2;          // DPM: 1 or 2
    bool heun = false;             // DPM: solver_type, else midpoint
    bool lower_order_final = true;
    bool euler_at_final = false;
    double lambda_min_clipped = -1e300;
    int original_steps = 50;  // LCM
    double timestep_scaling = 10;
    double shift = 1;  // flow matching
};

inline constexpr int kTrainStepsMax = 10'000;
inline constexpr int kStepsMax = 1000;

// kUnsupported: a class or an option that is not implemented (the field names it); kInvalidArgument;
// kTooLarge.
Result<SchedulerConfig> parse_scheduler_config(BytesView json);

}  // namespace framegrid::diffusion
