#include <framegrid/workflow/plan.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/json.hpp>

#include <framegrid/base/bytes.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::workflow {

namespace {

namespace json = boost::json;

constexpr std::string_view kSeed = "seed";
constexpr std::int64_t kSeedMask = (std::int64_t{1} << 53) - 1;

// Pipelines whose results depend on a seed. Super-resolution accepts one and does not use it.
bool draws(const Action& action) {
    return action.pipeline != nullptr && action.pipeline->capability != job::Capability::kUpscale &&
           find_parameter(action, kSeed) != nullptr;
}

Result<void> check_bounds(const InputDecl& input, const Artifact& file) {
    const Bounds& bounds = input.bounds;
    const std::string field = "inputs." + input.name;
    if (file.width > bounds.width || file.height > bounds.height) {
        return fail(
            Errc::kTooLarge,
            "is larger than " + std::to_string(bounds.width) + "x" + std::to_string(bounds.height), field
        );
    }
    if (file.duration_ms > bounds.duration_ms) {
        return fail(
            Errc::kTooLarge, "is longer than " + std::to_string(bounds.duration_ms / 1000) + " s", field
        );
    }
    if (file.frames > bounds.fps * (file.duration_ms + 1000) / 1000) {
        return fail(
            Errc::kTooLarge, "has more than " + std::to_string(bounds.fps) + " frames per second", field
        );
    }
    return {};
}

// The largest file that the input allows.
Artifact largest(const InputDecl& input) {
    Artifact file;
    file.kind = input.type.kind;
    if (file.kind == Kind::kImage || file.kind == Kind::kVideo) {
        file.width = input.bounds.width;
        file.height = input.bounds.height;
    }
    if (file.kind == Kind::kVideo) {
        file.duration_ms = input.bounds.duration_ms;
        file.frames = input.bounds.fps * file.duration_ms / 1000;
    }
    return file;
}

Result<Value> check_input(const InputDecl& input, Value value, bool files_may_miss) {
    const std::string field = "inputs." + input.name;
    if (std::holds_alternative<std::monostate>(value)) {
        value = input.default_value;
    }
    if (std::holds_alternative<std::monostate>(value)) {
        if (!files_may_miss || !is_media(input.type.kind)) {
            return fail(Errc::kInvalidArgument, "input " + input.name + " is missing", field);
        }
        const auto count = static_cast<std::size_t>(input.bounds.count);
        return input.type.list ? Value(std::vector<Artifact>(count, largest(input))) : Value(largest(input));
    }
    if (!fits(value, input.type)) {
        return fail(
            Errc::kInvalidArgument, "input " + input.name + " must be " + to_string(input.type), field
        );
    }
    if (const auto* file = std::get_if<Artifact>(&value)) {
        FG_CHECK(check_bounds(input, *file));
    } else if (const auto* files = std::get_if<std::vector<Artifact>>(&value)) {
        if (std::cmp_greater(files->size(), input.bounds.count)) {
            return fail(Errc::kTooLarge, "more than " + std::to_string(input.bounds.count) + " files", field);
        }
        for (const auto& one : *files) {
            FG_CHECK(check_bounds(input, one));
        }
    }
    return value;
}

const Artifact* first_file(const Work& work) {
    return work.inputs.empty() || work.inputs.front().files.empty() ? nullptr
                                                                    : &work.inputs.front().files.front();
}

std::vector<media::VideoProfile> profiles_of(const Work& work) {
    auto profiles = read_profiles(work.parameters.text("profiles"));
    return profiles ? *std::move(profiles) : std::vector<media::VideoProfile>{};
}

std::int64_t round_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

Artifact picture(std::int64_t width, std::int64_t height) {
    Artifact out;
    out.kind = Kind::kImage;
    out.width = static_cast<int>(width);
    out.height = static_cast<int>(height);
    return out;
}

// A generated video. What is not asked for is the model's choice: the network's assumption is used.
Expected film(const Work& work, std::int64_t width, std::int64_t height, std::int64_t frames) {
    const auto& parameters = work.parameters;
    Artifact out =
        picture(parameters.integer("width").value_or(width), parameters.integer("height").value_or(height));
    out.kind = Kind::kVideo;
    out.frames = parameters.integer("num_frames").value_or(frames);
    out.duration_ms = round_up(out.frames * 1000, parameters.integer("fps").value_or(1));
    const bool exact = parameters.integer("width") && parameters.integer("height") &&
                       parameters.integer("num_frames") && parameters.integer("fps");
    return {{out}, exact};
}

Expected of_transcode(const Work& work, const Artifact& in) {
    Expected out;
    for (const auto& profile : profiles_of(work)) {
        const auto size = media::output_size({in.width, in.height}, profile);
        Artifact file = in;
        file.width = size.width;
        file.height = size.height;
        if (profile.fps_num > 0) {
            file.frames =
                round_up(in.duration_ms * profile.fps_num, std::int64_t{1000} * profile.fps_den) + 1;
        }
        out.files.push_back(file);
    }
    out.exact = false;  // frames may be dropped or repeated
    return out;
}

// A cut comes at the first keyframe at or after segment_ms, so that there are not more than this, and their
// frames are those of the whole. Fewer, longer segments round up less than a second each.
Expected of_split(const Work& work, const Artifact& in) {
    const auto segment_ms = work.parameters.integer("segment_ms").value_or(kSegmentMsDefault);
    const auto count = std::clamp<std::int64_t>(round_up(in.duration_ms, segment_ms), 1, kItemsMax);
    Artifact part = in;
    part.duration_ms = std::min(in.duration_ms, segment_ms + 1000);
    part.frames = round_up(in.frames, count);
    return {std::vector<Artifact>(static_cast<std::size_t>(count), part), false};
}

Expected of_join(const Work& work) {
    Artifact out;
    out.kind = Kind::kVideo;
    for (const auto& part : work.inputs.front().files) {
        out.width = std::max(out.width, part.width);
        out.height = std::max(out.height, part.height);
        out.duration_ms += part.duration_ms;
        out.frames += part.frames;
    }
    return {{out}, true};
}

Expected of_contact_sheet(const Work& work) {
    const auto& images = work.inputs.front().files;
    const auto columns = work.parameters.integer("columns").value_or(kColumnsDefault);
    const auto tile = work.parameters.integer("tile_width").value_or(kTileWidthDefault);
    std::int64_t tile_height = 0;
    for (const auto& image : images) {
        tile_height = std::max(tile_height, round_up(tile * image.height, std::max(image.width, 1)));
    }
    const auto rows = round_up(static_cast<std::int64_t>(images.size()), columns);
    return {{picture(columns * tile, std::min<std::int64_t>(rows * tile_height, 65'535))}, false};
}

Expected of_local(const Work& work, const Artifact& in) {
    const std::string& name = work.action->name;
    if (name == "split") {
        return of_split(work, in);
    }
    if (name == "join") {
        return of_join(work);
    }
    if (name == "contact-sheet") {
        return of_contact_sheet(work);
    }
    if (name == "frames") {
        const auto count = work.parameters.integer("max").value_or(kCutsDefault);
        return {std::vector<Artifact>(static_cast<std::size_t>(count), picture(in.width, in.height)), false};
    }
    Artifact out = in;
    out.kind = work.action->gives;
    if (out.kind != Kind::kVideo) {
        out = Artifact{};
        out.kind = work.action->gives;
    } else if (work.parameters.text("mode") == "there-and-back") {
        out.frames *= 2;
        out.duration_ms *= 2;
    }
    return {{out}, true};
}

Expected of_pipeline(const Work& work, const Offer& offer, const Artifact& in) {
    const auto& parameters = work.parameters;
    const auto images = static_cast<std::size_t>(parameters.integer(kImagesParameter).value_or(1));
    switch (work.action->pipeline->capability) {
        case job::Capability::kTextToImage: {
            const auto width = parameters.integer("width");
            const auto height = parameters.integer("height");
            return {
                std::vector<Artifact>(images, picture(width.value_or(512), height.value_or(512))),
                width && height
            };
        }
        case job::Capability::kImageToVideo:
            return film(work, 1024, 576, 25);
        case job::Capability::kTextToVideo:
            return film(work, 512, 512, 16);
        case job::Capability::kUpscale: {
            Artifact out = in;
            out.width *= offer.scale;
            out.height *= offer.scale;
            return {{out}, true};
        }
        case job::Capability::kFrameInterpolation: {
            Artifact out = in;
            const auto fps = parameters.integer("fps");
            out.frames = fps ? round_up(in.duration_ms * *fps, 1000) + 1
                             : in.frames * parameters.integer("multiplier").value_or(2);
            return {{out}, false};
        }
        default:
            return {std::vector<Artifact>(images, picture(in.width, in.height)), true};
    }
}

}  // namespace

Result<Values> check_inputs(const Workflow& workflow, Values values, bool files_may_miss) {
    for (const auto& [name, value] : values) {
        if (workflow.find_input(name) == nullptr) {
            return fail(Errc::kInvalidArgument, "the workflow has no such input", "inputs." + name);
        }
    }
    Values out;
    for (const auto& input : workflow.inputs) {
        const auto given = values.find(input.name);
        FG_TRY(
            value,
            check_input(input, given == values.end() ? Value{} : std::move(given->second), files_may_miss)
        );
        out.emplace(input.name, std::move(value));
    }
    return out;
}

Resolved resolve_inputs(const StepDecl& step, const Source& source) {
    Resolved out;
    out.work.action = step.action;
    out.work.model = step.model;
    for (const auto& slot : step.action->inputs) {
        const auto binding = std::ranges::find(step.inputs, slot.name, &Binding::name);
        if (binding == step.inputs.end()) {
            continue;
        }
        Outcome found = evaluate(binding->expression, source);
        if (!found.is_ready()) {
            out.state = found.state;
            return out;
        }
        WorkInput input{slot.name, {}};
        if (auto* one = std::get_if<Artifact>(&found.value)) {
            input.files.push_back(std::move(*one));
        } else if (auto* many = std::get_if<std::vector<Artifact>>(&found.value)) {
            input.files = std::move(*many);
        }
        if (input.files.empty()) {  // of a list: all of its items were skipped
            out.state = Outcome::State::kAbsent;
            return out;
        }
        out.work.inputs.push_back(std::move(input));
    }
    out.state = Outcome::State::kReady;
    return out;
}

Result<Resolved> resolve(
    const StepDecl& step, const Source& source, std::int64_t workflow_seed, std::int64_t item_index
) {
    Resolved out = resolve_inputs(step, source);
    if (out.state != Outcome::State::kReady) {
        return out;
    }
    Values parameters;
    for (const auto& binding : step.parameters) {
        Outcome found = evaluate(binding.expression, source);
        if (!found.is_ready()) {
            out.state = found.state;
            return out;
        }
        parameters.emplace(binding.name, std::move(found.value));
    }
    auto read = read_parameters(*step.action, parameters);
    if (!read) {
        Error error = std::move(read).error();
        error.field = step.path + ".parameters." + error.field;
        return fail(std::move(error).with_context("step " + step.id));
    }
    out.work.parameters = std::move(*read);
    if (draws(*step.action) && !out.work.parameters.integer(kSeed)) {
        out.work.parameters.set(std::string(kSeed), derive_seed(workflow_seed, step.id, item_index));
    }
    return out;
}

Pixels payable_units(const Work& work) {
    const Artifact* in = first_file(work);
    if (work.action->local) {
        return {0};
    }
    if (work.action->pipeline == nullptr) {
        return media::estimate_pixels(profiles_of(work), in == nullptr ? 0 : in->duration_ms);
    }
    const media::Size size = in == nullptr ? media::Size{} : media::Size{in->width, in->height};
    Pixels units = job::payable_units(*work.action->pipeline, work.parameters, size);
    if (in != nullptr && in->kind == Kind::kVideo) {
        units.value *= std::max<std::int64_t>(in->frames, 1);
    }
    return units;
}

std::optional<std::int64_t> wei_for(Pixels units, Price price) {
    __extension__ using Wide = __int128;
    const Wide wei = (static_cast<Wide>(units.value) * price.wei + price.units - 1) / price.units;
    if (wei > std::numeric_limits<std::int64_t>::max()) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(wei);
}

std::string content_key(const Work& work, std::string_view model_digest) {
    json::object inputs;
    std::vector<const WorkInput*> sorted;
    for (const auto& input : work.inputs) {
        sorted.push_back(&input);
    }
    std::ranges::sort(sorted, {}, [](const WorkInput* input) { return input->name; });
    for (const auto* input : sorted) {
        json::array digests;
        for (const auto& file : input->files) {
            digests.emplace_back(file.digest);
        }
        inputs[input->name] = std::move(digests);
    }
    // Members in alphabetical order; the format's version is part of it.
    const std::string text = json::serialize(json::object{
        {"action", work.action->name},
        {"inputs", std::move(inputs)},
        {"model", work.model},
        {"model_digest", model_digest},
        {"parameters", work.parameters.to_json()},
        {"version", 1}
    });
    return crypto::hex(crypto::sha256(as_bytes(text)));
}

std::int64_t derive_seed(std::int64_t workflow_seed, std::string_view step, std::int64_t item_index) {
    const std::string text = "framegrid seed/" + std::to_string(workflow_seed) + "/" + std::string(step) +
                             "/" + std::to_string(item_index);
    const auto digest = crypto::sha256(as_bytes(text));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        value = value << 8 | digest[i];
    }
    return static_cast<std::int64_t>(value & static_cast<std::uint64_t>(kSeedMask));
}

Expected expected_results(const Work& work, const Offer& offer) {
    const Artifact* first = first_file(work);
    const Artifact in = first == nullptr ? Artifact{} : *first;
    Expected out;
    if (work.action->local) {
        out = of_local(work, in);
    } else if (work.action->pipeline == nullptr) {
        out = of_transcode(work, in);
    } else {
        out = of_pipeline(work, offer, in);
    }
    for (auto& file : out.files) {
        file.digest.clear();
        file.content_type.clear();
        file.bytes = 0;
    }
    return out;
}

const Artifact* passed_on(const StepDecl& step, const Work& work) {
    const bool one = !step.many() && work.inputs.size() == 1 && work.inputs.front().files.size() == 1;
    return one && work.inputs.front().files.front().kind == step.gives ? first_file(work) : nullptr;
}

}  // namespace framegrid::workflow
