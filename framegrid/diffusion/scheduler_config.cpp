#include <framegrid/diffusion/scheduler_config.hpp>

#include <array>
#include <limits>
#include <string>
#include <utility>

#include <framegrid/diffusion/json_reader.hpp>

namespace framegrid::diffusion {
namespace {

constexpr std::string_view kFile = "scheduler/scheduler_config.json";
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T, std::size_t N>
T choose(
    JsonReader& reader, std::string_view key, T fallback,
    const std::array<std::pair<std::string_view, T>, N>& names
) {
    if (!reader.has(key)) {
        return fallback;
    }
    const std::string name = reader.text(key, "");
    for (const auto& [known, value] : names) {
        if (name == known) {
            return value;
        }
    }
    reader.unsupported(key, "names something that is not supported");
    return fallback;
}

SchedulerKind read_kind(JsonReader& reader) {
    constexpr std::array kNames{
        std::pair{std::string_view("DDIMScheduler"), SchedulerKind::kDdim},
        std::pair{std::string_view("PNDMScheduler"), SchedulerKind::kPndm},
        std::pair{std::string_view("EulerDiscreteScheduler"), SchedulerKind::kEuler},
        std::pair{std::string_view("EulerAncestralDiscreteScheduler"), SchedulerKind::kEulerAncestral},
        std::pair{std::string_view("DPMSolverMultistepScheduler"), SchedulerKind::kDpmMultistep},
        std::pair{std::string_view("LCMScheduler"), SchedulerKind::kLcm},
        std::pair{std::string_view("FlowMatchEulerDiscreteScheduler"), SchedulerKind::kFlowMatchEuler},
    };
    if (!reader.has("_class_name")) {
        reader.wrong("_class_name", "is missing");
    }
    return choose(reader, "_class_name", SchedulerKind::kDdim, kNames);
}

void read_common(JsonReader& reader, SchedulerConfig& out) {
    constexpr std::array kSchedules{
        std::pair{std::string_view("linear"), BetaSchedule::kLinear},
        std::pair{std::string_view("scaled_linear"), BetaSchedule::kScaledLinear},
        std::pair{std::string_view("squaredcos_cap_v2"), BetaSchedule::kSquaredCosine},
    };
    constexpr std::array kPredictions{
        std::pair{std::string_view("epsilon"), Prediction::kEpsilon},
        std::pair{std::string_view("v_prediction"), Prediction::kVelocity},
        std::pair{std::string_view("sample"), Prediction::kSample},
    };
    constexpr std::array kSpacings{
        std::pair{std::string_view("leading"), Spacing::kLeading},
        std::pair{std::string_view("trailing"), Spacing::kTrailing},
        std::pair{std::string_view("linspace"), Spacing::kLinspace},
    };
    if (out.kind == SchedulerKind::kLcm) {
        out.beta_start = 0.00085;
        out.beta_end = 0.012;
        out.beta_schedule = BetaSchedule::kScaledLinear;
    }
    const bool leading = out.kind == SchedulerKind::kDdim || out.kind == SchedulerKind::kPndm ||
                         out.kind == SchedulerKind::kLcm;
    out.beta_start = reader.number("beta_start", out.beta_start, 1e-9, 0.999);
    out.beta_end = reader.number("beta_end", out.beta_end, 1e-9, 0.999);
    out.beta_schedule = choose(reader, "beta_schedule", out.beta_schedule, kSchedules);
    out.prediction = choose(reader, "prediction_type", Prediction::kEpsilon, kPredictions);
    out.spacing =
        choose(reader, "timestep_spacing", leading ? Spacing::kLeading : Spacing::kLinspace, kSpacings);
    out.steps_offset = static_cast<int>(reader.integer("steps_offset", 0, 0, 1000));
    reader.expect_absent("trained_betas");
    if (out.kind != SchedulerKind::kPndm) {
        out.rescale_zero_snr = reader.boolean("rescale_betas_zero_snr", false);
    }
    reader.expect("thresholding", false);
}

// DDIM and LCM keep x0 within a range; only DDIM does so unless told otherwise.
void read_clip(JsonReader& reader, SchedulerConfig& out) {
    out.set_alpha_to_one = reader.boolean("set_alpha_to_one", out.kind != SchedulerKind::kPndm);
    const double range = reader.number("clip_sample_range", 1, 1e-6, 1e6);
    if (out.kind != SchedulerKind::kPndm && reader.boolean("clip_sample", out.kind == SchedulerKind::kDdim)) {
        out.clip = range;
    }
}

void read_sigmas(JsonReader& reader, SchedulerConfig& out) {
    for (const std::string_view key :
         {"use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas"}) {
        reader.expect(key, false);
    }
    out.karras = reader.boolean("use_karras_sigmas", false);
    constexpr std::array kFinal{
        std::pair{std::string_view("zero"), false}, std::pair{std::string_view("sigma_min"), true}
    };
    out.final_sigma_min = choose(reader, "final_sigmas_type", false, kFinal);
}

void read_euler(JsonReader& reader, SchedulerConfig& out) {
    read_sigmas(reader, out);
    reader.expect_text("interpolation_type", "linear");
    constexpr std::array kTimes{
        std::pair{std::string_view("discrete"), false}, std::pair{std::string_view("continuous"), true}
    };
    out.continuous_time = choose(reader, "timestep_type", false, kTimes);
    if (reader.has("sigma_min")) {
        out.sigma_min = reader.number("sigma_min", 0, 1e-9, 1e6);
    }
    if (reader.has("sigma_max")) {
        out.sigma_max = reader.number("sigma_max", 0, 1e-9, 1e6);
    }
}

void read_dpm(JsonReader& reader, SchedulerConfig& out) {
    read_sigmas(reader, out);
    reader.expect_text("algorithm_type", "dpmsolver++");
    reader.expect_absent("variance_type");
    constexpr std::array kSolvers{
        std::pair{std::string_view("midpoint"), false}, std::pair{std::string_view("heun"), true}
    };
    out.heun = choose(reader, "solver_type", false, kSolvers);
    out.solver_order = static_cast<int>(reader.integer("solver_order", 2, 1, 3));
    if (out.solver_order == 3) {
        reader.unsupported("solver_order", "must be 1 or 2");
    }
    out.lower_order_final = reader.boolean("lower_order_final", true);
    out.euler_at_final = reader.boolean("euler_at_final", false);
    out.lambda_min_clipped = reader.number("lambda_min_clipped", -kInfinity, -kInfinity, 100);
}

void read_flow(JsonReader& reader, SchedulerConfig& out) {
    for (const std::string_view key :
         {"use_dynamic_shifting", "invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas",
          "use_beta_sigmas", "stochastic_sampling"}) {
        reader.expect(key, false);
    }
    reader.expect_absent("shift_terminal");
    out.shift = reader.number("shift", 1, 1e-3, 1e3);
}

}  // namespace

Result<SchedulerConfig> parse_scheduler_config(BytesView json) {
    FG_TRY(object, parse_json_object(json, kFile, kConfigBytesMax));
    JsonReader reader(object, kFile);
    SchedulerConfig out;
    out.kind = read_kind(reader);
    out.train_steps = static_cast<int>(reader.integer("num_train_timesteps", 1000, 2, kTrainStepsMax));
    if (out.kind == SchedulerKind::kFlowMatchEuler) {
        read_flow(reader, out);
    } else {
        read_common(reader, out);
        read_clip(reader, out);
    }
    switch (out.kind) {
        case SchedulerKind::kPndm:
            if (!reader.boolean("skip_prk_steps", false)) {
                reader.unsupported("skip_prk_steps", "must be true");
            }
            if (out.prediction == Prediction::kSample) {
                reader.unsupported("prediction_type", "must be epsilon or v_prediction");
            }
            break;
        case SchedulerKind::kEuler:
            read_euler(reader, out);
            break;
        case SchedulerKind::kEulerAncestral:
            if (out.prediction == Prediction::kSample) {
                reader.unsupported("prediction_type", "must be epsilon or v_prediction");
            }
            break;
        case SchedulerKind::kDpmMultistep:
            read_dpm(reader, out);
            break;
        case SchedulerKind::kLcm:
            out.original_steps =
                static_cast<int>(reader.integer("original_inference_steps", 50, 1, kStepsMax));
            out.timestep_scaling = reader.number("timestep_scaling", 10, 0, 1e6);
            if (out.original_steps > out.train_steps) {
                reader.wrong("original_inference_steps", "must not be over num_train_timesteps");
            }
            break;
        case SchedulerKind::kDdim:
        case SchedulerKind::kFlowMatchEuler:
            break;
    }
    FG_CHECK(reader.finish());
    return out;
}

}  // namespace framegrid::diffusion
