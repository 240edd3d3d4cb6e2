// Runs one piece of work to its end, blocking: what an executor process does with each request.
#pragma once

#include <functional>
#include <string>

#include <framegrid/engine/ai_job.hpp>

namespace framegrid::engine {

// Thread rule: run() may be called by one thread at a time; the ports decide what runs in parallel inside.
class WorkRunner {
  public:
    // `now`: a monotonic clock, to say how long AI work took.
    WorkRunner(
        api::Transcoder& transcoder, api::MediaCodec& codec, ModelSource& models,
        std::function<TimePoint()> now, WorkSettings settings = {}
    )
        : transcoder_(transcoder),
          codec_(codec),
          models_(models),
          now_(std::move(now)),
          settings_(std::move(settings)) {}

    // Blocking. kNotFound: unknown pipeline or model (named); kInvalidArgument: parameters (field named);
    // kUnprocessable: the input is neither a picture nor a video; kTooLarge; kCancelled soon after `stop` is
    // set. `early`: as api::Transcoder says.
    Result<api::WorkOutput> run(
        const api::Work& work, const api::StopFlag& stop, const api::ArtifactSink& early = nullptr
    );
    void end_session(const std::string& session_id) { transcoder_.end_session(session_id); }

  private:
    Result<api::WorkOutput> run_ai(const api::AiWork& work, const Blob& input, const api::StopFlag& stop);

    api::Transcoder& transcoder_;
    api::MediaCodec& codec_;
    ModelSource& models_;
    std::function<TimePoint()> now_;
    WorkSettings settings_;
};

}  // namespace framegrid::engine
