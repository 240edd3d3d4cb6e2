#include <framegrid/job/pipelines.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/base/utf8.hpp>

namespace framegrid::job {

namespace {

namespace json = boost::json;

constexpr std::size_t kPromptBytesMax = 16 * 1024;
constexpr double kSeedMax =
    static_cast<double>((std::int64_t{1} << 53) - 1);  // JavaScript rounds larger ones
constexpr int kSideMin = 32;
constexpr int kSideMax = 4096;
constexpr int kStepsMax = 1000;
constexpr int kImagesMax = 16;
constexpr int kFramesMax = 128;
constexpr int kFpsMax = 120;
constexpr std::int64_t kDefaultSide = 512;  // what peers assume when a size is missing

using enum ParameterType;

constexpr ParameterSpec kPrompt{"prompt", kText, 0, kPromptBytesMax, 1, true, {}, "what to show"};
constexpr ParameterSpec kPromptIfAny{"prompt", kText, 0, kPromptBytesMax, 1, false, {}, "what should happen"};
constexpr ParameterSpec kModelId{"model_id", kText, 0, 128, 1, false, {}, "the model; empty: the default"};
constexpr ParameterSpec kLoras{"loras", kText, 0, 4096, 1, false, {}, "adapters; none are offered yet"};
constexpr ParameterSpec kWidth{"width", kInteger, kSideMin, kSideMax, 8, false, {}, "pixels"};
constexpr ParameterSpec kHeight{"height", kInteger, kSideMin, kSideMax, 8, false, {}, "pixels"};
constexpr ParameterSpec kGuidance{
    "guidance_scale", kNumber, 0, 100, 1, false, {}, "how closely to follow the prompt"
};
constexpr ParameterSpec kImageGuidance{
    "image_guidance_scale", kNumber, 0, 100, 1, false, {}, "for models that edit by instruction"
};
constexpr ParameterSpec kNegative{"negative_prompt", kText, 0, kPromptBytesMax, 1, false, {},
                                  "what to avoid"};
constexpr ParameterSpec kSafety{
    "safety_check", kBoolean, 0, 0, 1, false, {}, "accepted; nothing is checked yet"
};
constexpr ParameterSpec kSeed{
    "seed",         kInteger, 0, kSeedMax, 1, false, {}, "the same seed gives the same result; absent: drawn",
    Below::kWrapped
};
constexpr ParameterSpec kSteps{
    "num_inference_steps", kInteger, 1, kStepsMax, 1, false, {}, "denoising steps; absent: the model's",
    Below::kAbsent
};
constexpr ParameterSpec kImages{"num_images_per_prompt",   kInteger,     1, kImagesMax, 1, false, {},
                                "picture i gets seed + i", Below::kLeast};
constexpr ParameterSpec kStrength{"strength", kNumber, 0,  1,
                                  1,          false,   {}, "how much of the picture may change, 0 to 1"};
constexpr ParameterSpec kFps{"fps", kInteger, 1, kFpsMax, 1, false, {}, "frames per second of the result"};
constexpr ParameterSpec kFrames{"num_frames", kInteger, 1, kFramesMax, 1, false, {}, "frames to make"};
constexpr ParameterSpec kMotion{
    "motion_bucket_id", kInteger, 0, 255, 1, false, {}, "how much motion, for models that know it",
    Below::kLeast
};
constexpr ParameterSpec kNoiseAugmentation{
    "noise_aug_strength", kNumber, 0, 10, 1, false, {}, "noise on the input, for models that know it"
};
constexpr ParameterSpec kImageFormat{
    "output_format", kText, 0, 8, 1, false, "png|jpeg|webp", "file format: png, jpeg or webp"
};
constexpr ParameterSpec kVideoFormat{
    "output_format", kText, 0, 8, 1, false, "mp4|webm", "file format: mp4 (H.264) or webm (VP9)"
};
constexpr ParameterSpec kMask{
    kMaskParameter,        kText, 0, static_cast<double>(kMaskBytesMax) * 4 / 3 + 64, 1, true, {},
    "white where to paint"
};
constexpr ParameterSpec kMultiplier{
    "multiplier", kInteger, 2, 16, 1, false, {}, "frames out for each frame in, when fps is absent"
};

constexpr ParameterSpec kOpenEnd{
    "open_end", kBoolean, 0, 0, 1, false, {}, "the last picture belongs to the next piece of the video"
};

std::vector<PipelineSpec> make_pipelines() {
    const std::vector<ParameterSpec> generate = {kPrompt,   kModelId, kLoras, kWidth, kHeight, kGuidance,
                                                 kNegative, kSafety,  kSeed,  kSteps, kImages, kImageFormat};
    const std::vector<ParameterSpec> change = {kPrompt,   kModelId,       kLoras,    kStrength,
                                               kGuidance, kImageGuidance, kNegative, kSafety,
                                               kSeed,     kSteps,         kImages,   kImageFormat};
    std::vector<ParameterSpec> paint = change;
    paint.push_back(kMask);
    const std::vector<ParameterSpec> animate = {
        kPromptIfAny, kModelId, kWidth, kHeight, kFps,      kMotion,     kNoiseAugmentation,
        kSafety,      kSeed,    kSteps, kFrames, kGuidance, kVideoFormat
    };
    const std::vector<ParameterSpec> film = {kPrompt,   kModelId,  kWidth,  kHeight, kFps,   kFrames,
                                             kGuidance, kNegative, kSafety, kSeed,   kSteps, kVideoFormat};
    const std::vector<FileSpec> picture = {{"image", FileKind::kPicture}};
    const std::vector<FileSpec> video = {{"video", FileKind::kVideo}};
    const std::vector<FileSpec> either = {{"image", FileKind::kPicture}, {"video", FileKind::kVideo}};
    ParameterSpec any_prompt = kPromptIfAny;
    any_prompt.description = "accepted for compatibility";
    any_prompt.stand_in = " ";
    return {
        {"text-to-image",
         Capability::kTextToImage,
         "Make pictures from a description",
         "framegrid/scenes",
         {},
         false,
         false,
         generate},
        {"image-to-image", Capability::kImageToImage, "Change a picture as described", "framegrid/scenes",
         picture, false, false, change},
        {"image-to-video", Capability::kImageToVideo, "Set a picture in motion", "framegrid/motion", picture,
         false, true, animate},
        {"upscale",
         Capability::kUpscale,
         "Enlarge a picture or a video",
         "framegrid/sr-2x",
         either,
         false,
         false,
         {any_prompt, kModelId, kSafety, kSeed, kSteps, kImageFormat}},
        {"inpaint", Capability::kInpaint, "Repaint the white part of a mask", "framegrid/scenes", picture,
         true, false, paint},
        {"text-to-video",
         Capability::kTextToVideo,
         "Make a video from a description",
         "framegrid/motion",
         {},
         false,
         true,
         film},
        {"frame-interpolation",
         Capability::kFrameInterpolation,
         "Raise a video's frame rate",
         "framegrid/interpolate",
         video,
         false,
         true,
         {kModelId, kMultiplier, kFps, kOpenEnd}},
    };
}

const std::vector<PipelineSpec>& table() {
    static const std::vector<PipelineSpec> all = make_pipelines();
    return all;
}

std::unexpected<Error> wrong(const ParameterSpec& spec, std::string_view what) {
    const std::string name(spec.name);
    return fail(Errc::kInvalidArgument, name + " " + std::string(what), name);
}

std::string number_text(double value) {
    return std::to_string(static_cast<std::int64_t>(value));
}

std::unexpected<Error> outside(const ParameterSpec& spec) {
    return wrong(spec, "must be between " + number_text(spec.min) + " and " + number_text(spec.max));
}

// Well-formed UTF-8 without NUL.
bool is_text(std::string_view text) {
    return text.find('\0') == std::string_view::npos && valid_utf8(text) == text;
}

using ReadValue = Result<std::optional<ParameterValue>>;  // nullopt: as if it were not there

ReadValue read_text(const ParameterSpec& spec, std::string_view text) {
    if (!spec.stand_in.empty() && text == spec.stand_in) {
        return std::nullopt;
    }
    if (static_cast<double>(text.size()) > spec.max) {
        return wrong(spec, "is longer than " + number_text(spec.max) + " bytes");
    }
    if (!is_text(text)) {
        return wrong(spec, "is not valid UTF-8");
    }
    for (std::string_view rest = spec.choices; !spec.choices.empty();) {
        const auto bar = rest.find('|');
        if (rest.substr(0, bar) == text) {
            break;
        }
        if (bar == std::string_view::npos) {
            return wrong(spec, "must be one of " + std::string(spec.choices));
        }
        rest.remove_prefix(bar + 1);
    }
    return std::string(text);
}

ReadValue check_integer(const ParameterSpec& spec, std::int64_t value) {
    const auto least = static_cast<std::int64_t>(spec.min);
    if (value < least && spec.below == Below::kAbsent) {
        return std::nullopt;
    }
    if (value < least && spec.below == Below::kLeast) {
        return least;
    }
    if (value < least && spec.below == Below::kWrapped) {
        return (value % kSeedModulus + kSeedModulus) % kSeedModulus;
    }
    if (value < least || value > static_cast<std::int64_t>(spec.max)) {
        return outside(spec);
    }
    if (value % spec.multiple != 0) {
        return wrong(spec, "must be a multiple of " + std::to_string(spec.multiple));
    }
    return value;
}

ReadValue check_number(const ParameterSpec& spec, double value) {
    if (!(value >= spec.min && value <= spec.max)) {  // also what is not a number
        return outside(spec);
    }
    return value;
}

// A truth value as Go's readers and Python's writers spell it.
ReadValue read_boolean(const ParameterSpec& spec, std::string_view text) {
    constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
    constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "false", "FALSE", "False"};
    if (std::ranges::contains(kTrue, text)) {
        return true;
    }
    if (std::ranges::contains(kFalse, text)) {
        return false;
    }
    return wrong(spec, "must be true or false");
}

// A value as a form has it.
ReadValue read_form(const ParameterSpec& spec, std::string_view text) {
    switch (spec.type) {
        case kText:
            return read_text(spec, text);
        case kInteger: {
            std::int64_t value = 0;
            const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc::result_out_of_range) {
                return outside(spec);
            }
            if (error != std::errc{} || at != text.data() + text.size()) {
                return wrong(spec, "must be a whole number");
            }
            return check_integer(spec, value);
        }
        case kNumber: {
            double value = 0;
            const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc::result_out_of_range) {
                return outside(spec);
            }
            if (error != std::errc{} || at != text.data() + text.size()) {
                return wrong(spec, "must be a number");
            }
            return check_number(spec, value);
        }
        case kBoolean:
            return read_boolean(spec, text);
    }
    return wrong(spec, "has an unknown type");
}

