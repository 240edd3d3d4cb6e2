// POST /upscale (AI API section 2.4): pictures, and video segments between our own tools.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/rest/results_store.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::rest {

// What the form asks for. Empty fields count as absent (section 1.2).
struct UpscaleForm {
    std::string model_id;  // empty: the default
    std::string prompt;
    bool safety_check = true;
    std::int64_t seed = 0;  // 0: not given
    std::int64_t num_inference_steps = 75;
    Blob file;
    bool is_video = false;
};

// Fields may come in any order; unknown ones are ignored; declared types of files are ignored, content is
// looked at. kInvalidArgument or kUnprocessable with the field's name. Cheap: reads headers, not pixels.
Result<UpscaleForm> read_upscale_form(const std::vector<http::Part>& parts, std::int64_t image_pixels_max);

class Upscale {
  public:
    Upscale(
        gateway::Gateway& gateway, ResultsStore& results, WorkPool& pool, Clock& clock, Random& random,
        AiSettings settings, Duration upload_time_max, std::string public_url, Logger log
    );
    // {"images":[{"url","seed","nsfw"}]} with an absolute URL; the bytes themselves when Accept asks for
    // their type.
    Task<Answer> post(Call& call);

  private:
    Task<Result<UpscaleForm>> read_form(Call& call);
    Answer answer(Call& call, api::Artifact artifact, std::int64_t seed);

    gateway::Gateway& gateway_;
    ResultsStore& results_;
    WorkPool& pool_;
    Clock& clock_;
    Random& random_;
    const AiSettings settings_;
    const Duration upload_time_max_;
    const std::string public_url_;
    Logger log_;
};

}  // namespace framegrid::rest
