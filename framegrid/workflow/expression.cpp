#include <framegrid/workflow/expression.hpp>

#include <algorithm>
#include <utility>

namespace framegrid::workflow {

namespace {

bool is_number(Type type) {
    return !type.list && (type.kind == Kind::kInteger || type.kind == Kind::kNumber);
}

// One walk over a tree that says what does not fit.
class Typer {
  public:
    Typer(const Scope& scope, const std::string& path, Problems& problems)
        : scope_(scope), path_(path), problems_(problems) {}

    std::optional<Type> type(const Expression& e) {
        switch (e.op) {
            case Op::kLiteral:
                return literal(e);
            case Op::kReference:
                return reference(e);
            case Op::kNot:
            case Op::kAnd:
            case Op::kOr:
                return logic(e);
            case Op::kText:
                return text(e);
            case Op::kList:
                return list(e);
            default:
                return comparison(e);
        }
    }

  private:
    std::nullopt_t wrong(const Expression& e, std::string cause, std::string advice = {}) {
        problems_.add(e.place, path_, std::move(cause), std::move(advice));
        return std::nullopt;
    }

    static std::optional<Type> literal(const Expression& e) {
        if (std::holds_alternative<bool>(e.literal)) {
            return Type{Kind::kBoolean};
        }
        if (std::holds_alternative<std::int64_t>(e.literal)) {
            return Type{Kind::kInteger};
        }
        if (std::holds_alternative<double>(e.literal)) {
            return Type{Kind::kNumber};
        }
        return Type{Kind::kText};
    }

    std::optional<Type> logic(const Expression& e) {
        bool good = true;
        for (const auto& arg : e.args) {
            const auto found = type(arg);
            if (found && *found != Type{Kind::kBoolean}) {
                wrong(
                    arg, to_string(*found) + " where a condition is wanted",
                    "compare it, as in inputs.x.width < 720"
                );
                good = false;
            }
            good = good && found.has_value();
        }
        return good ? std::optional(Type{Kind::kBoolean}) : std::nullopt;
    }

    std::optional<Type> comparison(const Expression& e) {
        const auto left = type(e.args[0]);
        const auto right = type(e.args[1]);
        if (!left || !right) {
            return std::nullopt;
        }
        const bool equality = e.op == Op::kEq || e.op == Op::kNe;
        const bool same = *left == *right && !left->list && !is_media(left->kind);
        if (!(is_number(*left) && is_number(*right)) && !(equality && same)) {
            return wrong(
                e, to_string(*left) + " cannot be compared with " + to_string(*right),
                "numbers have an order; text and booleans can be equal"
            );
        }
        return Type{Kind::kBoolean};
    }

    std::optional<Type> text(const Expression& e) {
        bool good = true;
        for (const auto& arg : e.args) {
            const auto found = type(arg);
            if (found && (found->list || is_media(found->kind))) {
                wrong(arg, to_string(*found) + " inside text", "text can hold text, numbers and booleans");
                good = false;
            }
            good = good && found.has_value();
        }
        return good ? std::optional(Type{Kind::kText}) : std::nullopt;
    }

    std::optional<Type> list(const Expression& e) {
        std::optional<Type> all;
        for (const auto& arg : e.args) {
            const auto found = type(arg);
            if (!found) {
                return std::nullopt;
            }
            if (!is_media(found->kind)) {
                return wrong(arg, to_string(*found) + " in a list", "lists hold files");
            }
            if (all && all->kind != found->kind) {
                return wrong(
                    arg, to_string(*found) + " in a list of " + to_string({all->kind, true}),
                    "all files of a list have one type"
                );
            }
            all = Type{found->kind, true};
        }
        return all ? all : wrong(e, "an empty list");
    }

    std::optional<Type> reference(const Expression& e) {
        const Reference& to = e.reference;
        if (to.index_is_item && !scope_.has_item()) {
            return wrong(e, "item.index outside of a step with foreach");
        }
        auto found = base(e);
        if (!found) {
            return std::nullopt;
        }
        if (to.index || to.index_is_item) {
            if (!found->list) {
                return wrong(e, "an index of " + to_string(*found), "only lists have an index");
            }
            found->list = false;
        }
        return property(e, *found);
    }

    std::optional<Type> base(const Expression& e) {
        const Reference& to = e.reference;
        switch (to.root) {
            case Reference::Root::kInput: {
                const auto found = scope_.input(to.name);
                return found ? found
                             : wrong(
                                   e, "there is no input \"" + to.name + "\"",
                                   advice_for(to.name, scope_.input_names())
                               );
            }
            case Reference::Root::kStep:
                return step(e);
            case Reference::Root::kItem:
                if (!scope_.has_item()) {
                    return wrong(e, "item outside of a step with foreach");
                }
                return scope_.item();
            case Reference::Root::kItemIndex:
                break;
        }
        if (!scope_.has_item()) {
            return wrong(e, "item.index outside of a step with foreach");
        }
        return Type{Kind::kInteger};
    }

    std::optional<Type> step(const Expression& e) {
        const Reference& to = e.reference;
        const auto found = scope_.step(to.name);
        if (found.unknown) {
            return wrong(e, "there is no step \"" + to.name + "\"", advice_for(to.name, scope_.step_names()));
        }
        if (found.each && !to.all) {
            return wrong(
                e, "step " + to.name + " has foreach and so no single output",
                "write steps." + to.name + ".outputs, with [0] or [item.index] for one of them"
            );
        }
        return found.kind ? std::optional(Type{*found.kind, to.all}) : std::nullopt;
    }

