#include <framegrid/onnx_graph/symbolic_dim.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace framegrid::onnx_graph {

namespace {

constexpr std::size_t kTermsMax = 16;
constexpr std::size_t kFactorsMax = 8;
constexpr std::int64_t kCoefficientMax = std::int64_t{1} << 40;

using Terms = std::map<SymbolicDim::Product, std::int64_t>;

bool is_small(const Terms& terms) {
    return terms.size() <= kTermsMax && std::ranges::all_of(terms, [](const auto& term) {
               return term.first.size() <= kFactorsMax && term.second <= kCoefficientMax &&
                      term.second >= -kCoefficientMax;
           });
}

void put(Terms& terms, const SymbolicDim::Product& product, std::int64_t coefficient) {
    const auto at = terms.try_emplace(product, 0).first;
    if (__builtin_add_overflow(at->second, coefficient, &at->second)) {
        at->second = std::numeric_limits<std::int64_t>::max();  // not small: the caller gives up on it
    }
    if (at->second == 0) {
        terms.erase(at);
    }
}

}  // namespace

SymbolicDim::SymbolicDim(std::int64_t constant) {
    if (constant != 0) {
        terms_.emplace(Product{}, constant);
    }
}

SymbolicDim SymbolicDim::of_unknown(std::uint32_t unknown) {
    SymbolicDim out;
    out.terms_.emplace(Product{unknown}, 1);
    return out;
}

std::optional<std::int64_t> SymbolicDim::constant() const {
    if (terms_.empty()) {
        return 0;
    }
    if (terms_.size() == 1 && terms_.begin()->first.empty()) {
        return terms_.begin()->second;
    }
    return std::nullopt;
}

std::string SymbolicDim::text() const {
    if (const auto number = constant()) {
        return std::to_string(*number);
    }
    std::string out;
    for (const auto& [product, coefficient] : terms_) {
        out += (out.empty() ? "" : "+") + std::to_string(coefficient);
        for (const auto unknown : product) {
            out += "*u" + std::to_string(unknown);
        }
    }
    return out;
}

SymbolicDim SymbolTable::fresh(std::int64_t least) {
    least_.push_back(least);
    return SymbolicDim::of_unknown(static_cast<std::uint32_t>(least_.size() - 1));
}

SymbolicDim SymbolTable::named(const std::string& name, std::int64_t least) {
    const auto at = named_.find(name);
    if (at != named_.end()) {
        return SymbolicDim::of_unknown(at->second);
    }
    auto out = fresh(least);
    named_.emplace(name, static_cast<std::uint32_t>(least_.size() - 1));
    return out;
}

SymbolicDim SymbolTable::add(const SymbolicDim& a, const SymbolicDim& b) {
    SymbolicDim out = a;
    for (const auto& [product, coefficient] : b.terms_) {
        put(out.terms_, product, coefficient);
    }
    return is_small(out.terms_) ? out : named("(" + a.text() + ")+(" + b.text() + ")", kUnbounded);
}

SymbolicDim SymbolTable::subtract(const SymbolicDim& a, const SymbolicDim& b) {
    SymbolicDim negative = b;
    for (auto& term : negative.terms_) {
        if (__builtin_sub_overflow(std::int64_t{0}, term.second, &term.second)) {
            return fresh();
        }
    }
    return add(a, negative);
}

SymbolicDim SymbolTable::multiply(const SymbolicDim& a, const SymbolicDim& b) {
    SymbolicDim out;
    if (a.terms_.size() * b.terms_.size() <= kTermsMax) {
        bool fits = true;
        for (const auto& [product_a, coefficient_a] : a.terms_) {
            for (const auto& [product_b, coefficient_b] : b.terms_) {
                SymbolicDim::Product product;
                std::ranges::merge(product_a, product_b, std::back_inserter(product));
                std::int64_t coefficient = 0;
                fits = fits && !__builtin_mul_overflow(coefficient_a, coefficient_b, &coefficient) &&
                       coefficient <= kCoefficientMax && coefficient >= -kCoefficientMax;
                put(out.terms_, product, coefficient);
            }
        }
        if (fits && is_small(out.terms_)) {
            return out;
        }
    }
    const auto texts = std::minmax({a.text(), b.text()});
    return named("(" + texts.first + ")*(" + texts.second + ")", kUnbounded);
}

