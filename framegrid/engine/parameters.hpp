// The parameters of AI requests, as clients write them: form fields arrive as text, JSON bodies as typed
// values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>

namespace framegrid::engine {

// POST /upscale (AI API, section 2.4) without its file.
struct UpscaleParameters {
    std::string prompt;    // accepted for compatibility; the network has no use for it
    std::string model_id;  // empty: the default
    bool safety_check = true;
    std::optional<std::int64_t> seed;  // absent also for 0, as peers treat it
    int num_inference_steps = 75;
};

// A JSON object; empty text is an empty object. Each value may be typed or text ("true", "42"); empty text
// and null mean absent. Unknown keys are ignored. kInvalidArgument names the field.
Result<UpscaleParameters> parse_upscale_parameters(std::string_view json);

inline constexpr std::size_t kParametersBytesMax = 256 * 1024;

}  // namespace framegrid::engine
