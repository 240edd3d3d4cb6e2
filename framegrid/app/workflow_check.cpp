// `framegrid workflow`: says what is wrong with a workflow document, or what it does in which order.
#include <framegrid/app/commands.hpp>

#include <algorithm>
#include <cstdio>

#include <boost/json.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/workflow/document.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;
using workflow::Reading;
using workflow::StepDecl;
using workflow::Workflow;

struct WorkflowOptions {
    std::string file;
};

// "videos" of a step that gives several.
std::string gives_of(const StepDecl& step) {
    return workflow::to_string(workflow::Type{*step.gives, step.has_each() || step.many()});
}

json::array problems_json(const Reading& reading) {
    json::array out;
    for (const auto& problem : reading.problems) {
        out.push_back(json::object{
            {"line", problem.place.line},
            {"column", problem.place.column},
            {"path", problem.path},
            {"cause", problem.cause},
            {"advice", problem.advice},
            {"warning", problem.warning}
        });
    }
    return out;
}

json::object workflow_json(const Workflow& workflow) {
    json::object inputs;
    for (const auto& input : workflow.inputs) {
        inputs[input.name] = workflow::to_string(input.type);
    }
    json::array steps;
    for (const auto index : workflow.order) {
        const StepDecl& step = workflow.steps[index];
        json::array needs;
        for (const auto need : step.needs) {
            needs.emplace_back(workflow.steps[need].id);
        }
        steps.push_back(json::object{
            {"id", step.id},
            {step.action->local ? "operation" : "pipeline", step.action->name},
            {"model", step.model},
            {"foreach", step.has_each()},
            {"when", step.when.has_value()},
            {"needs", std::move(needs)},
            {"gives", gives_of(step)}
        });
    }
    json::object outputs;
    for (const auto& output : workflow.outputs) {
        outputs[output.name] = workflow::to_string(*output.type);
    }
    return {
        {"name", workflow.name},
        {"inputs", std::move(inputs)},
        {"steps", std::move(steps)},
        {"outputs", std::move(outputs)}
    };
}

void print_table(const Workflow& workflow) {
    std::printf("workflow %s\n", workflow.name.c_str());
    for (const auto& input : workflow.inputs) {
        const bool needed = std::holds_alternative<std::monostate>(input.default_value);
        std::printf(
            "  input   %-16s %-10s %s\n", input.name.c_str(), workflow::to_string(input.type).c_str(),
            needed ? "" : "has a default"
        );
    }
    int number = 0;
    for (const auto index : workflow.order) {
        const StepDecl& step = workflow.steps[index];
        std::string needs;
        for (const auto need : step.needs) {
            needs += (needs.empty() ? "after " : ", ") + workflow.steps[need].id;
        }
        const std::string what = step.action->name + (step.model.empty() ? "" : " " + step.model);
        std::printf(
            "  step %-2d %-16s %-10s %-40s %-8s %s%s%s\n", ++number, step.id.c_str(), gives_of(step).c_str(),
            what.c_str(), step.action->local ? "free" : "network", step.has_each() ? "for each item, " : "",
            step.when ? "if its condition holds, " : "", needs.empty() ? "at once" : needs.c_str()
        );
    }
    for (const auto& output : workflow.outputs) {
        std::printf("  output  %-16s %s\n", output.name.c_str(), workflow::to_string(*output.type).c_str());
    }
}

int check(const CommonOptions& common, const WorkflowOptions& options) {
    auto text = host::read_file(options.file, workflow::kDocumentBytesMax);
    if (!text) {
        print_error(common, text.error());
        return kExitFailed;
    }
    const Reading reading = workflow::read(as_text(*text));
    if (common.json) {
        json::object out{{"valid", reading.workflow != nullptr}, {"problems", problems_json(reading)}};
        if (reading.workflow != nullptr) {
            out["workflow"] = workflow_json(*reading.workflow);
        }
        std::printf("%s\n", json::serialize(out).c_str());
        return reading.workflow != nullptr ? kExitOk : kExitFailed;
    }
    for (const auto& problem : reading.problems) {
        const char* const separator = problem.place.line > 0 ? ":" : ": ";
        std::fprintf(
            stderr, "%s%s%s\n", options.file.c_str(), separator, workflow::to_string(problem).c_str()
        );
    }
    if (reading.workflow == nullptr) {
        return kExitFailed;
    }
    print_table(*reading.workflow);
    return kExitOk;
}

}  // namespace

void add_workflow_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<WorkflowOptions>();
    auto* command = app.add_subcommand("workflow", "Check a workflow document");
    command->require_subcommand(1);
    auto* sub = command->add_subcommand(
        "check", "print all problems as FILE:LINE:COLUMN: message, or the steps in their order"
    );
    sub->add_option("FILE", options->file, "a workflow, YAML or JSON")->required();
    sub->callback([options, &common, &run] { run = [options, &common] { return check(common, *options); }; });
    command->footer("Example:\n  framegrid workflow check examples/workflows/ladder.yaml");
}

}  // namespace framegrid::app
