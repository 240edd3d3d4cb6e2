#include <framegrid/workflow/document.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <framegrid/base/log.hpp>

namespace framegrid::workflow {

namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kTextBytesMax = 4096;
constexpr std::int64_t kSeedMax = (std::int64_t{1} << 53) - 1;
constexpr std::int64_t kPriceMax = std::int64_t{1} << 53;

std::string below(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
}

bool is_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !text.empty() && text.size() <= kNameBytesMax && letter(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return letter(c) || c == '-' || (c >= '0' && c <= '9'); });
}

constexpr std::string_view kNameAdvice = "use up to 64 letters, digits, _ and -, a letter first";

// A map of the document whose fields have known names.
class Fields {
  public:
    // Says what is unknown or there twice.
    Fields(const Node& node, std::string path, std::vector<std::string> known, Problems& problems)
        : node_(node), path_(std::move(path)), problems_(problems) {
        if (node.kind != NodeKind::kMap) {
            problems.add(node.place, path_, "must be a map of fields");
            return;
        }
        std::vector<std::string_view> seen;
        for (const auto& entry : node.entries) {
            if (std::ranges::find(seen, entry.name) != seen.end()) {
                problems.add(
                    entry.place, below(path_, printable(entry.name, 64)), "is there twice", "keep one"
                );
            }
            seen.emplace_back(entry.name);
            if (std::ranges::find(known, entry.name) == known.end()) {
                problems.add(
                    entry.place, below(path_, printable(entry.name, 64)), "unknown field",
                    advice_for(entry.name, known)
                );
            }
        }
    }

    const NodeEntry* find(std::string_view name) const {
        const auto at = std::ranges::find(node_.entries, name, &NodeEntry::name);
        return at == node_.entries.end() ? nullptr : &*at;
    }

    std::optional<std::string> text(std::string_view name) {
        const NodeEntry* entry = find(name);
        if (entry == nullptr) {
            return std::nullopt;
        }
        if (entry->value.kind != NodeKind::kScalar || entry->value.text.size() > kTextBytesMax) {
            problems_.add(entry->value.place, below(path_, name), "must be text of at most 4096 bytes");
            return std::nullopt;
        }
        return entry->value.text;
    }

    std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max) {
        const NodeEntry* entry = find(name);
        if (entry == nullptr) {
            return std::nullopt;
        }
        const std::string& digits = entry->value.text;
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        const bool whole = entry->value.kind == NodeKind::kScalar && error == std::errc{} &&
                           end == digits.data() + digits.size();
        if (!whole || value < min || value > max) {
            problems_.add(
                entry->value.place, below(path_, name),
                "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max)
            );
            return std::nullopt;
        }
        return value;
    }

    Place place() const { return node_.place; }

  private:
    const Node& node_;
    std::string path_;
    Problems& problems_;
};

// Reads one document into a Workflow.
class FormReader {
  public:
    FormReader(Workflow& out, Problems& problems) : out_(out), problems_(problems) {}

    void read(const Node& root) {
        if (root.kind != NodeKind::kMap) {
            problems_.add(
                root.place, {}, "a workflow is a map of fields", "start with `workflow: NAME` and `steps:`"
            );
            return;
        }
        Fields fields(root, {}, {"workflow", "description", "seed", "inputs", "steps", "outputs"}, problems_);
        if (auto name = fields.text("workflow")) {
            out_.name = std::move(*name);
            if (!is_name(out_.name)) {
                problems_.add(
                    fields.find("workflow")->value.place, "workflow", "not a name", std::string(kNameAdvice)
                );
            }
        } else if (fields.find("workflow") == nullptr) {
            problems_.add(root.place, "workflow", "is missing", "give the workflow a name");
        }
        out_.description = fields.text("description").value_or("");
        out_.seed = fields.integer("seed", 0, kSeedMax);
        if (const auto* inputs = fields.find("inputs")) {
            read_inputs(inputs->value);
        }
        if (const auto* steps = fields.find("steps")) {
            read_steps(steps->value);
        } else {
            problems_.add(root.place, "steps", "is missing", "a workflow has at least one step");
        }
        if (const auto* outputs = fields.find("outputs")) {
            read_bindings(outputs->value, "outputs", kOutputsMax, out_.outputs);
            if (outputs->value.kind == NodeKind::kMap && outputs->value.entries.empty()) {
                problems_.add(outputs->place, "outputs", "is empty", "name at least one result");
            }
        } else {
            problems_.add(root.place, "outputs", "is missing", "name at least one result");
        }
    }

