#include <framegrid/workflow/document.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace framegrid::workflow {

namespace {

// The names a step's expressions may use.
class StepScope final : public Scope {
  public:
    StepScope(const Workflow& workflow, const StepDecl* step) : workflow_(workflow), step_(step) {}

    std::optional<Type> input(std::string_view name) const override {
        const auto* found = workflow_.find_input(name);
        return found == nullptr ? std::nullopt : std::optional(found->type);
    }
    StepType step(std::string_view id) const override {
        const auto* found = workflow_.find_step(id);
        if (found == nullptr) {
            return {.unknown = true, .each = false, .kind = std::nullopt};
        }
        return {.unknown = false, .each = found->has_each(), .kind = found->gives};
    }
    std::optional<Type> item() const override {
        const auto type = step_->foreach_list ? step_->foreach_list->type : std::nullopt;
        return type ? std::optional(Type{type->kind, false}) : std::nullopt;
    }
    bool has_item() const override { return step_ != nullptr && step_->has_each() && !in_foreach_; }
    std::vector<std::string> input_names() const override {
        std::vector<std::string> out;
        for (const auto& one : workflow_.inputs) {
            out.push_back(one.name);
        }
        return out;
    }
    std::vector<std::string> step_names() const override {
        std::vector<std::string> out;
        for (const auto& one : workflow_.steps) {
            out.push_back(one.id);
        }
        return out;
    }
    void set_in_foreach(bool value) { in_foreach_ = value; }

  private:
    const Workflow& workflow_;
    const StepDecl* step_;
    bool in_foreach_ = false;
};

template <class Visit>
void for_each_binding(const StepDecl& step, const Visit& visit) {
    for (const auto* one : {&step.foreach_list, &step.when}) {
        if (*one) {
            visit(**one);
        }
    }
    for (const auto* many : {&step.inputs, &step.parameters}) {
        for (const auto& binding : *many) {
            visit(binding);
        }
    }
}

class Checker {
  public:
    Checker(Workflow& workflow, bool complete, Problems& problems)
        : workflow_(workflow), complete_(complete), problems_(problems) {}

    void check() {
        find_needs();
        sort();
        for (const auto index : workflow_.order) {
            check_step(workflow_.steps[index]);
        }
        for (auto& output : workflow_.outputs) {
            output.type = type_of(output.expression, StepScope(workflow_, nullptr), output.path, problems_);
            if (output.type && !is_media(output.type->kind)) {
                problems_.add(
                    output.place, output.path, "is " + to_string(*output.type) + ", not a file",
                    "results are files, such as ${steps.ID.output}"
                );
            }
        }
        if (complete_) {
            find_unused();
        }
    }

  private:
    void find_needs() {
        for (auto& step : workflow_.steps) {
            for_each_binding(step, [&](const Binding& binding) {
                for_each_reference(binding.expression, [&](const Reference& to, Place) {
                    const auto index =
                        to.root == Reference::Root::kStep ? workflow_.index_of(to.name) : std::nullopt;
                    if (index && std::ranges::find(step.needs, *index) == step.needs.end()) {
                        step.needs.push_back(*index);
                    }
                });
            });
        }
    }

    // Steps in the order of the text as far as their needs allow. What is left over goes in circles; it is
    // put at the end, so that its other mistakes are found too.
    void sort() {
        const std::size_t count = workflow_.steps.size();
        std::vector<bool> done(count, false);
        for (bool more = true; more;) {
            more = false;
            for (std::size_t i = 0; i < count; ++i) {
                const auto& needs = workflow_.steps[i].needs;
                if (!done[i] && std::ranges::all_of(needs, [&](std::size_t n) { return done[n]; })) {
                    done[i] = true;
                    workflow_.order.push_back(i);
                    more = true;
                    break;  // earlier steps may have become possible: keep the text's order
                }
            }
        }
        report_cycle(done);
        for (std::size_t i = 0; i < count; ++i) {
            if (!done[i]) {
                workflow_.order.push_back(i);
            }
        }
    }

