// A picture or a whole video through an AI pipeline of a gateway; videos go piece by piece.
#pragma once

#include <string>

#include <framegrid/app/gateway_client.hpp>
#include <framegrid/app/segment_pump.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct AiFileJobOptions {
    host::Path input;
    host::Path output;     // .png for pictures, .mp4 for videos
    std::string pipeline;  // one that takes a picture or a video
    std::vector<std::pair<std::string, std::string>> parameters{};
    // The pipeline works between neighbouring pictures: each piece also gets the first one of the next.
    bool between_pictures = false;
    int parallel = 0;  // video segments in flight; 0: from what the network offers
    std::int64_t segment_ms = 1'000;
    Duration item_time_max = std::chrono::minutes(15);  // for one picture or segment, retries included
};

struct AiFileReport {
    bool video = false;
    std::uint64_t segments = 0;
    std::uint64_t client_retries = 0;
    double media_seconds = 0;
    double wall_seconds = 0;
    std::uint64_t bytes = 0;
};

Task<Result<AiFileReport>> run_ai_file(
    Session& session, GatewayClient& gateway, AiFileJobOptions options, Progress progress
);

}  // namespace framegrid::app
