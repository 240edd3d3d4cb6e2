// Sizes of tensors as expressions of what a network's caller chooses: "4 * height * width", "rows * 8".
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace framegrid::onnx_graph {

// A polynomial with whole coefficients over unknowns (SymbolTable). Two that compare equal are equal whatever
// the unknowns are; two that do not may be equal, too.
class SymbolicDim {
  public:
    using Product = std::vector<std::uint32_t>;  // of unknowns, ascending; empty: the constant

    SymbolicDim(std::int64_t constant = 0);  // NOLINT(google-explicit-constructor): numbers are such
    static SymbolicDim of_unknown(std::uint32_t unknown);

    std::optional<std::int64_t> constant() const;
    bool is(std::int64_t value) const { return constant() == value; }
    const std::map<Product, std::int64_t>& terms() const { return terms_; }

    // The same for the same expression.
    std::string text() const;
    friend bool operator==(const SymbolicDim&, const SymbolicDim&) = default;

  private:
    friend class SymbolTable;
    std::map<Product, std::int64_t> terms_;  // no coefficient is 0
};

// The unknowns, and arithmetic that may need new ones: what no polynomial can say is an unknown of its own,
// the same one each time. Numbers and expressions that grow too large become unknowns as well.
class SymbolTable {
  public:
    static constexpr std::int64_t kUnbounded = std::numeric_limits<std::int64_t>::min();

    // One that equals nothing else; it is never below `least`.
    SymbolicDim fresh(std::int64_t least = kUnbounded);

    SymbolicDim add(const SymbolicDim& a, const SymbolicDim& b);
    SymbolicDim subtract(const SymbolicDim& a, const SymbolicDim& b);
    SymbolicDim multiply(const SymbolicDim& a, const SymbolicDim& b);
    // Rounded towards 0, as ONNX does for whole numbers.
    SymbolicDim divide(const SymbolicDim& a, const SymbolicDim& b);
    // The smaller of both.
    SymbolicDim lesser(const SymbolicDim& a, const SymbolicDim& b);
    // Of two sizes that are broadcast against each other (ONNX, "Multidirectional Broadcasting").
    SymbolicDim broadcast(const SymbolicDim& a, const SymbolicDim& b);

    // A number that `dim` is never below, or kUnbounded.
    std::int64_t least(const SymbolicDim& dim) const;

  private:
    SymbolicDim named(const std::string& name, std::int64_t least);
    std::optional<SymbolicDim> exact_quotient(const SymbolicDim& a, const SymbolicDim& b) const;
    bool is_cut(const SymbolicDim& cut, const SymbolicDim& whole) const;
    std::set<std::string> parts_of(const SymbolicDim& dim) const;
    std::int64_t least_of_product(const SymbolicDim::Product& product) const;

    std::vector<std::int64_t> least_;  // of each unknown
    std::map<std::string, std::uint32_t> named_;
    std::map<std::string, std::string>
        cut_;  // the size, by that of what is left of it where a number was smaller
    std::map<std::string, std::set<std::string>> broadcast_;  // what those sizes were made of
};

}  // namespace framegrid::onnx_graph
