// A workflow as its author wrote it, typed and checked. docs/workflows.md is the format's reference.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/workflow/action.hpp>
#include <framegrid/workflow/expression.hpp>
#include <framegrid/workflow/problem.hpp>
#include <framegrid/workflow/value.hpp>

namespace framegrid::workflow {

inline constexpr std::size_t kStepsMax = 200;
inline constexpr std::size_t kInputsMax = 100;
inline constexpr std::size_t kOutputsMax = 100;
// Items of one list, and so runs of one step with foreach.
inline constexpr std::int64_t kItemsMax = 4096;
inline constexpr int kRetriesDefault = 2;
inline constexpr int kRetriesMax = 10;
inline constexpr std::int64_t kDeadlineMsDefault = 600'000;  // of one run of a step
inline constexpr std::int64_t kDeadlineMsMax = 24 * 3'600'000;

// What a file may be at most. A quote that is made before there is a file assumes these.
struct Bounds {
    std::int64_t count = 100;  // files of a list
    int width = 4096;
    int height = 4096;
    std::int64_t duration_ms = 600'000;
    int fps = 60;
};

struct InputDecl {
    std::string name;
    Place place;
    Type type;
    Value default_value;  // monostate: must be given
    Bounds bounds;
    std::string description;
};

// One entry of `inputs` or `parameters` of a step, or of the workflow's outputs.
struct Binding {
    std::string name;
    Place place;
    std::string path;
    Expression expression;
    std::optional<Type> type;  // after the check
};

struct StepDecl {
    std::string id;
    Place place;
    std::string path;
    const Action* action = nullptr;
    std::string model;  // as written or the pipeline's default; empty: none
    std::optional<Binding> foreach_list;
    std::optional<Binding> when;
    std::vector<Binding> inputs;
    std::vector<Binding> parameters;
    std::optional<Price> max_price;  // wei per units of what the step is paid by
    std::int64_t deadline_ms = kDeadlineMsDefault;
    int priority = 0;  // -1, 0, 1
    int retries = kRetriesDefault;

    bool has_each() const { return foreach_list.has_value(); }
    // Any number of results for one run.
    bool many() const;
    // After the check: what each result is, and the steps that must come first.
    std::optional<Kind> gives;
    std::vector<std::size_t> needs;
};

struct Workflow {
    std::string name;
    std::string description;
    std::optional<std::int64_t> seed;  // 0 to 2^53 - 1
    std::vector<InputDecl> inputs;
    std::vector<StepDecl> steps;  // in the order of the text
    std::vector<Binding> outputs;
    std::vector<std::size_t> order;  // of `steps`: each after those that it needs
    std::string source;              // the text that it was read from

    const InputDecl* find_input(std::string_view input_name) const;
    const StepDecl* find_step(std::string_view id) const;
    std::optional<std::size_t> index_of(std::string_view id) const;
};

struct Reading {
    std::shared_ptr<const Workflow> workflow;  // null: there are errors
    std::vector<Problem> problems;             // all that were found, warnings included, in the text's order
};

// Reads and checks a YAML or JSON document: form, names, references, types of what flows, parameters and
// their ranges, cycles, what nobody uses.
Reading read(std::string_view text);
// The same for callers that want one error (to_error).
Result<std::shared_ptr<const Workflow>> parse(std::string_view text);

// The steps of `read`, for tests and each other. Form: fills `out` as far as it can be read.
void read_form(const Node& root, Workflow& out, Problems& problems);
// Meaning: references, types, parameters, order. `complete`: no form errors, so that unused things can be
// told.
void check_meaning(Workflow& workflow, bool complete, Problems& problems);

}  // namespace framegrid::workflow
