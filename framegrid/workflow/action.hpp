// What a step can do: the network's pipelines, `transcode`, and operations of the gateway's own media
// process. One view of both: files in, parameters, what comes out.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/media/profile.hpp>
#include <framegrid/workflow/value.hpp>

namespace framegrid::workflow {

struct Slot {
    std::string name;
    Kind kind = Kind::kImage;
    bool list = false;
};

struct Action {
    std::string name;
    bool local = false;                           // by the gateway, free of charge
    const job::PipelineSpec* pipeline = nullptr;  // of the table; null: transcode and local operations
    std::string title;
    std::vector<Slot> inputs;
    bool any_one = false;  // exactly one of `inputs`, else all of them
    Kind gives = Kind::kImage;
    bool gives_list = false;  // any number of results, else exactly as many as parameters say, one without
    bool gives_as_input = false;  // the kind of its input
    std::vector<job::ParameterSpec> parameters;
};

std::span<const Action> actions();
const Action* find_action(std::string_view name);
const job::ParameterSpec* find_parameter(const Action& action, std::string_view name);

inline constexpr std::string_view kTranscode = "transcode";
// The parameter of pictures of one request.
inline constexpr std::string_view kImagesParameter = "num_images_per_prompt";

// A value as this parameter; kInvalidArgument names the parameter. Nothing: absent. Not for kProfiles' text.
Result<void> check_parameter(const job::ParameterSpec& spec, const Value& value);
// All parameters of a step, checked, as canonical JSON (names in alphabetical order).
Result<job::Parameters> read_parameters(const Action& action, const Values& values);
// The same from a JSON object.
Result<job::Parameters> read_parameters(const Action& action, std::string_view json);

// The profiles of a transcode: preset names with commas between them, or a JSON array.
Result<std::vector<media::VideoProfile>> read_profiles(std::string_view text);

// Limits and defaults of local operations.
inline constexpr std::int64_t kSegmentMsDefault = 4000;
inline constexpr std::int64_t kCutsDefault = 64;
inline constexpr double kThresholdDefault = 0.3;
inline constexpr std::int64_t kColumnsDefault = 4;
inline constexpr std::int64_t kTileWidthDefault = 320;

}  // namespace framegrid::workflow
