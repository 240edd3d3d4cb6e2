// The demo's second half: a video from a sentence, enlarged and made smoother.
#pragma once

#include <framegrid/app/demo_checks.hpp>
#include <framegrid/app/gateway_client.hpp>

namespace framegrid::app {

struct GeneratedVideo {
    std::string caption;
    std::int64_t pictures = 0;      // as generated
    std::int64_t pictures_out = 0;  // in the end
    media::Size size;               // as generated
    media::Size size_out;
    double seconds = 0;  // wall time of the three jobs
    std::uint64_t bytes = 0;
    std::vector<DemoCheck> checks;
};

// text-to-video, upscale 2x and frame-interpolation 2x, each as a job of the gateway. Writes
// `output`/generated.mp4 and generated.png, a contact sheet of the frames before and after.
Task<Result<GeneratedVideo>> generate_video(Session& session, GatewayClient& gateway, host::Path output);

}  // namespace framegrid::app
