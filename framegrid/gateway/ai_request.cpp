#include <framegrid/gateway/ai_request.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/job/input_files.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::size_t kModelBytesMax = 128;

}  // namespace

std::string model_for(
    const job::PipelineSpec& spec, std::string wanted, const std::map<std::string, std::string>& defaults
) {
    if (!wanted.empty()) {
        return wanted;
    }
    const auto chosen = defaults.find(std::string(spec.name));
    return chosen == defaults.end() ? std::string(spec.default_model) : chosen->second;
}

Result<std::map<std::string, std::string>> read_default_models(const std::vector<std::string>& texts) {
    constexpr const char* kField = "default-model";
    std::map<std::string, std::string> out;
    for (const auto& text : texts) {
        const auto mark = text.find('=');
        const std::string pipeline = text.substr(0, mark);
        const std::string model = mark == std::string::npos ? "" : text.substr(mark + 1);
        const bool odd = std::ranges::any_of(model, [](char c) { return c <= ' ' || c >= 0x7F; });
        if (model.empty() || odd || model.size() > kModelBytesMax) {
            return fail(
                Errc::kInvalidArgument, printable(text, kModelBytesMax) + " is not PIPELINE=MODEL", kField
            );
        }
        if (job::find_pipeline(pipeline) == nullptr) {
            return fail(
                Errc::kInvalidArgument, "there is no pipeline " + printable(pipeline, kModelBytesMax), kField
            );
        }
        out.insert_or_assign(pipeline, model);
    }
    return out;
}

std::int64_t draw_seed(Random& random) {
    return 1 + static_cast<std::int64_t>(random.below(0xFFFF'FFFF));
}

Result<void> check_model(
    const Gateway& gateway, const job::PipelineSpec& spec, const std::string& model_id, std::string field
) {
    if (gateway.ever_offered(spec.capability, model_id)) {
        return {};
    }
    return fail(
        Errc::kNotFound,
        "no node offers the model " + printable(model_id, kModelBytesMax) + " for " + std::string(spec.name) +
            ": " + gateway.explain(make_ai_request(spec, model_id)).summary() +
            "; GET /v1/models lists those that are there",
        std::move(field)
    );
}

JobRequest make_ai_request(const job::PipelineSpec& spec, const std::string& model_id) {
    JobRequest out;
    out.manifest_id = std::string(spec.name) + "_" + model_id;
    out.needs = job::ai_needs(spec.capability, model_id);
    out.work.kind = api::AiWork{std::string(spec.name), model_id, {}};
    out.work.input_content_type = "application/octet-stream";
    return out;
}

Result<AiJob> make_ai_job(
    const job::PipelineSpec& spec, const std::string& model_id, std::string_view parameters,
    std::map<std::string, Blob> files, std::int64_t pixels_max
) {
    AiJob out{make_ai_request(spec, model_id), {}};
    auto object = boost::json::parse(parameters).get_object();
    media::Size size;
    for (auto& [name, file] : files) {
        const auto kind = std::ranges::find(spec.files, name, &job::FileSpec::name);
        const std::string field = "inputs." + name;
        if (kind != spec.files.end()) {
            FG_TRY(found, job::check_file(*kind, file, pixels_max, field));
            size = found;
            out.request.work.input = std::move(file);
        } else {
            FG_CHECK(job::check_picture(file, pixels_max, field));
            FG_TRY(mask, job::mask_parameter(file, field));
            object[job::kMaskParameter] = mask;
        }
    }
    object["model_id"] = model_id;
    // A required mask joins only now, so the whole is checked now.
    FG_TRY(checked, job::Parameters::from_json(spec, boost::json::serialize(object)));
    std::get<api::AiWork>(out.request.work.kind).parameters = checked.to_json();
    out.units = job::payable_units(spec, checked, size);
    out.request.units = out.units;
    return out;
}

}  // namespace framegrid::gateway
