#include <framegrid/workflow/expression.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <framegrid/base/log.hpp>

namespace framegrid::workflow {

namespace {

constexpr std::int64_t kIndexMax = 100'000;

struct PropertyName {
    std::string_view name;
    Property property;
};
constexpr std::array kProperties{
    PropertyName{"width", Property::kWidth},
    PropertyName{"height", Property::kHeight},
    PropertyName{"duration_ms", Property::kDurationMs},
    PropertyName{"frames", Property::kFrames},
    PropertyName{"bytes", Property::kBytes},
    PropertyName{"count", Property::kCount},
};

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Why an expression cannot be read, and where in it.
struct Mistake {
    std::size_t at = 0;
    std::string cause;
    std::string advice;
};

// Recursive descent over the text between ${ and }. Every function returns nothing after a mistake.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    std::optional<Expression> read() {
        auto out = either();
        skip_spaces();
        if (out && at_ < text_.size()) {
            return mistake("unexpected " + printable(text_.substr(at_), 20), "");
        }
        return out;
    }
    const Mistake& said() const { return mistake_; }

  private:
    std::nullopt_t mistake(std::string cause, std::string advice) {
        if (mistake_.cause.empty()) {
            mistake_ = {at_, std::move(cause), std::move(advice)};
        }
        return std::nullopt;
    }
    void skip_spaces() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
            ++at_;
        }
    }
    bool take(std::string_view sign) {
        skip_spaces();
        if (!text_.substr(at_).starts_with(sign)) {
            return false;
        }
        at_ += sign.size();
        return true;
    }
    bool take_word(std::string_view word) {
        skip_spaces();
        const auto rest = text_.substr(at_);
        if (!rest.starts_with(word)) {
            return false;
        }
        const char next = rest.size() > word.size() ? rest[word.size()] : ' ';
        if (is_letter(next) || is_digit(next) || next == '-' || next == '.') {
            return false;
        }
        at_ += word.size();
        return true;
    }
    std::string_view take_name() {
        const std::size_t begin = at_;
        while (at_ < text_.size() &&
               (is_letter(text_[at_]) || (at_ > begin && (is_digit(text_[at_]) || text_[at_] == '-')))) {
            ++at_;
        }
        return text_.substr(begin, at_ - begin);
    }

    static Expression node(Op op, std::vector<Expression> args) {
        Expression out;
        out.op = op;
        out.args = std::move(args);
        return out;
    }

    std::optional<Expression> either() { return chain(Op::kOr, "or", &Reader::both); }
    std::optional<Expression> both() { return chain(Op::kAnd, "and", &Reader::negation); }

    std::optional<Expression> chain(
        Op op, std::string_view word, std::optional<Expression> (Reader::*part)()
    ) {
        auto first = (this->*part)();
        if (!first) {
            return std::nullopt;
        }
        std::vector<Expression> args;
        args.push_back(std::move(*first));
        while (take_word(word)) {
            auto next = (this->*part)();
            if (!next) {
                return std::nullopt;
            }
            args.push_back(std::move(*next));
        }
        return args.size() == 1 ? std::move(args.front()) : node(op, std::move(args));
    }

    std::optional<Expression> negation() {
        if (++depth_ > kExpressionDepthMax) {
            return mistake("nested too deeply", "");
        }
        std::optional<Expression> out;
        if (take_word("not")) {
            if (auto inner = negation()) {
                out = node(Op::kNot, {std::move(*inner)});
            }
        } else {
            out = comparison();
        }
        --depth_;
        return out;
    }

    std::optional<Expression> comparison() {
        auto left = primary();
        if (!left) {
            return std::nullopt;
        }
        constexpr std::array<std::pair<std::string_view, Op>, 6> kSigns{
            {{"==", Op::kEq},
             {"!=", Op::kNe},
             {"<=", Op::kLe},
             {">=", Op::kGe},
             {"<", Op::kLt},
             {">", Op::kGt}}
        };
        for (const auto& [sign, op] : kSigns) {
            if (take(sign)) {
                auto right = primary();
                if (!right) {
                    return std::nullopt;
                }
                return node(op, {std::move(*left), std::move(*right)});
            }
        }
        return left;
    }

    std::optional<Expression> primary() {
        skip_spaces();
        if (at_ >= text_.size()) {
            return mistake("the expression ends too early", "");
        }
        if (take("(")) {
            auto inner = either();
            if (inner && !take(")")) {
                return mistake("a ) is missing", "");
            }
            return inner;
        }
        const char c = text_[at_];
        if (c == '\'' || c == '"') {
            return quoted(c);
        }
        if (is_digit(c) || c == '-') {
            return number();
        }
        Expression out;
        if (take_word("true")) {
            out.literal = true;
            return out;
        }
        if (take_word("false")) {
            out.literal = false;
            return out;
        }
        return reference();
    }

    std::optional<Expression> quoted(char quote) {
        const auto end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) {
            return mistake("the text has no closing quote", "");
        }
        Expression out;
        out.literal = std::string(text_.substr(at_ + 1, end - at_ - 1));
        at_ = end + 1;
        return out;
    }

    std::optional<Expression> number() {
        const char* const begin = text_.data() + at_;
        const char* const end = text_.data() + text_.size();
        std::int64_t integer = 0;
        double real = 0;
        const auto whole = std::from_chars(begin, end, integer);
        const auto fraction = std::from_chars(begin, end, real);
        if (fraction.ec != std::errc{} || !std::isfinite(real)) {
            return mistake("not a number", "");
        }
        Expression out;
        if (whole.ec == std::errc{} && whole.ptr == fraction.ptr) {
            out.literal = integer;
        } else {
            out.literal = real;
        }
        at_ += static_cast<std::size_t>(fraction.ptr - begin);
        return out;
    }

    std::optional<Expression> reference() {
        const std::size_t begin = at_;
        const auto root = take_name();
        Expression out;
        out.op = Op::kReference;
        Reference& to = out.reference;
        if (root == "item") {
            to.root = Reference::Root::kItem;
            if (text_.substr(at_).starts_with(".index")) {
                at_ += 6;
                to.root = Reference::Root::kItemIndex;
                return out;
            }
        } else if (root == "inputs" || root == "steps") {
            to.root = root == "inputs" ? Reference::Root::kInput : Reference::Root::kStep;
            if (take(".")) {
                to.name = take_name();
            }
            if (to.name.empty()) {
                return mistake(
                    "a name is missing after " + std::string(root), "write " + std::string(root) + ".NAME"
                );
            }
            if (to.root == Reference::Root::kStep && !which_output(to)) {
                return std::nullopt;
            }
        } else {
            at_ = begin;
            return mistake(
                "unknown name " + printable(root.empty() ? text_.substr(begin) : root, 40),
                "write inputs.NAME, steps.ID.output, steps.ID.outputs, item or item.index; text needs quotes"
            );
        }
        if ((to.root == Reference::Root::kInput || to.all) && !index(to)) {
            return std::nullopt;
        }
        if (!property(to)) {
            return std::nullopt;
        }
        return out;
    }

    bool which_output(Reference& to) {
        const auto which = take(".") ? take_name() : std::string_view{};
        if (which != "output" && which != "outputs") {
            mistake(
                "steps." + to.name + " is not a value",
                "write steps." + to.name + ".output, or .outputs for the list of all"
            );
            return false;
        }
        to.all = which == "outputs";
        return true;
    }

    bool index(Reference& to) {
        if (!text_.substr(at_).starts_with("[")) {
            return true;
        }
        ++at_;
        if (take_word("item.index")) {
            to.index_is_item = true;
        } else {
            skip_spaces();
            std::int64_t value = -1;
            const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
            if (error != std::errc{} || value < 0 || value > kIndexMax) {
                mistake("not an index", "write a number from 0, or item.index");
                return false;
            }
            at_ = static_cast<std::size_t>(end - text_.data());
            to.index = value;
        }
        if (!take("]")) {
            mistake("a ] is missing", "");
            return false;
        }
        return true;
    }

    bool property(Reference& to) {
        if (!text_.substr(at_).starts_with(".")) {
            return true;
        }
        ++at_;
        const auto name = take_name();
        for (const auto& known : kProperties) {
            if (known.name == name) {
                to.property = known.property;
                return true;
            }
        }
        mistake(
            "unknown property " + printable(name, 40),
            "known are width, height, duration_ms, frames, bytes, and count of a list"
        );
        return false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
    Mistake mistake_;
};

