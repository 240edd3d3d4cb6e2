#include <framegrid/job/document.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/job/input_files.hpp>
#include <framegrid/job/record.hpp>

namespace framegrid::job {

namespace {

namespace json = boost::json;

constexpr std::size_t kUrlBytesMax = 2'048;
constexpr std::size_t kKeyBytesMax = 255;
constexpr std::size_t kMetadataBytesMax = 16 * 1024;
constexpr std::int64_t kDeadlineMsMax = std::int64_t{7} * 24 * 3'600'000;
constexpr std::int64_t kPreviewStepsMax = 1'000;
constexpr std::size_t kConstraintsMax = 64;  // orchestrators in a list

std::unexpected<Error> invalid(std::string message, std::string_view field) {
    return fail(Errc::kInvalidArgument, std::move(message), std::string(field));
}

bool is_web_url(std::string_view text) {
    return text.starts_with("https://") || text.starts_with("http://");
}

Result<std::string> read_text(const json::value& value, std::string_view field, std::size_t bytes_max) {
    if (!value.is_string()) {
        return invalid(std::string(field) + " is a string", field);
    }
    const std::string_view text = value.get_string();
    if (text.size() > bytes_max) {
        return invalid(std::string(field) + " has over " + std::to_string(bytes_max) + " bytes", field);
    }
    return std::string(text);
}

Result<std::int64_t> read_whole(
    const json::value& value, std::string_view field, std::int64_t min, std::int64_t max
) {
    const auto number = value.try_to_number<std::int64_t>();
    if (!number || *number < min || *number > max) {
        return invalid(
            std::string(field) + " is a whole number from " + std::to_string(min) + " to " +
                std::to_string(max),
            field
        );
    }
    return *number;
}

// Decimal digits, because JavaScript rounds wei; small amounts also as a number.
Result<std::int64_t> read_wei(const json::value& value) {
    constexpr std::string_view kField = "max_price";
    if (!value.is_string()) {
        return read_whole(value, kField, 0, std::int64_t{1} << 53);
    }
    const std::string_view digits = value.get_string();
    std::int64_t wei = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), wei);
    if (error != std::errc() || end != digits.data() + digits.size() || wei < 0) {
        return invalid("max_price is an amount of wei in decimal digits, below 2^63", kField);
    }
    return wei;
}

Result<int> read_priority(const json::value& value) {
    const auto text = value.is_string() ? std::string_view(value.get_string()) : std::string_view();
    if (text == "low" || text == "normal" || text == "high") {
        return text == "low" ? -1 : text == "high" ? 1 : 0;
    }
    return invalid("priority is low, normal or high", "priority");
}

// The names of a pipeline's inputs, and which of them must be there.
bool takes_input(const PipelineSpec* spec, std::string_view name) {
    if (spec == nullptr) {
        return name == "data";
    }
    return std::ranges::contains(spec->files, name, &FileSpec::name) || (spec->wants_mask && name == "mask");
}

std::string input_names(const PipelineSpec* spec) {
    if (spec == nullptr) {
        return "data";
    }
    const std::string names = file_names(*spec);
    return names.empty() ? "none" : names + (spec->wants_mask ? ", and mask" : "");
}

Result<void> read_inputs(const json::value& value, const PipelineSpec* spec, Document& out) {
    if (!value.is_object()) {
        return invalid("inputs is an object", "inputs");
    }
    for (const auto& [key, input] : value.get_object()) {
        const std::string name(key);
        const std::string field = "inputs." + printable(name, 64);
        if (!takes_input(spec, name)) {
            return invalid(out.pipeline + " has no such input; it has: " + input_names(spec), field);
        }
        if (!input.is_string() || !input_kind(input.get_string())) {
            return invalid(
                "an input is the id of a stored file (art_...), an http(s) URL or a base64 data URL", field
            );
        }
        out.inputs[name] = std::string(input.get_string());
    }
    return {};
}

Result<void> check_inputs(const PipelineSpec* spec, const Document& document) {
    if (spec == nullptr || spec->files.empty()) {
        return {};
    }
    const auto given = std::ranges::count_if(spec->files, [&document](const FileSpec& file) {
        return document.inputs.contains(std::string(file.name));
    });
    if (given != 1) {
        const std::string field = "inputs." + std::string(spec->files.front().name);
        return invalid(
            given == 0 ? input_names(spec) + " is missing" : "one of " + input_names(spec) + ", not both",
            field
        );
    }
    if (spec->wants_mask && !document.inputs.contains("mask")) {
        return invalid("mask is missing: a picture that is white where to paint", "inputs.mask");
    }
    return {};
}