ReadValue read_value(const ParameterSpec& spec, const json::value& value) {
    if (value.is_string()) {
        return read_form(spec, std::string_view(value.get_string()));
    }
    if (spec.type == kBoolean && value.is_bool()) {
        return value.get_bool();
    }
    if (spec.type == kBoolean && value.is_int64()) {  // a form's "1" that a peer took for a number
        return read_boolean(spec, std::to_string(value.get_int64()));
    }
    if (spec.type == kInteger && value.is_int64()) {
        return check_integer(spec, value.get_int64());
    }
    if (spec.type == kInteger && value.is_uint64()) {
        return outside(spec);
    }
    if (spec.type == kInteger && value.is_double()) {
        const double number = value.get_double();
        if (!(std::abs(number) <= kSeedMax) || number != std::floor(number)) {
            return wrong(spec, "must be a whole number");
        }
        return check_integer(spec, static_cast<std::int64_t>(number));
    }
    if (spec.type == kNumber && value.is_number()) {
        return check_number(spec, value.to_number<double>());
    }
    switch (spec.type) {
        case kText:
            return wrong(spec, "must be a string");
        case kInteger:
            return wrong(spec, "must be a whole number");
        case kNumber:
            return wrong(spec, "must be a number");
        case kBoolean:
            break;
    }
    return wrong(spec, "must be true or false");
}