// a / b where nothing is left over, whatever the unknowns are. `b` is one product.
std::optional<SymbolicDim> SymbolTable::exact_quotient(const SymbolicDim& a, const SymbolicDim& b) const {
    if (b.terms_.size() != 1) {
        return a == b && !b.terms_.empty() && least(b) > 0 ? std::optional<SymbolicDim>(1) : std::nullopt;
    }
    const auto& [divisor, factor] = *b.terms_.begin();
    SymbolicDim out;
    for (const auto& [product, coefficient] : a.terms_) {
        SymbolicDim::Product rest;
        std::ranges::set_difference(product, divisor, std::back_inserter(rest));
        if (coefficient % factor != 0 || rest.size() + divisor.size() != product.size()) {
            return std::nullopt;
        }
        out.terms_.emplace(std::move(rest), coefficient / factor);
    }
    return out;
}

SymbolicDim SymbolTable::divide(const SymbolicDim& a, const SymbolicDim& b) {
    const auto divisor = b.constant();
    if (divisor == 0 || !is_small(a.terms_) || !is_small(b.terms_)) {
        return fresh();
    }
    if (const auto whole = a.constant(); whole && divisor) {
        return *whole / *divisor;
    }
    if (auto exact = exact_quotient(a, b)) {
        return *exact;
    }
    const std::int64_t least_a = least(a);
    const bool is_bounded = divisor && *divisor > 0 && least_a >= 0;
    return named("(" + a.text() + ")/(" + b.text() + ")", is_bounded ? least_a / *divisor : kUnbounded);
}

SymbolicDim SymbolTable::lesser(const SymbolicDim& a, const SymbolicDim& b) {
    const auto a_number = a.constant();
    const auto b_number = b.constant();
    if (a == b || (a_number && b_number && *a_number < *b_number)) {
        return a;
    }
    if (a_number && b_number) {
        return b;
    }
    const auto texts = std::minmax({a.text(), b.text()});
    auto out = named("(" + texts.first + ")min(" + texts.second + ")", std::min(least(a), least(b)));
    if (const auto number = a_number ? a_number : b_number; number && *number > 1) {
        cut_.emplace(out.text(), a_number ? b.text() : a.text());
    }
    return out;
}

// Whether `cut` is `whole`, or a number over 1 that is smaller: then both can only be broadcast where they
// are the same.
bool SymbolTable::is_cut(const SymbolicDim& cut, const SymbolicDim& whole) const {
    const auto at = cut_.find(cut.text());
    return at != cut_.end() && at->second == whole.text();
}

SymbolicDim SymbolTable::broadcast(const SymbolicDim& a, const SymbolicDim& b) {
    if (a == b || b.is(1) || is_cut(b, a)) {
        return a;
    }
    if (a.is(1) || is_cut(a, b)) {
        return b;
    }
    // What is over 1 is the result: the other is 1 or the same.
    if (const bool a_counts = least(a) > 1; a_counts || least(b) > 1 || b.constant()) {
        return a_counts ? a : b;
    }
    if (a.constant()) {
        return a;
    }
    // Against one of what it was made of, a broadcast size stays what it is.
    std::set<std::string> parts = parts_of(a);
    parts.merge(parts_of(b));
    std::string name;
    for (const auto& part : parts) {
        name += "(" + part + ")~";
    }
    auto out = named(name, std::min<std::int64_t>({1, least(a), least(b)}));
    broadcast_.emplace(out.text(), std::move(parts));
    return out;
}

std::set<std::string> SymbolTable::parts_of(const SymbolicDim& dim) const {
    const auto at = broadcast_.find(dim.text());
    return at != broadcast_.end() ? at->second : std::set<std::string>{dim.text()};
}

std::int64_t SymbolTable::least_of_product(const SymbolicDim::Product& product) const {
    std::int64_t out = 1;
    for (const auto unknown : product) {
        const std::int64_t least = least_[unknown];
        if (least < 0 || __builtin_mul_overflow(out, least, &out)) {
            return kUnbounded;
        }
    }
    return out;
}

std::int64_t SymbolTable::least(const SymbolicDim& dim) const {
    std::int64_t out = 0;
    for (const auto& [product, coefficient] : dim.terms_) {
        const std::int64_t low = product.empty()   ? 1
                                 : coefficient < 0 ? kUnbounded
                                                   : least_of_product(product);
        std::int64_t part = 0;
        if (low == kUnbounded || __builtin_mul_overflow(low, coefficient, &part) ||
            __builtin_add_overflow(out, part, &out)) {
            return kUnbounded;
        }
    }
    return out;
}

}  // namespace framegrid::onnx_graph
