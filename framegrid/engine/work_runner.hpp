// Runs one piece of work to its end, blocking: what an executor process does with each request.
#pragma once

#include <functional>
#include <string>

#include <framegrid/engine/ai_job.hpp>
#include <framegrid/engine/model_gate.hpp>

namespace framegrid::engine {

// What AI jobs hold at the moment.
struct WorkLoad {
    std::size_t jobs = 0;           // that have a model
    std::size_t waiting = 0;        // of those, for the device
    std::int64_t memory_bytes = 0;  // beside the models
    std::uint64_t turns = 0;        // of the device so far
    std::uint64_t turn_jobs = 0;    // in those together
};

// AI work may run on several threads at once; its calls of networks take turns, and denoising steps of
// several jobs share them. Transcoding is for one thread at a time.
class WorkRunner {
  public:
    // `now`: a monotonic clock, for any thread.
    WorkRunner(
        api::Transcoder& transcoder, api::MediaCodec& codec, ModelSource& models,
        std::function<TimePoint()> now, WorkSettings settings = {}
    )
        : transcoder_(transcoder),
          codec_(codec),
          now_(std::move(now)),
          models_(models, now_),
          settings_(settings),
          queue_(now_, settings_.turns, settings_.batching),
          memory_(settings_.working_memory_bytes) {}

    // Blocking. kNotFound: unknown pipeline or model (named); kInvalidArgument: parameters (field named);
    // kUnprocessable: the input is neither a picture nor a video; kTooLarge; kCancelled soon after `stop` is
    // set.
    Result<api::WorkOutput> run(const api::Work& work, const api::WorkContext& context);
    void end_session(const std::string& session_id) { transcoder_.end_session(session_id); }
    WorkLoad load() {
        const auto [turns, turn_jobs] = queue_.turns();
        return {queue_.jobs(), queue_.waiting(), memory_.used(), turns, turn_jobs};
    }

  private:
    Result<api::WorkOutput> run_ai(
        const api::AiWork& ai, const api::Work& work, const api::WorkContext& context
    );

    api::Transcoder& transcoder_;
    api::MediaCodec& codec_;
    std::function<TimePoint()> now_;
    ModelGate models_;
    WorkSettings settings_;
    InferenceQueue queue_;
    WorkingMemory memory_;
    std::mutex loading_;
};

}  // namespace framegrid::engine
