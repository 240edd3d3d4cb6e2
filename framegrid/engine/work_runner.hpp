// Runs one piece of work to its end, blocking: what an executor process does with each request.
#pragma once

#include <string>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/engine/model_source.hpp>
#include <framegrid/engine/parameters.hpp>

namespace framegrid::engine {

struct WorkSettings {
    std::int64_t input_pixels_max = 4096 * 4096;  // of a picture
    std::int64_t output_pixels_max =
        std::int64_t{16} * 3840 * 2160;             // of a picture or a frame: 4x of 4K, 400 MB
    std::string upscale_model = "framegrid/sr-2x";  // when the request names none
};

// Thread rule: run() may be called by one thread at a time; the ports decide what runs in parallel inside.
class WorkRunner {
  public:
    WorkRunner(
        api::Transcoder& transcoder, api::MediaCodec& codec, ModelSource& models, WorkSettings settings = {}
    )
        : transcoder_(transcoder), codec_(codec), models_(models), settings_(std::move(settings)) {}

    // Blocking. kNotFound: unknown pipeline or model (named); kInvalidArgument: parameters (field named);
    // kUnprocessable: the input is neither a picture nor a video; kTooLarge; kCancelled soon after `stop` is
    // set. `early`: as api::Transcoder says.
    Result<api::WorkOutput> run(
        const api::Work& work, const api::StopFlag& stop, const api::ArtifactSink& early = nullptr
    );
    void end_session(const std::string& session_id) { transcoder_.end_session(session_id); }

  private:
    Result<api::WorkOutput> run_ai(const api::AiWork& work, const Blob& input, const api::StopFlag& stop);
    Result<api::WorkOutput> upscale_picture(
        ModelLease& lease, const UpscaleParameters& parameters, const Blob& input, const api::StopFlag& stop
    );
    Result<api::WorkOutput> upscale_video(
        ModelLease& lease, const UpscaleParameters& parameters, const Blob& input, const api::StopFlag& stop
    );

    api::Transcoder& transcoder_;
    api::MediaCodec& codec_;
    ModelSource& models_;
    WorkSettings settings_;
};

}  // namespace framegrid::engine
