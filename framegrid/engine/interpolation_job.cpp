#include <framegrid/engine/ai_job.hpp>
#include <framegrid/engine/interpolation.hpp>
#include <framegrid/engine/turn_taking.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::engine {

Result<api::WorkOutput> run_interpolation(const AiJob& job) {
    if (!media::looks_like_video(job.input.view())) {
        return fail(Errc::kUnprocessable, "not a video", "video");
    }
    FG_TRY(network, job.lease.network(std::string(kOnlyNetwork)));
    TurnTakingTensorModel shared(*network, job.seat);
    FG_TRY(interpolator, Interpolator::make(shared, job.lease.manifest().multiple));
    api::Retiming retiming;
    retiming.fps = static_cast<int>(job.parameters.integer("fps").value_or(0));
    retiming.multiplier = static_cast<int>(job.parameters.integer("multiplier").value_or(2));
    retiming.open_end = job.parameters.boolean("open_end").value_or(false);
    api::WorkOutput out;
    WorkingMemory::Share memory;
    const auto between = [&](const api::RgbImage& before, const api::RgbImage& after,
                             double time) -> Result<api::RgbImage> {
        if (out.decoded == Pixels{}) {
            const std::int64_t pixels = pixels_of(before).value;
            FG_TRY(share, job.memory.take(video_memory(pixels, pixels), job.stop));
            memory = std::move(share);
        }
        out.decoded = out.decoded + pixels_of(before);
        if (is_cut(before, after)) {
            return time < 0.5 ? before : after;
        }
        return interpolator.between(before, after, time, job.stop);
    };
    FG_TRY(artifact, job.codec.retime_video(job.input, retiming, between, job.stop));
    out.artifacts.push_back(std::move(artifact));
    return out;
}

}  // namespace framegrid::engine