std::string parameter_names(const PipelineSpec& spec) {
    std::string out;
    for (const auto& parameter : spec.parameters) {
        if (parameter.name != kMaskParameter) {
            out += (out.empty() ? "" : ", ") + std::string(parameter.name);
        }
    }
    return out;
}

std::string pipeline_names() {
    std::string out;
    for (const auto& spec : pipelines()) {
        out += std::string(spec.name) + ", ";
    }
    return out + std::string(kTranscode) + ", " + std::string(kEcho) + ", " + std::string(kWorkflow);
}

Result<void> read_parameters(const json::value& value, const PipelineSpec* spec, Document& out) {
    if (!value.is_object()) {
        return invalid("parameters is an object", "parameters");
    }
    if (spec == nullptr) {
        return {};
    }
    for (const auto& [name, unused] : value.get_object()) {
        if (!std::ranges::contains(spec->parameters, std::string_view(name), &ParameterSpec::name)) {
            return invalid(
                out.pipeline + " has no such parameter; it has: " + parameter_names(*spec),
                "parameters." + printable(std::string(name), 64)
            );
        }
    }
    json::object given = value.get_object();
    if (auto* profiles = given.if_contains("profiles"); profiles != nullptr && profiles->is_array()) {
        *profiles = json::serialize(*profiles);
    }
    const bool masked = spec->wants_mask && !given.contains(kMaskParameter);
    if (masked) {
        given[kMaskParameter] = "(an input)";  // it is required, and joins the parameters when the job runs
    }
    auto checked = Parameters::from_json(*spec, json::serialize(given));
    if (!checked) {
        auto error = std::move(checked.error());
        error.field = "parameters." + error.field;
        return fail(std::move(error));
    }
    if (out.model.empty()) {
        out.model = checked->text("model_id");
    }
    auto text = json::parse(checked->to_json());
    if (masked) {
        text.get_object().erase(kMaskParameter);
    }
    out.parameters = json::serialize(text);
    return {};
}

Result<void> read_webhook(const json::value& value, Document& out) {
    FG_TRY(url, read_text(value, "webhook", kUrlBytesMax));
    if (!is_web_url(url)) {
        return invalid("webhook is an http(s) URL", "webhook");
    }
    out.webhook = std::move(url);
    return {};
}

Result<void> read_orchestrators(
    const json::value& value, std::string_view field, std::vector<std::string>& out
) {
    const auto is_uri = [](const json::value& one) {
        return one.is_string() && one.get_string().size() <= kUrlBytesMax && is_web_url(one.get_string());
    };
    if (!value.is_array() || value.get_array().empty() || value.get_array().size() > kConstraintsMax ||
        !std::ranges::all_of(value.get_array(), is_uri)) {
        return invalid(
            "a list of 1 to " + std::to_string(kConstraintsMax) +
                " orchestrators by their http(s) URIs, as `framegrid status` names them",
            field
        );
    }
    for (const auto& one : value.get_array()) {
        out.emplace_back(one.get_string());
    }
    return {};
}

Result<void> read_constraints(const json::value& value, Document& out) {
    if (!value.is_object()) {
        return invalid("constraints is an object", "constraints");
    }
    for (const auto& [key, list] : value.get_object()) {
        const std::string name(key);
        const std::string field = "constraints." + printable(name, 64);
        if (name != "orchestrators" && name != "avoid") {
            return invalid("there is no such constraint; there are: orchestrators, avoid", field);
        }
        auto& into = name == "avoid" ? out.constraints.avoid : out.constraints.orchestrators;
        FG_CHECK(read_orchestrators(list, field, into));
    }
    return {};
}

json::object constraints_json(const Constraints& constraints) {
    json::object out;
    if (!constraints.orchestrators.empty()) {
        out["orchestrators"] = json::value_from(constraints.orchestrators);
    }
    if (!constraints.avoid.empty()) {
        out["avoid"] = json::value_from(constraints.avoid);
    }
    return out;
}

Result<void> read_key(const json::value& value, Document& out) {
    FG_TRY(key, read_text(value, "idempotency_key", kKeyBytesMax));
    if (key.empty() || std::ranges::any_of(key, [](char c) { return c <= ' ' || c >= 0x7f; })) {
        return invalid("idempotency_key is up to 255 printable ASCII characters", "idempotency_key");
    }
    out.idempotency_key = std::move(key);
    return {};
}

Result<void> read_metadata(const json::value& value, Document& out) {
    out.metadata = json::serialize(value);
    if (!value.is_object() || out.metadata.size() > kMetadataBytesMax) {
        return invalid("metadata is an object of at most 16 KiB", "metadata");
    }
    return {};
}