    void report_cycle(const std::vector<bool>& done) {
        const auto first = std::ranges::find(done, false);
        if (first == done.end()) {
            return;
        }
        // Every step that is left needs one that is left: following them must come back.
        std::vector<std::size_t> way{static_cast<std::size_t>(first - done.begin())};
        while (true) {
            const auto& needs = workflow_.steps[way.back()].needs;
            const auto next = *std::ranges::find_if(needs, [&](std::size_t n) { return !done[n]; });
            const auto seen = std::ranges::find(way, next);
            if (seen != way.end()) {
                way.erase(way.begin(), seen);
                way.push_back(next);
                break;
            }
            way.push_back(next);
        }
        std::string names;
        for (const auto index : way) {
            names += (names.empty() ? "" : " needs ") + workflow_.steps[index].id;
        }
        const auto& step = workflow_.steps[way.front()];
        problems_.add(
            step.place, step.path, "steps go in a circle: " + names, "remove one of the references"
        );
    }

    void check_step(StepDecl& step) {
        StepScope scope(workflow_, &step);
        if (step.foreach_list) {
            scope.set_in_foreach(true);
            auto& each = *step.foreach_list;
            each.type = type_of(each.expression, scope, each.path, problems_);
            if (each.type && !each.type->list) {
                problems_.add(
                    each.expression.place, each.path, "foreach wants a list, not " + to_string(*each.type),
                    "use an input of type images or videos, or steps.ID.outputs"
                );
                each.type.reset();
            }
            scope.set_in_foreach(false);
        }
        if (step.when) {
            auto& when = *step.when;
            when.type = type_of(when.expression, scope, when.path, problems_);
            if (when.type && *when.type != Type{Kind::kBoolean}) {
                problems_.add(
                    when.expression.place, when.path, "when wants a condition, not " + to_string(*when.type),
                    "compare it, as in ${inputs.clip.height < 720}"
                );
            }
        }
        for (auto* many : {&step.inputs, &step.parameters}) {
            for (auto& binding : *many) {
                binding.type = type_of(binding.expression, scope, binding.path, problems_);
            }
        }
        if (step.action != nullptr) {
            check_inputs(step);
            check_parameters(step);
            find_kind(step);
        }
    }

    void check_inputs(const StepDecl& step) {
        const Action& action = *step.action;
        std::vector<std::string> known;
        std::string all;
        for (const auto& slot : action.inputs) {
            known.push_back(slot.name);
            all += (all.empty()      ? ""
                    : action.any_one ? " or "
                                     : " and ") +
                   slot.name + " (" + to_string({slot.kind, slot.list}) + ")";
        }
        for (const auto& binding : step.inputs) {
            const auto slot = std::ranges::find(action.inputs, binding.name, &Slot::name);
            if (slot == action.inputs.end()) {
                problems_.add(
                    binding.place, binding.path, action.name + " has no input \"" + binding.name + "\"",
                    known.empty() ? "it takes no files" : advice_for(binding.name, known)
                );
            } else if (binding.type) {
                check_flow(step, *slot, binding);
            }
        }
        const auto given = [&](const Slot& slot) {
            return std::ranges::find(step.inputs, slot.name, &Binding::name) != step.inputs.end();
        };
        const auto count = std::ranges::count_if(action.inputs, given);
        const bool good = action.any_one ? count == 1 : std::cmp_equal(count, action.inputs.size());
        if (!good && !action.inputs.empty()) {
            problems_.add(
                step.place, step.path + ".inputs",
                count > 1 ? "more than one of " + all : action.name + " needs " + all,
                count > 1 ? "keep one" : "name it, as in inputs: {" + known.front() + ": ${...}}"
            );
        }
    }

    void check_flow(const StepDecl& step, const Slot& slot, const Binding& binding) {
        const Type want{slot.kind, slot.list};
        const Type have = *binding.type;
        if (have == want) {
            return;
        }
        std::string advice;
        if (have.list && !want.list && have.kind == want.kind) {
            advice = step.has_each() ? "use ${item}"
                                     : "run the step for each: foreach: ${...}, and use ${item} here";
        } else if (!have.list && want.list && have.kind == want.kind) {
            advice = "a list is wanted: [ ${...} ], or steps.ID.outputs";
        } else if (have.kind == Kind::kVideo && want.kind == Kind::kImage) {
            advice = "the operation frames takes pictures from a video";
        }
        problems_.add(
            binding.expression.place, binding.path,
            step.action->name + " takes " + to_string(want) + " here, and this is " + to_string(have),
            std::move(advice)
        );
    }

