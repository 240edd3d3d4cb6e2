#include <framegrid/engine/caption_eval.hpp>

#include <algorithm>
#include <array>

#include <boost/json.hpp>

namespace framegrid::engine {

namespace {

namespace json = boost::json;

constexpr std::string_view kPipeline = "text-to-image";
constexpr std::array<std::string_view, 3> kProperties{"colour", "shape", "place"};
constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::int64_t kPixelsMax = 1 << 22;

struct Caption {
    std::string text;
    std::array<std::string, 3> properties;
};

using Classes = std::array<std::vector<std::string>, 3>;

std::unexpected<Error> odd(std::string_view file, std::string_view what) {
    return fail(Errc::kUnprocessable, std::string(file) + " " + std::string(what));
}

Result<json::value> read_json(ModelLease& lease, const std::string& path) {
    FG_TRY(bytes, lease.file(path));
    boost::system::error_code error;
    auto value = json::parse(bytes.text().substr(0, kFileBytesMax), error);
    if (error) {
        return odd(path, "is not JSON");
    }
    return value;
}

Result<std::string> text_at(const json::value& value, std::string_view key) {
    const auto* found = value.is_object() ? value.get_object().if_contains(key) : nullptr;
    if (found == nullptr || !found->is_string()) {
        return odd("captions.json", "has an entry without " + std::string(key));
    }
    return std::string(found->get_string());
}

Result<std::vector<Caption>> read_captions(ModelLease& lease) {
    FG_TRY(root, read_json(lease, "captions.json"));
    if (!root.is_array() || root.get_array().empty()) {
        return odd("captions.json", "is not a list");
    }
    std::vector<Caption> captions;
    for (const auto& entry : root.get_array()) {
        Caption caption;
        FG_TRY(text, text_at(entry, "caption"));
        caption.text = std::move(text);
        for (std::size_t i = 0; i < kProperties.size(); ++i) {
            FG_TRY(property, text_at(entry, kProperties[i]));
            caption.properties[i] = std::move(property);
        }
        captions.push_back(std::move(caption));
    }
    return captions;
}

Result<Classes> read_classes(ModelLease& lease) {
    FG_TRY(root, read_json(lease, "classifier.json"));
    Classes classes;
    for (std::size_t i = 0; i < kProperties.size(); ++i) {
        const auto* list = root.is_object() ? root.get_object().if_contains(kProperties[i]) : nullptr;
        if (list == nullptr || !list->is_array() || list->get_array().empty()) {
            return odd("classifier.json", "lacks " + std::string(kProperties[i]));
        }
        for (const auto& name : list->get_array()) {
            classes[i].emplace_back(name.is_string() ? std::string_view(name.get_string()) : "");
        }
    }
    return classes;
}

// The class of each property.
Result<std::array<std::string, 3>> classify(
    api::TensorModel& classifier, const Classes& classes, const api::RgbImage& image
) {
    if (classifier.inputs().size() != 1 || classifier.outputs().size() != kProperties.size()) {
        return odd("classifier.onnx", "has other inputs or outputs than it should");
    }
    const Window whole{.size = {image.width, image.height}};
    api::Tensor planes{{1, 3, image.height, image.width}, std::vector<float>(3 * whole.plane())};
    put_planes(image, whole, Edges::kRepeat, planes.floats());
    const api::NamedTensor input{classifier.inputs().front().name, &planes};
    FG_TRY(outputs, classifier.run({&input, 1}));
    std::array<std::string, 3> said;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto& logits = outputs[i].floats();
        if (logits.size() != classes[i].size()) {
            return odd("classifier.onnx", "has another number of classes than classifier.json");
        }
        const auto best = std::ranges::max_element(logits) - logits.begin();
        said[i] = classes[i][static_cast<std::size_t>(best)];
    }
    return said;
}

Result<api::RgbImage> make_picture(
    WorkRunner& runner, api::MediaCodec& codec, const CaptionEvalSettings& settings, const Caption& caption,
    std::int64_t seed, const api::StopFlag& stop
) {
    json::object parameters{{"prompt", caption.text}, {"seed", seed}};
    if (settings.steps > 0) {
        parameters["num_inference_steps"] = settings.steps;
    }
    api::Work work;
    work.kind = api::AiWork{std::string(kPipeline), settings.model_id, json::serialize(parameters)};
    FG_TRY(out, runner.run(work, {stop}));
    return codec.decode_image(out.artifacts.front().bytes, kPixelsMax);
}

}  // namespace

bool has_caption_eval(const ModelManifest& manifest) {
    const auto has = [&](std::string_view path) {
        return std::ranges::find(manifest.files, path, &ModelFile::path) != manifest.files.end();
    };
    return manifest.serves(kPipeline) && has("captions.json") && has("classifier.json") &&
           has("classifier.onnx");
}

Result<CaptionReport> evaluate_captions(
    ModelSource& models, WorkRunner& runner, api::MediaCodec& codec, const CaptionEvalSettings& settings,
    const api::StopFlag& stop
) {
    FG_TRY(lease, models.acquire(std::string(kPipeline), settings.model_id));
    FG_TRY(captions, read_captions(*lease));
    FG_TRY(classes, read_classes(*lease));
    FG_TRY(classifier, lease->network("classifier"));
    CaptionReport report;
    for (const auto& caption : captions) {
        if (report.captions >= settings.captions) {
            break;
        }
        FG_TRY(
            picture, make_picture(runner, codec, settings, caption, settings.seed + report.captions, stop)
        );
        FG_TRY(said, classify(*classifier, classes, picture));
        ++report.captions;
        report.colour += said[0] == caption.properties[0] ? 1 : 0;
        report.shape += said[1] == caption.properties[1] ? 1 : 0;
        report.place += said[2] == caption.properties[2] ? 1 : 0;
        report.all += said == caption.properties ? 1 : 0;
    }
    return report;
}

}  // namespace framegrid::engine