// Where byte `offset` of a scalar stands. Of scalars over several lines only the beginning is known.
Place place_in(const Node& node, std::size_t offset) {
    if (node.text.find('\n') != std::string::npos) {
        return node.place;
    }
    int column = node.place.column + (node.quoted ? 1 : 0);
    for (std::size_t i = 0; i < offset && i < node.text.size(); ++i) {
        column += (static_cast<unsigned char>(node.text[i]) & 0xC0U) != 0x80U ? 1 : 0;
    }
    return {node.place.line, column};
}

void put_place(Expression& tree, Place place) {
    tree.place = place;
    for (auto& arg : tree.args) {
        put_place(arg, place);
    }
}

// The end of the expression that begins at `begin`, a closing brace outside quotes; npos without one.
std::size_t find_end(std::string_view text, std::size_t begin) {
    char quote = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
        if (quote != 0) {
            quote = text[i] == quote ? '\0' : quote;
        } else if (text[i] == '\'' || text[i] == '"') {
            quote = text[i];
        } else if (text[i] == '}') {
            return i;
        }
    }
    return std::string_view::npos;
}

std::optional<Expression> parse_inner(
    const Node& node, std::size_t begin, std::size_t end, const std::string& path, Problems& problems
) {
    const auto text = std::string_view(node.text).substr(begin, end - begin);
    if (text.size() > kExpressionBytesMax) {
        problems.add(place_in(node, begin), path, "the expression is too long");
        return std::nullopt;
    }
    Reader reader(text);
    auto out = reader.read();
    if (!out) {
        const auto& said = reader.said();
        problems.add(place_in(node, begin + said.at), path, said.cause, said.advice);
        return std::nullopt;
    }
    put_place(*out, place_in(node, begin));
    return out;
}

