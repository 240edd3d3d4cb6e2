// Upscaling a picture or a whole video through a gateway.
#pragma once

#include <string>

#include <framegrid/app/gateway_client.hpp>
#include <framegrid/app/transcode_job.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct UpscaleJobOptions {
    host::Path input;
    host::Path output;     // .png for pictures, .mp4 for videos
    std::string model_id;  // "framegrid/sr-2x"
    int parallel = 0;      // video segments in flight; 0: from what the network offers
    std::int64_t segment_ms = 1'000;
    Duration item_time_max = std::chrono::minutes(15);  // for one picture or segment, retries included
};

struct UpscaleReport {
    bool video = false;
    std::uint64_t segments = 0;
    std::uint64_t client_retries = 0;
    double media_seconds = 0;
    double wall_seconds = 0;
    std::uint64_t bytes = 0;
};

Task<Result<UpscaleReport>> upscale_file(
    Session& session, GatewayClient& gateway, UpscaleJobOptions options, Progress progress
);

}  // namespace framegrid::app
