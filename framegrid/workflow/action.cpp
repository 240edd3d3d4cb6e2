#include <framegrid/workflow/action.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/media/profile.hpp>
#include <framegrid/workflow/value_json.hpp>

namespace framegrid::workflow {

namespace {

namespace json = boost::json;
using enum job::ParameterType;

constexpr std::size_t kProfilesBytesMax = 8192;
constexpr std::string_view kProfiles = "profiles";

constexpr job::ParameterSpec kProfileList{
    kProfiles, kText, 0,  kProfilesBytesMax,
    1,         true,  {}, "preset names with commas between them, or a JSON array of profiles"
};
constexpr job::ParameterSpec kSegmentMs{"segment_ms",
                                        kInteger,
                                        500,
                                        60'000,
                                        1,
                                        false,
                                        {},
                                        "cut at the first keyframe from here on; default 4000"};
constexpr job::ParameterSpec kThreshold{
    "threshold", kNumber, 0, 1, 1, false, {}, "how much must change, 0 to 1; default 0.3"
};
constexpr job::ParameterSpec kCutsMax{"max", kInteger, 1, 1000, 1, false, {}, "cuts to find; default 64"};
constexpr job::ParameterSpec kFramesMax{"max", kInteger, 1, 1000, 1, false, {}, "frames to take; default 64"};
constexpr job::ParameterSpec kFormat{
    "output_format", kText, 0, 8, 1, false, "png|jpeg|webp", "file format: png, jpeg or webp"
};
constexpr job::ParameterSpec kColumns{"columns", kInteger, 1,  32,
                                      1,         false,    {}, "pictures in a row; default 4"};
constexpr job::ParameterSpec kTileWidth{
    "tile_width", kInteger, 32, 1024, 2, false, {}, "pixels of each picture; default 320"
};
constexpr job::ParameterSpec kPlaylistMs{
    "segment_ms", kInteger, 500, 60'000, 1, false, {}, "of the playlist's segments; default 4000"
};
constexpr job::ParameterSpec kLoops{
    "mode", kText, 0, 16, 1, false, "repeat|there-and-back", "repeat, or forwards and then backwards"
};
constexpr job::ParameterSpec kVideoFormat{
    "output_format", kText, 0, 8, 1, false, "mp4|webm", "file format: mp4 (H.264) or webm (VP9)"
};

// Set by the step's own fields, or not offered yet.
bool is_hidden(std::string_view parameter) {
    return parameter == "model_id" || parameter == "loras" || parameter == job::kMaskParameter;
}

Action of_pipeline(const job::PipelineSpec& spec) {
    Action out;
    out.name = spec.name;
    out.pipeline = &spec;
    out.title = spec.title;
    for (const auto& file : spec.files) {
        const Kind kind = file.kind == job::FileKind::kVideo ? Kind::kVideo : Kind::kImage;
        out.inputs.push_back({std::string(file.name), kind, false});
    }
    out.any_one = spec.files.size() > 1;
    if (spec.wants_mask) {
        out.inputs.push_back({"mask", Kind::kImage, false});
    }
    out.gives = spec.gives_video ? Kind::kVideo : Kind::kImage;
    out.gives_as_input = out.any_one;
    for (const auto& parameter : spec.parameters) {
        if (!is_hidden(parameter.name)) {
            out.parameters.push_back(parameter);
        }
    }
    return out;
}

Action local(
    std::string name, std::string title, std::vector<Slot> inputs, Kind gives,
    std::vector<job::ParameterSpec> parameters
) {
    Action out;
    out.name = std::move(name);
    out.local = true;
    out.title = std::move(title);
    out.inputs = std::move(inputs);
    out.gives = gives;
    out.parameters = std::move(parameters);
    return out;
}

std::vector<Action> make_actions() {
    std::vector<Action> out;
    for (const auto& spec : job::pipelines()) {
        out.push_back(of_pipeline(spec));
    }
    const Slot video{"video", Kind::kVideo, false};
    Action transcode = local(
        std::string(kTranscode), "Encode a video in other sizes and rates", {video}, Kind::kVideo,
        {kProfileList}
    );
    transcode.local = false;
    transcode.gives_list = true;
    out.push_back(std::move(transcode));
    Action split =
        local("split", "Cut a video into segments at keyframes", {video}, Kind::kVideo, {kSegmentMs});
    split.gives_list = true;
    out.push_back(std::move(split));
    out.push_back(local(
        "join", "Put segments together to one video", {{"segments", Kind::kVideo, true}}, Kind::kVideo,
        {kVideoFormat}
    ));
    out.push_back(
        local("scene-cuts", "Find where scenes begin", {video}, Kind::kTimes, {kThreshold, kCutsMax})
    );
    Action frames = local(
        "frames", "Take the pictures at some times", {video, {"times", Kind::kTimes, false}}, Kind::kImage,
        {kFramesMax, kFormat}
    );
    frames.gives_list = true;
    out.push_back(std::move(frames));
    out.push_back(local(
        "contact-sheet", "Many pictures on one", {{"images", Kind::kImage, true}}, Kind::kImage,
        {kColumns, kTileWidth, kFormat}
    ));
    out.push_back(local(
        "hls", "Playlists and segments for players", {{"renditions", Kind::kVideo, true}}, Kind::kPlaylist,
        {kPlaylistMs}
    ));
    out.push_back(local("loop", "A video that repeats without a seam (WebM)", {video}, Kind::kVideo, {kLoops})
    );
    return out;
}

const std::vector<Action>& table() {
    static const std::vector<Action> all = make_actions();
    return all;
}

// The action's parameters as the table's reader wants them.
job::PipelineSpec spec_of(const Action& action) {
    job::PipelineSpec spec;
    spec.name = action.name;
    spec.parameters = action.parameters;
    return spec;
}

Result<void> check_profiles(std::string_view text) {
    auto profiles = read_profiles(text);
    if (!profiles) {
        return fail(std::move(profiles).error());
    }
    if (profiles->empty() || profiles->size() > media::kProfilesMax) {
        return fail(
            Errc::kInvalidArgument, "between 1 and " + std::to_string(media::kProfilesMax) + " profiles",
            std::string(kProfiles)
        );
    }
    return {};
}

}  // namespace

Result<std::vector<media::VideoProfile>> read_profiles(std::string_view text) {
    return text.starts_with("[") ? media::parse_profiles(text) : media::parse_presets(text);
}

std::span<const Action> actions() {
    return table();
}

const Action* find_action(std::string_view name) {
    const auto at = std::ranges::find(table(), name, &Action::name);
    return at == table().end() ? nullptr : &*at;
}

const job::ParameterSpec* find_parameter(const Action& action, std::string_view name) {
    const auto at = std::ranges::find(action.parameters, name, &job::ParameterSpec::name);
    return at == action.parameters.end() ? nullptr : &*at;
}

Result<void> check_parameter(const job::ParameterSpec& spec, const Value& value) {
    job::PipelineSpec one;
    one.parameters = {spec};
    const std::string text = json::serialize(json::object{{spec.name, scalar_json(value)}});
    FG_TRY(read, job::Parameters::from_json(one, text));
    if (spec.name == kProfiles) {
        return check_profiles(read.text(kProfiles));
    }
    return {};
}

Result<job::Parameters> read_parameters(const Action& action, const Values& values) {
    json::object object;
    for (const auto& [name, value] : values) {
        object[name] = scalar_json(value);
    }
    return read_parameters(action, std::string_view(json::serialize(object)));
}

Result<job::Parameters> read_parameters(const Action& action, std::string_view json) {
    FG_TRY(read, job::Parameters::from_json(spec_of(action), json));
    if (action.name == kTranscode) {
        FG_CHECK(check_profiles(read.text(kProfiles)));
    }
    return read;
}

}  // namespace framegrid::workflow