  private:
    void read_inputs(const Node& node) {
        if (node.kind != NodeKind::kMap || node.entries.size() > kInputsMax) {
            problems_.add(node.place, "inputs", "must be a map of at most 100 inputs");
            return;
        }
        for (const auto& entry : node.entries) {
            const std::string path = "inputs." + printable(entry.name, 64);
            InputDecl input;
            input.name = entry.name;
            input.place = entry.place;
            if (!is_name(entry.name)) {
                problems_.add(entry.place, path, "not a name", std::string(kNameAdvice));
                continue;
            }
            if (out_.find_input(entry.name) != nullptr) {
                problems_.add(entry.place, path, "is there twice", "keep one");
                continue;
            }
            if (read_input(entry.value, path, input)) {
                out_.inputs.push_back(std::move(input));
            }
        }
    }

    bool read_type(const Node& node, const std::string& path, InputDecl& input) {
        const auto type = node.kind == NodeKind::kScalar ? parse_type(node.text) : std::nullopt;
        if (!type) {
            problems_.add(
                node.place, path, "unknown type",
                advice_for(node.kind == NodeKind::kScalar ? node.text : "", type_names())
            );
            return false;
        }
        input.type = *type;
        return true;
    }

    bool read_input(const Node& node, const std::string& path, InputDecl& input) {
        if (node.kind == NodeKind::kScalar) {
            return read_type(node, path, input);
        }
        Fields fields(
            node, path,
            {"type", "default", "description", "max_count", "max_width", "max_height", "max_duration_s",
             "max_fps"},
            problems_
        );
        const auto* type = fields.find("type");
        if (type == nullptr) {
            problems_.add(node.place, path + ".type", "is missing", "write a type, such as image");
            return false;
        }
        if (!read_type(type->value, path + ".type", input)) {
            return false;
        }
        input.description = fields.text("description").value_or("");
        Bounds& bounds = input.bounds;
        bounds.count = fields.integer("max_count", 1, kItemsMax).value_or(bounds.count);
        bounds.width = static_cast<int>(fields.integer("max_width", 1, 16'384).value_or(bounds.width));
        bounds.height = static_cast<int>(fields.integer("max_height", 1, 16'384).value_or(bounds.height));
        bounds.duration_ms =
            1000 * fields.integer("max_duration_s", 1, 86'400).value_or(bounds.duration_ms / 1000);
        bounds.fps = static_cast<int>(fields.integer("max_fps", 1, 240).value_or(bounds.fps));
        if (const auto* value = fields.find("default")) {
            read_default(value->value, path + ".default", input);
        }
        return true;
    }

    void read_default(const Node& node, const std::string& path, InputDecl& input) {
        if (is_media(input.type.kind)) {
            problems_.add(node.place, path, "files have no default", "leave it out");
            return;
        }
        const auto read = parse_expression(node, path, problems_);
        if (!read) {
            return;
        }
        Value value = read->literal;
        if (input.type.kind == Kind::kText && node.kind == NodeKind::kScalar) {
            value = node.text;
        }
        if (read->op != Op::kLiteral || !fits(value, input.type)) {
            problems_.add(node.place, path, "is not " + to_string(input.type));
            return;
        }
        input.default_value = std::move(value);
    }

    void read_steps(const Node& node) {
        if (node.kind != NodeKind::kSequence || node.items.empty()) {
            problems_.add(node.place, "steps", "must be a list of steps", "start each with `- id: NAME`");
            return;
        }
        if (node.items.size() > kStepsMax) {
            problems_.add(node.place, "steps", "more than " + std::to_string(kStepsMax) + " steps");
            return;
        }
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            read_step(node.items[i], "steps[" + std::to_string(i) + "]");
        }
    }

    void read_step(const Node& node, const std::string& path) {
        Fields fields(
            node, path,
            {"id", "pipeline", "operation", "model", "foreach", "when", "inputs", "parameters", "max_price",
             "deadline_s", "priority", "retries"},
            problems_
        );
        if (node.kind != NodeKind::kMap) {
            return;
        }
        StepDecl step;
        step.place = node.place;
        step.path = path;
        const bool named = read_id(fields, path, step);
        read_action(fields, path, step);
        if (const auto* each = fields.find("foreach")) {
            step.foreach_list = read_binding(*each, path + ".foreach");
        }
        if (const auto* when = fields.find("when")) {
            step.when = read_binding(*when, path + ".when");
        }
        if (const auto* inputs = fields.find("inputs")) {
            read_bindings(inputs->value, path + ".inputs", 16, step.inputs);
        }
        if (const auto* parameters = fields.find("parameters")) {
            read_bindings(parameters->value, path + ".parameters", 64, step.parameters);
        }
        if (const auto* price = fields.find("max_price")) {
            read_price(price->value, path + ".max_price", step);
        }
        step.deadline_ms =
            1000 * fields.integer("deadline_s", 1, kDeadlineMsMax / 1000).value_or(kDeadlineMsDefault / 1000);
        step.priority = static_cast<int>(fields.integer("priority", -1, 1).value_or(0));
        step.retries = static_cast<int>(fields.integer("retries", 0, kRetriesMax).value_or(kRetriesDefault));
        if (named) {
            out_.steps.push_back(std::move(step));
        }
    }

    bool read_id(Fields& fields, const std::string& path, StepDecl& step) {
        const auto* entry = fields.find("id");
        if (entry == nullptr) {
            problems_.add(fields.place(), path + ".id", "is missing", "give the step a name");
            return false;
        }
        auto id = fields.text("id");
        if (!id) {
            return false;
        }
        if (!is_name(*id)) {
            problems_.add(entry->value.place, path + ".id", "not a name", std::string(kNameAdvice));
            return false;
        }
        if (const auto* other = out_.find_step(*id)) {
            problems_.add(
                entry->value.place, path + ".id",
                "step \"" + *id + "\" is there twice, first in line " + std::to_string(other->place.line),
                "give one another name"
            );
            return false;
        }
        step.id = std::move(*id);
        return true;
    }

    void read_action(Fields& fields, const std::string& path, StepDecl& step) {
        const auto* pipeline = fields.find("pipeline");
        const auto* operation = fields.find("operation");
        if ((pipeline == nullptr) == (operation == nullptr)) {
            problems_.add(
                fields.place(), path, "a step has either a pipeline or an operation",
                "write pipeline: for the network's work, operation: for the gateway's own"
            );
            return;
        }
        const bool local = operation != nullptr;
        const auto& entry = local ? *operation : *pipeline;
        const std::string field = path + (local ? ".operation" : ".pipeline");
        const auto name = fields.text(local ? "operation" : "pipeline");
        if (!name) {
            return;
        }
        const Action* found = find_action(*name);
        if (found != nullptr && found->local == local) {
            step.action = found;
            read_model(fields, path, step);
            return;
        }
        std::vector<std::string> known;
        for (const auto& action : actions()) {
            if (action.local == local) {
                known.push_back(action.name);
            }
        }
        std::string advice = advice_for(*name, known);
        if (found != nullptr) {
            advice = *name +
                     (local ? " is a pipeline: write pipeline: " : " is an operation: write operation: ") +
                     *name;
        }
        problems_.add(
            entry.value.place, field,
            std::string("unknown ") + (local ? "operation" : "pipeline") + " \"" + printable(*name, 64) +
                "\"",
            std::move(advice)
        );
    }

    void read_model(Fields& fields, const std::string& path, StepDecl& step) {
        const auto* entry = fields.find("model");
        if (entry == nullptr) {
            step.model = step.action->pipeline == nullptr ? "" : step.action->pipeline->default_model;
            return;
        }
        step.model = fields.text("model").value_or("");
        const auto odd = [](char c) { return c <= ' ' || c >= 0x7F; };
        if (step.action->pipeline == nullptr) {
            problems_.add(entry->place, path + ".model", step.action->name + " has no model", "leave it out");
        } else if (step.model.empty() || step.model.size() > 128 || std::ranges::any_of(step.model, odd)) {
            problems_.add(
                entry->value.place, path + ".model", "must be up to 128 printable characters without spaces",
                "write organisation/name, or leave it out for " +
                    std::string(step.action->pipeline->default_model)
            );
        }
    }

    void read_price(const Node& node, const std::string& path, StepDecl& step) {
        Fields fields(node, path, {"wei", "units"}, problems_);
        if (node.kind != NodeKind::kMap) {
            return;
        }
        Price price;
        price.units = fields.integer("units", 1, kPriceMax).value_or(1);
        if (fields.find("wei") == nullptr) {
            problems_.add(node.place, path + ".wei", "is missing", "write {wei: 5, units: 1000}");
        }
        price.wei = fields.integer("wei", 0, kPriceMax).value_or(0);
        step.max_price = price;
        if (step.action != nullptr && step.action->local) {
            problems_.warn(node.place, path, step.action->name + " is free of charge");
        }
    }

    std::optional<Binding> read_binding(const NodeEntry& entry, const std::string& path) {
        auto expression = parse_expression(entry.value, path, problems_);
        if (!expression) {
            return std::nullopt;
        }
        return Binding{entry.name, entry.place, path, std::move(*expression), std::nullopt};
    }

    void read_bindings(
        const Node& node, const std::string& path, std::size_t max, std::vector<Binding>& out
    ) {
        if (node.kind != NodeKind::kMap || node.entries.size() > max) {
            problems_.add(node.place, path, "must be a map of at most " + std::to_string(max) + " entries");
            return;
        }
        for (const auto& entry : node.entries) {
            const std::string here = path + "." + printable(entry.name, 64);
            if (!is_name(entry.name)) {
                problems_.add(entry.place, here, "not a name", std::string(kNameAdvice));
            } else if (std::ranges::find(out, entry.name, &Binding::name) != out.end()) {
                problems_.add(entry.place, here, "is there twice", "keep one");
            } else if (auto binding = read_binding(entry, here)) {
                out.push_back(std::move(*binding));
            }
        }
    }

    Workflow& out_;
    Problems& problems_;
};

}  // namespace

bool StepDecl::many() const {
    if (action == nullptr || action->gives_list) {
        return true;
    }
    const auto at = std::ranges::find(parameters, kImagesParameter, &Binding::name);
    if (at == parameters.end()) {
        return false;
    }
    const auto* one = std::get_if<std::int64_t>(&at->expression.literal);
    return at->expression.op != Op::kLiteral || one == nullptr || *one != 1;
}

const InputDecl* Workflow::find_input(std::string_view input_name) const {
    const auto at = std::ranges::find(inputs, input_name, &InputDecl::name);
    return at == inputs.end() ? nullptr : &*at;
}

const StepDecl* Workflow::find_step(std::string_view id) const {
    const auto at = std::ranges::find(steps, id, &StepDecl::id);
    return at == steps.end() ? nullptr : &*at;
}

std::optional<std::size_t> Workflow::index_of(std::string_view id) const {
    const auto* step = find_step(id);
    return step == nullptr ? std::nullopt : std::optional(static_cast<std::size_t>(step - steps.data()));
}

void read_form(const Node& root, Workflow& out, Problems& problems) {
    FormReader(out, problems).read(root);
}

Reading read(std::string_view text) {
    Problems problems;
    auto workflow = std::make_shared<Workflow>();
    if (const auto root = read_tree(text, problems)) {
        read_form(*root, *workflow, problems);
        check_meaning(*workflow, !problems.has_errors(), problems);
    }
    Reading out;
    out.problems = problems.sorted();
    if (!problems.has_errors()) {
        workflow->source = text;
        out.workflow = std::move(workflow);
    }
    return out;
}

Result<std::shared_ptr<const Workflow>> parse(std::string_view text) {
    auto reading = read(text);
    if (reading.workflow == nullptr) {
        return fail(to_error(reading.problems));
    }
    return std::move(reading.workflow);
}

}  // namespace framegrid::workflow