// `into` when the value is one.
template <class T, class U>
Result<void> keep(Result<T> value, U& into) {
    if (!value) {
        return fail(std::move(value.error()));
    }
    into = *std::move(value);
    return {};
}

// What every kind of job has. False: it is none of these.
Result<bool> read_common_field(std::string_view name, const json::value& value, Document& out) {
    const auto known = [](Result<void> read) -> Result<bool> {
        if (!read) {
            return fail(std::move(read.error()));
        }
        return true;
    };
    if (name == "max_price") {
        return known(keep(read_wei(value), out.max_price_wei));
    }
    if (name == "deadline_ms") {
        return known(keep(read_whole(value, name, 1, kDeadlineMsMax), out.deadline_ms));
    }
    if (name == "priority") {
        return known(keep(read_priority(value), out.priority));
    }
    if (name == "webhook") {
        return known(read_webhook(value, out));
    }
    if (name == "idempotency_key") {
        return known(read_key(value, out));
    }
    if (name == "metadata") {
        return known(read_metadata(value, out));
    }
    if (name == "constraints") {
        return known(read_constraints(value, out));
    }
    if (name == "verification") {
        return known(keep(read_verification(value), out.verification));
    }
    return false;
}

bool is_workflow_value(const json::value& value) {
    const auto file = [](const json::value& one) { return one.is_string() && input_kind(one.get_string()); };
    return value.is_string() || value.is_number() || value.is_bool() ||
           (value.is_array() && std::ranges::all_of(value.get_array(), file));
}

Result<void> read_values(const json::value& value, Document& out) {
    if (!value.is_object()) {
        return invalid("inputs is an object", "inputs");
    }
    for (const auto& [name, one] : value.get_object()) {
        if (!is_workflow_value(one)) {
            return invalid(
                "an input is text, a number, true or false, or a file: the id of a stored one (art_...), an "
                "http(s) URL, a base64 data URL, or a list of these",
                "inputs." + printable(std::string(name), 64)
            );
        }
    }
    out.values = json::serialize(value);
    return {};
}

Result<void> read_workflow_field(std::string_view name, const json::value& value, Document& out) {
    FG_TRY(common, read_common_field(name, value, out));
    if (common || name == "pipeline") {
        return {};
    }
    if (name == "workflow") {
        // JSON is YAML: a document inside the document is the same text.
        out.workflow = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        return {};
    }
    if (name == "inputs") {
        return read_values(value, out);
    }
    if (name == "seed") {
        return keep(read_whole(value, name, 0, (std::int64_t{1} << 53) - 1), out.seed);
    }
    return invalid(
        "there is no such field; a workflow has: workflow, inputs, seed, max_price, deadline_ms, priority, "
        "constraints, verification, webhook, idempotency_key, metadata",
        printable(std::string(name), 64)
    );
}

Result<void> read_field(
    std::string_view name, const json::value& value, const PipelineSpec* spec, Document& out
) {
    FG_TRY(common, read_common_field(name, value, out));
    if (common || name == "pipeline" || name == "parameters") {
        return {};  // pipeline and parameters are read apart
    }
    if (name == "model") {
        return keep(read_text(value, name, 128), out.model);
    }
    if (name == "inputs") {
        return read_inputs(value, spec, out);
    }
    if (name == "preview_steps") {
        return keep(read_whole(value, name, 0, kPreviewStepsMax), out.preview_steps);
    }
    return invalid(
        "there is no such field; there are: pipeline, model, inputs, parameters, max_price, deadline_ms, "
        "priority, preview_steps, constraints, verification, webhook, idempotency_key, metadata",
        printable(std::string(name), 64)
    );
}

const PipelineSpec& transcode_spec() {
    static const PipelineSpec spec{
        .name = kTranscode,
        .capability = Capability::kH264,
        .title = {},
        .default_model = {},
        .files = {{"video", FileKind::kVideo}},
        .parameters = {{.name = "profiles", .max = 8192, .required = true}}
    };
    return spec;
}

// The same as a workflow of one step.
void make_transcode_workflow(Document& out) {
    const auto parameters = json::parse(out.parameters);
    const json::object step{
        {"id", kTranscode},
        {"pipeline", kTranscode},
        {"inputs", {{"video", "${inputs.video}"}}},
        {"parameters", parameters}
    };
    out.workflow = json::serialize(json::object{
        {"workflow", kTranscode},
        {"inputs", {{"video", "video"}}},
        {"steps", json::array{step}},
        {"outputs", {{"renditions", "${steps.transcode.outputs}"}}}
    });
    out.values = json::serialize(json::object{{"video", out.inputs.at("video")}});
}