Result<void> check_required(const PipelineSpec& spec, const Parameters& parameters) {
    for (const auto& parameter : spec.parameters) {
        if (parameter.required && parameters.text(parameter.name).empty()) {
            return wrong(parameter, "is missing");
        }
    }
    const auto is_odd = [](char c) { return c <= ' ' || c >= 0x7F; };
    if (std::ranges::any_of(parameters.text("model_id"), is_odd)) {
        return fail(
            Errc::kInvalidArgument, "model_id must be printable characters without spaces", "model_id"
        );
    }
    if (const auto loras = parameters.text("loras"); !loras.empty() && loras != "{}") {
        return fail(Errc::kInvalidArgument, "loras are not offered yet; leave the field out", "loras");
    }
    return {};
}

const ParameterSpec* find_parameter(const PipelineSpec& spec, std::string_view name) {
    const auto at = std::ranges::find(spec.parameters, name, &ParameterSpec::name);
    return at == spec.parameters.end() ? nullptr : &*at;
}

template <class T>
std::optional<T> get(
    const std::map<std::string, ParameterValue, std::less<>>& values, std::string_view name
) {
    const auto at = values.find(name);
    if (at == values.end() || !std::holds_alternative<T>(at->second)) {
        return std::nullopt;
    }
    return std::get<T>(at->second);
}

}  // namespace