    std::optional<Type> property(const Expression& e, Type of) {
        const Property property = e.reference.property;
        if (property == Property::kNone) {
            return of;
        }
        const bool seen = of.kind == Kind::kImage || of.kind == Kind::kVideo;
        bool good = false;
        switch (property) {
            case Property::kCount:
                good = of.list;
                break;
            case Property::kWidth:
            case Property::kHeight:
                good = !of.list && seen;
                break;
            case Property::kBytes:
                good = !of.list && is_media(of.kind);
                break;
            default:
                good = !of.list && of.kind == Kind::kVideo;
                break;
        }
        if (!good) {
            return wrong(
                e, to_string(of) + " has no such property",
                "lists have count; images width, height, bytes; videos also duration_ms, frames"
            );
        }
        return Type{Kind::kInteger};
    }

    const Scope& scope_;
    const std::string& path_;
    Problems& problems_;
};

double to_double(const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        return static_cast<double>(*integer);
    }
    const auto* number = std::get_if<double>(&value);
    return number == nullptr ? 0 : *number;
}

bool is_number(const Value& value) {
    return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}

std::partial_ordering compare(const Value& left, const Value& right) {
    const auto* a = std::get_if<std::int64_t>(&left);
    const auto* b = std::get_if<std::int64_t>(&right);
    if (a != nullptr && b != nullptr) {
        return *a <=> *b;
    }
    if (is_number(left) && is_number(right)) {
        return to_double(left) <=> to_double(right);
    }
    return left == right ? std::partial_ordering::equivalent : std::partial_ordering::unordered;
}

bool holds(Op op, std::partial_ordering order) {
    switch (op) {
        case Op::kEq:
            return order == 0;
        case Op::kNe:
            return order != 0;
        case Op::kLt:
            return order < 0;
        case Op::kLe:
            return order <= 0;
        case Op::kGt:
            return order > 0;
        default:
            return order >= 0;
    }
}

Outcome property_of(Property property, Outcome found) {
    if (property == Property::kNone || !found.is_ready()) {
        return found;
    }
    if (const auto* list = std::get_if<std::vector<Artifact>>(&found.value)) {
        return Outcome::ready(static_cast<std::int64_t>(list->size()));
    }
    const auto* artifact = std::get_if<Artifact>(&found.value);
    if (artifact == nullptr) {
        return Outcome::absent();
    }
    switch (property) {
        case Property::kWidth:
            return Outcome::ready(std::int64_t{artifact->width});
        case Property::kHeight:
            return Outcome::ready(std::int64_t{artifact->height});
        case Property::kDurationMs:
            return Outcome::ready(artifact->duration_ms);
        case Property::kFrames:
            return Outcome::ready(artifact->frames);
        default:
            return Outcome::ready(static_cast<std::int64_t>(artifact->bytes));
    }
}

Outcome logic(const Expression& e, const Source& source) {
    const bool decides = e.op == Op::kOr;  // the value that settles it
    Outcome::State rest = Outcome::State::kReady;
    for (const auto& arg : e.args) {
        const Outcome part = evaluate(arg, source);
        if (part.is_ready()) {
            const auto* truth = std::get_if<bool>(&part.value);
            if (truth != nullptr && *truth == decides) {
                return Outcome::ready(decides);
            }
        } else if (rest != Outcome::State::kPending) {
            rest = part.state;
        }
    }
    return rest == Outcome::State::kReady ? Outcome::ready(!decides) : Outcome{rest, {}};
}

Outcome list(const Expression& e, const Source& source) {
    std::vector<Artifact> all;
    for (const auto& arg : e.args) {
        Outcome part = evaluate(arg, source);
        if (part.state == Outcome::State::kPending) {
            return part;
        }
        if (auto* one = std::get_if<Artifact>(&part.value)) {
            all.push_back(std::move(*one));
        } else if (auto* many = std::get_if<std::vector<Artifact>>(&part.value)) {
            all.insert(all.end(), many->begin(), many->end());
        }
    }
    return Outcome::ready(std::move(all));
}

Outcome text(const Expression& e, const Source& source) {
    std::string all;
    for (const auto& arg : e.args) {
        const Outcome part = evaluate(arg, source);
        if (!part.is_ready()) {
            return part;
        }
        all += scalar_text(part.value).value_or("");
    }
    return Outcome::ready(std::move(all));
}

}  // namespace

std::optional<Type> type_of(
    const Expression& expression, const Scope& scope, const std::string& path, Problems& problems
) {
    return Typer(scope, path, problems).type(expression);
}

Outcome evaluate(const Expression& expression, const Source& source) {
    switch (expression.op) {
        case Op::kLiteral:
            return Outcome::ready(expression.literal);
        case Op::kReference:
            return property_of(expression.reference.property, source.look_up(expression.reference));
        case Op::kAnd:
        case Op::kOr:
            return logic(expression, source);
        case Op::kText:
            return text(expression, source);
        case Op::kList:
            return list(expression, source);
        case Op::kNot: {
            Outcome inner = evaluate(expression.args[0], source);
            if (const auto* truth = std::get_if<bool>(&inner.value)) {
                return Outcome::ready(!*truth);
            }
            return inner;
        }
        default:
            break;
    }
    const Outcome left = evaluate(expression.args[0], source);
    if (!left.is_ready()) {
        return left;
    }
    const Outcome right = evaluate(expression.args[1], source);
    if (!right.is_ready()) {
        return right;
    }
    return Outcome::ready(holds(expression.op, compare(left.value, right.value)));
}

}  // namespace framegrid::workflow