Result<Document> parse_workflow_job(const json::object& object) {
    Document out;
    out.pipeline = kWorkflow;
    for (const auto& [key, value] : object) {
        if (!value.is_null()) {
            FG_CHECK(read_workflow_field(key, value, out));
        }
    }
    if (out.workflow.empty()) {
        return invalid("workflow is missing: the document of its steps", "workflow");
    }
    FG_CHECK(check_verification(out.verification, out.constraints));
    return out;
}

}  // namespace

std::optional<InputKind> input_kind(std::string_view text) {
    if (is_id("art", text)) {
        return InputKind::kArtifact;
    }
    if (is_web_url(text) && text.size() <= kUrlBytesMax) {
        return InputKind::kUrl;
    }
    const auto comma = text.substr(0, 256).find(',');
    if (text.starts_with("data:") && comma != std::string_view::npos &&
        text.substr(0, comma).ends_with(";base64")) {
        return InputKind::kData;
    }
    return std::nullopt;
}

Result<Document> parse_document(std::string_view text) {
    if (text.size() > kDocumentBytesMax) {
        return fail(Errc::kTooLarge, "a job's document has at most 1 MiB; upload large inputs first");
    }
    boost::system::error_code error;
    const json::value root = json::parse(text, error);
    if (error || !root.is_object()) {
        return fail(
            Errc::kInvalidArgument, error ? "not JSON: " + error.message() : "a job is a JSON object", "body"
        );
    }
    const auto& object = root.get_object();
    const auto* pipeline = object.if_contains("pipeline");
    const bool named = pipeline != nullptr && pipeline->is_string() && pipeline->get_string() == kWorkflow;
    if (named || object.contains("workflow")) {
        return parse_workflow_job(object);
    }
    if (pipeline == nullptr) {
        return invalid("pipeline is missing, for example \"text-to-image\"; or workflow", "pipeline");
    }
    Document out;
    FG_TRY(name, read_text(*pipeline, "pipeline", 64));
    out.pipeline = std::move(name);
    const auto* spec = out.pipeline == kTranscode ? &transcode_spec() : find_pipeline(out.pipeline);
    if (spec == nullptr && out.pipeline != kEcho) {
        return fail(
            Errc::kNotFound,
            "unknown pipeline " + printable(out.pipeline, 64) + "; there are: " + pipeline_names(), "pipeline"
        );
    }
    for (const auto& [key, value] : object) {
        if (!value.is_null()) {
            FG_CHECK(read_field(key, value, spec, out));
        }
    }
    FG_CHECK(check_inputs(spec, out));
    FG_CHECK(check_verification(out.verification, out.constraints));
    const auto* parameters = object.if_contains("parameters");
    const bool given = parameters != nullptr && !parameters->is_null();
    FG_CHECK(read_parameters(given ? *parameters : json::value(json::object{}), spec, out));
    if (out.pipeline == kTranscode) {
        make_transcode_workflow(out);
    }
    return out;
}

std::string to_json(const Document& document) {
    json::object out;
    out["pipeline"] = document.pipeline;
    if (!document.model.empty()) {
        out["model"] = document.model;
    }
    if (document.pipeline == kWorkflow) {
        out["workflow"] = document.workflow;
        out["inputs"] = json::parse(document.values);
        if (document.seed) {
            out["seed"] = *document.seed;
        }
    } else {
        json::object inputs;
        for (const auto& [name, text] : document.inputs) {
            inputs[name] = text;
        }
        out["inputs"] = std::move(inputs);
        out["parameters"] = json::parse(document.parameters);
    }
    if (document.max_price_wei) {
        out["max_price"] = std::to_string(*document.max_price_wei);
    }
    if (document.deadline_ms > 0) {
        out["deadline_ms"] = document.deadline_ms;
    }
    out["priority"] = document.priority < 0 ? "low" : document.priority > 0 ? "high" : "normal";
    if (document.preview_steps > 0) {
        out["preview_steps"] = document.preview_steps;
    }
    if (!document.constraints.empty()) {
        out["constraints"] = constraints_json(document.constraints);
    }
    if (document.verification != Verification{}) {
        out["verification"] = verification_json(document.verification);
    }
    if (!document.webhook.empty()) {
        out["webhook"] = document.webhook;
    }
    if (!document.idempotency_key.empty()) {
        out["idempotency_key"] = document.idempotency_key;
    }
    out["metadata"] = json::parse(document.metadata);
    return json::serialize(out);
}

}  // namespace framegrid::job