    void check_parameters(const StepDecl& step) {
        const Action& action = *step.action;
        std::vector<std::string> known;
        for (const auto& parameter : action.parameters) {
            known.emplace_back(parameter.name);
        }
        for (const auto& binding : step.parameters) {
            const auto* spec = find_parameter(action, binding.name);
            if (spec == nullptr) {
                const bool model = binding.name == "model_id" || binding.name == "model";
                problems_.add(
                    binding.place, binding.path, action.name + " has no parameter \"" + binding.name + "\"",
                    model ? "write model: beside pipeline:" : advice_for(binding.name, known)
                );
            } else if (binding.type) {
                check_value(*spec, binding);
            }
        }
        for (const auto& parameter : action.parameters) {
            const bool given =
                std::ranges::find(step.parameters, parameter.name, &Binding::name) != step.parameters.end();
            if (parameter.required && !given) {
                const std::string name(parameter.name);
                problems_.add(
                    step.place, step.path + ".parameters." + name, action.name + " needs " + name,
                    std::string(parameter.description)
                );
            }
        }
    }

    void check_value(const job::ParameterSpec& spec, const Binding& binding) {
        if (binding.expression.op == Op::kLiteral) {
            if (const auto good = check_parameter(spec, binding.expression.literal); !good) {
                problems_.add(
                    binding.expression.place, binding.path, good.error().message,
                    std::string(spec.description)
                );
            } else if (spec.required && !scalar_text(binding.expression.literal)) {
                problems_.add(binding.expression.place, binding.path, std::string(spec.name) + " is empty");
            }
            return;
        }
        const Type have = *binding.type;
        bool good = false;
        switch (spec.type) {
            case job::ParameterType::kText:
                good = have.kind == Kind::kText;
                break;
            case job::ParameterType::kInteger:
                good = have.kind == Kind::kInteger;
                break;
            case job::ParameterType::kNumber:
                good = have.kind == Kind::kInteger || have.kind == Kind::kNumber;
                break;
            case job::ParameterType::kBoolean:
                good = have.kind == Kind::kBoolean;
                break;
        }
        if (!good || have.list) {
            problems_.add(
                binding.expression.place, binding.path,
                std::string(spec.name) + " cannot be " + to_string(have), std::string(spec.description)
            );
        }
    }

    static void find_kind(StepDecl& step) {
        const Action& action = *step.action;
        if (!action.gives_as_input) {
            step.gives = action.gives;
        } else if (step.inputs.size() == 1) {
            const auto slot = std::ranges::find(action.inputs, step.inputs.front().name, &Slot::name);
            step.gives = slot == action.inputs.end() ? std::nullopt : std::optional(slot->kind);
        }
    }

    // A step whose results nobody uses would be paid for nothing.
    void find_unused() {
        std::set<std::string, std::less<>> steps;
        std::set<std::string, std::less<>> inputs;
        const auto note = [&](const Binding& binding) {
            for_each_reference(binding.expression, [&](const Reference& to, Place) {
                if (to.root == Reference::Root::kStep) {
                    steps.insert(to.name);
                } else if (to.root == Reference::Root::kInput) {
                    inputs.insert(to.name);
                }
            });
        };
        for (const auto& step : workflow_.steps) {
            for_each_binding(step, note);
        }
        for (const auto& output : workflow_.outputs) {
            note(output);
        }
        // A misspelt name was said already; whom it means is not told to be unused as well.
        const bool steps_known =
            std::ranges::all_of(steps, [&](const auto& id) { return workflow_.find_step(id) != nullptr; });
        const bool inputs_known = std::ranges::all_of(inputs, [&](const auto& name) {
            return workflow_.find_input(name) != nullptr;
        });
        for (const auto& step : workflow_.steps) {
            if (steps_known && !steps.contains(step.id)) {
                problems_.add(
                    step.place, step.path, "nobody uses what step " + step.id + " makes",
                    "name it under outputs, or remove the step"
                );
            }
        }
        for (const auto& input : workflow_.inputs) {
            if (inputs_known && !inputs.contains(input.name)) {
                problems_.warn(input.place, "inputs." + input.name, "nobody uses this input", "remove it");
            }
        }
    }

    Workflow& workflow_;
    bool complete_;
    Problems& problems_;
};

}  // namespace

void check_meaning(Workflow& workflow, bool complete, Problems& problems) {
    Checker(workflow, complete, problems).check();
}

}  // namespace framegrid::workflow
