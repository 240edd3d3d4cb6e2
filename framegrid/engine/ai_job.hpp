// One AI job on its way through an executor: what every pipeline is given, and what all of them share.
#pragma once

#include <mutex>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/engine/inference_queue.hpp>
#include <framegrid/engine/model_source.hpp>
#include <framegrid/engine/working_memory.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::engine {

struct WorkSettings {
    std::int64_t input_pixels_max = 4096 * 4096;  // of a picture
    std::int64_t output_pixels_max =
        std::int64_t{16} * 3840 * 2160;  // of a picture or a frame: 4x of 4K, 400 MB
    TurnLimits turns{};
    Batching batching = Batching::kExact;
    std::int64_t working_memory_bytes = 1'500'000'000;  // of all jobs of the process, beside their models
};

struct AiJob {
    ModelLease& lease;
    const job::Parameters& parameters;
    const Blob& input;  // empty for pipelines without one
    api::MediaCodec& codec;
    const WorkSettings& settings;
    const api::StopFlag& stop;
    InferenceQueue::Seat& seat;         // every call of a network takes a turn
    WorkingMemory& memory;              // taken once the job knows how large it is
    std::mutex& loading;                // held while something is loaded that stays with the model
    const api::ProgressSink& progress;  // may be empty
    int preview_steps = 0;              // 0: no previews
};

// The pipelines. Blocking; kCancelled soon after `stop` is set; kInvalidArgument names the field.
Result<api::WorkOutput> run_upscale(const AiJob& job);
Result<api::WorkOutput> run_interpolation(const AiJob& job);
// text-to-image, image-to-image, inpaint
Result<api::WorkOutput> run_image_generation(const job::PipelineSpec& spec, const AiJob& job);
// text-to-video, image-to-video
Result<api::WorkOutput> run_video_generation(const job::PipelineSpec& spec, const AiJob& job);

// The seed that the client gave, or 0.
std::int64_t seed_of(const AiJob& job);
// A picture as the format that the client asked for (PNG when it did not).
Result<api::Artifact> picture_artifact(const AiJob& job, const api::RgbImage& image, std::int64_t seed);
// The input as a picture. kInvalidArgument "image": there is none.
Result<api::RgbImage> input_picture(const AiJob& job, std::int64_t pixels_max);
Pixels pixels_of(const api::RgbImage& image);
// What a video's codecs hold for frames of this size on their way in and out, bytes.
std::int64_t video_memory(std::int64_t pixels_in, std::int64_t pixels_out);

}  // namespace framegrid::engine
