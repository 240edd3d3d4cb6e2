// What one run of a step is, costs, is known by, and is expected to give. Pure rules for the quote and the
// engine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/workflow/document.hpp>

namespace framegrid::workflow {

// What the market says about a pipeline and model.
struct Offer {
    Price price;               // per payable unit
    std::string model_digest;  // hex; part of what results are cached by; may be empty
    int scale = 1;             // of upscale: output side / input side
    friend bool operator==(const Offer&, const Offer&) = default;
};
// The offer to count with; `model` is empty for transcode. Nothing: nobody offers it.
using OfferFor = std::function<std::optional<Offer>(std::string_view pipeline, std::string_view model)>;

struct WorkInput {
    std::string name;             // of the action's slot
    std::vector<Artifact> files;  // one, unless the slot is a list
};

// One run of a step with everything resolved.
struct Work {
    const Action* action = nullptr;
    std::string model;
    job::Parameters parameters;     // checked; with a seed where the action draws
    std::vector<WorkInput> inputs;  // in the action's order
};

// The values of a run's inputs, completed with defaults and checked: types, bounds, names. kInvalidArgument
// and kTooLarge name the input. `files_may_miss`: files that are not there yet are taken as large as
// declared.
Result<Values> check_inputs(const Workflow& workflow, Values values, bool files_may_miss = false);

// Resolves one item of a step: its inputs and parameters. `item_index` is 0 without foreach.
struct Resolved {
    Outcome::State state = Outcome::State::kPending;
    Work work;  // when ready
};
// Its inputs alone: enough to know what a skipped step passes on.
Resolved resolve_inputs(const StepDecl& step, const Source& source);
Result<Resolved> resolve(
    const StepDecl& step, const Source& source, std::int64_t workflow_seed, std::int64_t item_index
);

// What the work is paid by; 0 of local operations.
Pixels payable_units(const Work& work);
// Rounded up. Nothing when it does not fit 63 bits.
std::optional<std::int64_t> wei_for(Pixels units, Price price);

// SHA-256 over a canonical form of action, model digest, parameters with seed, and input digests, hex. The
// same key means the same result.
std::string content_key(const Work& work, std::string_view model_digest);

// The seed of one item, 0 to 2^53 - 1. A step that is redone gets the same one.
std::int64_t derive_seed(std::int64_t workflow_seed, std::string_view step, std::int64_t item_index);

// Results as they will be, without digests: at most so many, at most so large. `exact`: certainly so.
struct Expected {
    std::vector<Artifact> files;
    bool exact = true;
};
Expected expected_results(const Work& work, const Offer& offer);

// What a skipped step passes on instead: its only file, when that is what it would give. Null: nothing.
const Artifact* passed_on(const StepDecl& step, const Work& work);

}  // namespace framegrid::workflow
