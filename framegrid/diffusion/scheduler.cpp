#include <framegrid/diffusion/scheduler.hpp>

#include <algorithm>
#include <cmath>

#include <framegrid/diffusion/schedulers_alpha.hpp>
#include <framegrid/diffusion/schedulers_sigma.hpp>

namespace framegrid::diffusion {

Result<void> Scheduler::set_steps(int steps) {
    const int most = std::min(kStepsMax, config_.train_steps);
    if (steps < 1 || steps > most) {
        return fail(
            Errc::kInvalidArgument, "num_inference_steps must be 1 to " + std::to_string(most),
            "num_inference_steps"
        );
    }
    steps_ = steps;
    FG_CHECK(choose_times(steps));
    // Betas that leave no signal at all make times without a value.
    if (!std::ranges::all_of(timesteps_, [](float time) { return std::abs(time) <= 1e6F; })) {
        return fail(
            Errc::kUnsupported, "the scheduler's betas leave no usable times",
            "scheduler/scheduler_config.json: beta_end"
        );
    }
    begin(0);
    return {};
}

void Scheduler::begin(int index) {
    FG_ASSERT(index >= 0 && index <= static_cast<int>(timesteps_.size()));
    position_ = index;
    clean_.clear();
    reset();
}

void Scheduler::step(
    std::span<const float> prediction, std::span<const float> noise, std::span<float> sample
) {
    FG_ASSERT(!done() && prediction.size() == sample.size());
    FG_ASSERT(!wants_noise() || noise.size() == sample.size());
    clean_.resize(sample.size());
    advance(prediction, noise, sample);
    ++position_;
}

std::unique_ptr<Scheduler> make_scheduler(const SchedulerConfig& config) {
    switch (config.kind) {
        case SchedulerKind::kDdim:
            return std::make_unique<DdimScheduler>(config);
        case SchedulerKind::kPndm:
            return std::make_unique<PndmScheduler>(config);
        case SchedulerKind::kLcm:
            return std::make_unique<LcmScheduler>(config);
        case SchedulerKind::kEuler:
        case SchedulerKind::kEulerAncestral:
            return std::make_unique<EulerScheduler>(config);
        case SchedulerKind::kDpmMultistep:
            return std::make_unique<DpmMultistepScheduler>(config);
        case SchedulerKind::kFlowMatchEuler:
            return std::make_unique<FlowMatchScheduler>(config);
    }
    return nullptr;
}

}  // namespace framegrid::diffusion
