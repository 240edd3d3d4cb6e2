// The small language inside `${...}`: references, comparisons, and / or / not. Parsed once into a tree, typed
// before a run, evaluated without side effects. Grammar: docs/workflows.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/workflow/problem.hpp>
#include <framegrid/workflow/value.hpp>
#include <framegrid/workflow/yaml_tree.hpp>

namespace framegrid::workflow {

enum class Property : std::uint8_t { kNone, kWidth, kHeight, kDurationMs, kFrames, kBytes, kCount };

// `inputs.photos.count`, `steps.cut.outputs[item.index].width`, `item`, `item.index`.
struct Reference {
    enum class Root : std::uint8_t { kInput, kStep, kItem, kItemIndex };
    Root root = Root::kInput;
    std::string name;                   // of the input or step
    bool all = false;                   // `outputs`: the list; else its first, or `output`
    std::optional<std::int64_t> index;  // `outputs[2]`, `photos[2]`
    bool index_is_item = false;         // `outputs[item.index]`
    Property property = Property::kNone;
};

enum class Op : std::uint8_t {
    kLiteral,
    kReference,
    kNot,
    kAnd,
    kOr,
    kEq,
    kNe,
    kLt,
    kLe,
    kGt,
    kGe,
    kText,
    kList
};

// A tree. kText joins its parts to one text; kList its media and lists of media to one list.
struct Expression {
    Op op = Op::kLiteral;
    Place place;
    Value literal;
    Reference reference;
    std::vector<Expression> args;
};

inline constexpr std::size_t kExpressionBytesMax = 4096;  // between ${ and }
inline constexpr int kExpressionDepthMax = 32;

// A scalar or a sequence of scalars of the document. Plain `true`, `42` and `1.5` have their types, text may
// contain `${...}`, a whole `${...}` has its expression's type, `$${` stands for `${`. Nothing after a
// problem.
std::optional<Expression> parse_expression(const Node& node, const std::string& path, Problems& problems);

// The types of what an expression may refer to.
class Scope {
  public:
    virtual ~Scope() = default;
    // Of an input.
    virtual std::optional<Type> input(std::string_view name) const = 0;
    // Of `output` (list = false) and `outputs` (list = true) of a step. `unknown`: there is no such step.
    // Nothing and not unknown: its type could not be found out, which was said already.
    struct StepType {
        bool unknown = false;
        bool each = false;  // runs for each of a list's items: has no single output
        std::optional<Kind> kind;
    };
    virtual StepType step(std::string_view id) const = 0;
    // Of `item`; nothing outside foreach.
    virtual std::optional<Type> item() const = 0;
    virtual bool has_item() const = 0;
    virtual std::vector<std::string> input_names() const = 0;
    virtual std::vector<std::string> step_names() const = 0;
};

// The expression's type; nothing after a problem, or where one was said before.
std::optional<Type> type_of(
    const Expression& expression, const Scope& scope, const std::string& path, Problems& problems
);

// What an expression has come to.
struct Outcome {
    enum class State : std::uint8_t {
        kReady,
        kPending,  // something it needs is not there yet
        kAbsent,   // something it needs will never be there: a step was skipped
    };
    State state = State::kPending;
    Value value;
    static Outcome ready(Value value) { return {State::kReady, std::move(value)}; }
    static Outcome pending() { return {}; }
    static Outcome absent() { return {State::kAbsent, {}}; }
    bool is_ready() const { return state == State::kReady; }
};

// Looks up what a reference stands for, without its property.
class Source {
  public:
    virtual ~Source() = default;
    virtual Outcome look_up(const Reference& reference) const = 0;
};

// Evaluates a typed expression. `false and X` and `true or X` do not wait for X. Lists leave out what was
// skipped.
Outcome evaluate(const Expression& expression, const Source& source);

// Calls `visit(reference, place)` for every reference in the tree.
template <class Visit>
void for_each_reference(const Expression& expression, const Visit& visit) {
    if (expression.op == Op::kReference) {
        visit(expression.reference, expression.place);
    }
    for (const auto& arg : expression.args) {
        for_each_reference(arg, visit);
    }
}

}  // namespace framegrid::workflow