std::span<const PipelineSpec> pipelines() {
    return table();
}

const PipelineSpec* find_pipeline(std::string_view name) {
    const auto at = std::ranges::find(table(), name, &PipelineSpec::name);
    return at == table().end() ? nullptr : &*at;
}

Result<Parameters> Parameters::from_json(const PipelineSpec& spec, std::string_view text) {
    if (text.size() > kParametersBytesMax) {
        return fail(Errc::kTooLarge, "parameters are over the size limit", "parameters");
    }
    boost::system::error_code error;
    const json::value root = text.empty() ? json::value(json::object{}) : json::parse(text, error);
    if (error) {
        return fail(
            Errc::kInvalidArgument, "parameters are not JSON: " + printable(error.message()), "parameters"
        );
    }
    if (!root.is_object()) {
        return fail(Errc::kInvalidArgument, "parameters must be a JSON object", "parameters");
    }
    Parameters out;
    for (const auto& parameter : spec.parameters) {
        const json::value* value = root.get_object().if_contains(parameter.name);
        if (value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty())) {
            continue;
        }
        FG_TRY(checked, read_value(parameter, *value));
        if (checked) {
            out.set(std::string(parameter.name), *std::move(checked));
        }
    }
    FG_CHECK(check_required(spec, out));
    return out;
}

Result<Parameters> Parameters::from_fields(
    const PipelineSpec& spec, const std::vector<std::pair<std::string, std::string>>& fields
) {
    Parameters out;
    for (const auto& [name, text] : fields) {
        const ParameterSpec* parameter = find_parameter(spec, name);
        if (parameter == nullptr || text.empty()) {
            continue;
        }
        FG_TRY(checked, read_form(*parameter, text));
        if (checked) {
            out.set(name, *std::move(checked));
        }
    }
    FG_CHECK(check_required(spec, out));
    return out;
}

std::string Parameters::text(std::string_view name) const {
    return get<std::string>(values_, name).value_or("");
}

std::optional<std::int64_t> Parameters::integer(std::string_view name) const {
    return get<std::int64_t>(values_, name);
}

std::optional<double> Parameters::number(std::string_view name) const {
    return get<double>(values_, name);
}

std::optional<bool> Parameters::boolean(std::string_view name) const {
    return get<bool>(values_, name);
}

void Parameters::set(std::string name, ParameterValue value) {
    values_.insert_or_assign(std::move(name), std::move(value));
}

std::string Parameters::to_json() const {
    json::object out;
    for (const auto& [name, value] : values_) {
        std::visit([&](const auto& plain) { out[name] = plain; }, value);
    }
    return json::serialize(out);
}

Pixels payable_units(const PipelineSpec& spec, const Parameters& parameters, media::Size input) {
    const std::int64_t images = parameters.integer("num_images_per_prompt").value_or(1);
    const std::int64_t area_in = std::int64_t{input.width} * input.height;
    const auto area_out = [&](std::int64_t width, std::int64_t height) {
        return parameters.integer("width").value_or(width) * parameters.integer("height").value_or(height);
    };
    constexpr std::int64_t kVideoFrames = 25;  // the network's rule, whatever is made
    switch (spec.capability) {
        case Capability::kTextToImage:
            return {area_out(kDefaultSide, kDefaultSide) * images};
        case Capability::kImageToImage:
        case Capability::kInpaint:
            return {area_in * images};
        case Capability::kImageToVideo:
            return {area_out(1024, 576) * kVideoFrames};
        case Capability::kTextToVideo:
            return {area_out(kDefaultSide, kDefaultSide) * parameters.integer("num_frames").value_or(16)};
        default:
            // Nobody who counts opens a video: all are of one size.
            return {area_in > 0 ? area_in : std::int64_t{1024} * 576 * kVideoFrames};
    }
}

}  // namespace framegrid::job
