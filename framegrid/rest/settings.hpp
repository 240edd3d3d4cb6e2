// What a gateway's operator can choose about its public API.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <framegrid/media/profile.hpp>
#include <framegrid/rest/streams.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::rest {

struct IngestSettings {
    std::size_t segment_bytes_max = media::kSegmentBytesMax;
    // A look into the segment before it is given to anybody, with the wait for its turn.
    Duration probe_time_max = std::chrono::seconds(10);
    // The whole job, all attempts: max(transcode_time_min, transcode_time_factor x duration) x
    // timeoutMultiplier, at most transcode_time_max.
    Duration transcode_time_min = std::chrono::seconds(30);
    int transcode_time_factor = 8;
    Duration transcode_time_max = std::chrono::minutes(30);
    StreamSettings streams;
};

struct AiSettings {
    // Pipeline -> model when a request names none; others have what job::PipelineSpec says.
    std::map<std::string, std::string> default_models{};
    std::size_t body_bytes_max = 310'000'000;
    std::int64_t image_pixels_max = 100'000'000;  // as declared by the picture's header
    Duration time_max = std::chrono::minutes(10);
    std::size_t results_bytes_max = 256u << 20;  // results behind GET /stream/{id}/{name}
    Duration results_life = std::chrono::hours(1);
    std::size_t echo_bytes_max = 16u << 20;
    Duration echo_time_max = std::chrono::seconds(30);
};

struct RestSettings {
    std::string version = "0";
    std::string
        public_url;  // "https://media.example": origin of result URLs; empty: as the request addressed us
    // With authentication: /stream/ without a key, because players send none. False: streams to their owners
    // only, results to whoever has a key and knows the URL.
    bool playback_open = true;
    // Origins whose pages may use the API ("https://app.example", or "*"); /stream/ allows all of them
    // always, because players run in browsers.
    std::vector<std::string> cors_origins{};
    std::size_t jobs_max = 2'000;             // requests of jobs at once; more get 503
    std::size_t memory_bytes_max = 2u << 30;  // request and result bodies at once; more get 503
    Duration upload_time_max = std::chrono::minutes(5);
    Duration sweep_period = std::chrono::seconds(1);
    std::size_t status_orchestrators_max = 500;  // listed by /status
    IngestSettings ingest;
    AiSettings ai;
};

}  // namespace framegrid::rest