Value plain_value(const Node& node) {
    if (node.quoted) {
        return node.text;
    }
    if (node.text == "true" || node.text == "false") {
        return node.text == "true";
    }
    const char* const begin = node.text.data();
    const char* const end = begin + node.text.size();
    std::int64_t integer = 0;
    if (const auto [at, error] = std::from_chars(begin, end, integer); error == std::errc{} && at == end) {
        return integer;
    }
    double real = 0;
    if (const auto [at, error] = std::from_chars(begin, end, real);
        error == std::errc{} && at == end && std::isfinite(real)) {
        return real;
    }
    return node.text;
}

std::optional<Expression> parse_scalar(const Node& node, const std::string& path, Problems& problems) {
    const std::string& text = node.text;
    std::vector<Expression> parts;
    std::string plain;
    const auto flush = [&] {
        if (!plain.empty()) {
            Expression part;
            part.place = node.place;
            part.literal = std::exchange(plain, {});
            parts.push_back(std::move(part));
        }
    };
    bool any = false;
    for (std::size_t at = 0; at < text.size();) {
        const auto rest = std::string_view(text).substr(at);
        if (rest.starts_with("$${")) {
            plain += "${";
            at += 3;
            any = true;
        } else if (rest.starts_with("${")) {
            any = true;
            const auto end = find_end(text, at + 2);
            if (end == std::string::npos) {
                problems.add(
                    place_in(node, at), path, "${ without }", "close it, or write $${ for the characters ${"
                );
                return std::nullopt;
            }
            flush();
            auto inner = parse_inner(node, at + 2, end, path, problems);
            if (!inner) {
                return std::nullopt;
            }
            parts.push_back(std::move(*inner));
            at = end + 1;
        } else {
            plain += text[at++];
        }
    }
    Expression out;
    out.place = node.place;
    if (!any) {
        out.literal = plain_value(node);
        return out;
    }
    flush();
    if (parts.size() == 1) {
        return std::move(parts.front());
    }
    out.op = Op::kText;
    out.args = std::move(parts);
    return out;
}

}  // namespace

std::optional<Expression> parse_expression(const Node& node, const std::string& path, Problems& problems) {
    switch (node.kind) {
        case NodeKind::kNull: {
            Expression nothing;
            nothing.place = node.place;
            return nothing;
        }
        case NodeKind::kScalar:
            return parse_scalar(node, path, problems);
        case NodeKind::kMap:
            problems.add(node.place, path, "must be a value or an expression, not a map");
            return std::nullopt;
        case NodeKind::kSequence:
            break;
    }
    Expression out;
    out.op = Op::kList;
    out.place = node.place;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const std::string place = path + "[" + std::to_string(i) + "]";
        if (node.items[i].kind != NodeKind::kScalar) {
            problems.add(node.items[i].place, place, "must be a value or an expression");
            return std::nullopt;
        }
        auto part = parse_scalar(node.items[i], place, problems);
        if (!part) {
            return std::nullopt;
        }
        out.args.push_back(std::move(*part));
    }
    return out;
}

}  // namespace framegrid::workflow
