#include <framegrid/onnx_graph/symbolic_dim.hpp>

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace framegrid::onnx_graph {
namespace {

TEST(SymbolicDimTest, SaysTheSameOfTheSame) {
    SymbolTable symbols;
    const auto rows = symbols.fresh(1);
    const auto height = symbols.fresh(1);
    const auto width = symbols.fresh(1);
    const auto pixels = symbols.multiply(height, width);
    EXPECT_EQ(pixels, symbols.multiply(width, height));
    EXPECT_EQ(
        symbols.divide(symbols.multiply(symbols.multiply(rows, 8), pixels), symbols.multiply(pixels, 8)), rows
    );
    EXPECT_EQ(symbols.subtract(symbols.add(height, 3), symbols.add(3, height)).constant(), 0);
    EXPECT_EQ(symbols.divide(height, 2), symbols.divide(height, 2));
    EXPECT_FALSE(symbols.divide(height, 2) == symbols.divide(width, 2));
    EXPECT_FALSE(rows == height);
    EXPECT_EQ(symbols.divide(-7, 2).constant(), -3) << "towards 0";
}

TEST(SymbolicDimTest, BroadcastsAsArraysDo) {
    SymbolTable symbols;
    const auto rows = symbols.fresh(1);
    const auto more = symbols.fresh(1);
    EXPECT_EQ(symbols.broadcast(rows, 1), rows);
    EXPECT_EQ(symbols.broadcast(5, rows).constant(), 5);
    EXPECT_EQ(
        symbols.broadcast(symbols.multiply(rows, 4), symbols.multiply(more, 4)), symbols.multiply(rows, 4)
    ) << "neither is 1, so both are the same";
    const auto both = symbols.broadcast(rows, more);
    EXPECT_FALSE(both == rows || both == more);
    EXPECT_EQ(symbols.broadcast(both, rows), both);
    EXPECT_EQ(symbols.broadcast(more, both), both);
    // As many of 77 positions as there are words.
    const auto positions = symbols.lesser(77, rows);
    EXPECT_EQ(symbols.broadcast(positions, rows), rows);
    EXPECT_FALSE(symbols.broadcast(positions, more) == more);
    EXPECT_FALSE(symbols.broadcast(symbols.lesser(1, rows), rows) == symbols.lesser(1, rows));
}

TEST(SymbolicDimTest, KnowsWhatASizeIsNeverBelow) {
    SymbolTable symbols;
    const auto side = symbols.fresh(1);
    const auto any = symbols.fresh();
    EXPECT_EQ(symbols.least(symbols.multiply(side, 3)), 3);
    EXPECT_EQ(symbols.least(symbols.add(symbols.divide(symbols.add(side, -1), 2), 1)), 1)
        << "a convolution by 2";
    EXPECT_EQ(symbols.least(any), SymbolTable::kUnbounded);
    EXPECT_EQ(symbols.least(symbols.subtract(5, side)), SymbolTable::kUnbounded);
    EXPECT_EQ(symbols.least(symbols.divide(symbols.add(side, -2), 2)), SymbolTable::kUnbounded);
}

// An expression and what it is in one run of the network.
struct Sample {
    SymbolicDim dim;
    std::int64_t value = 0;
};

// Whatever the unknowns are: what is said to be equal is, and no bound is passed.
TEST(SymbolicDimTest, HoldsForNumbers) {
    std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): a test that repeats
    const auto below = [&random](std::uint32_t limit) { return random() % limit; };
    for (int round = 0; round < 300; ++round) {
        SymbolTable symbols;
        std::vector<Sample> samples;
        for (int i = 0; i < 4; ++i) {
            samples.push_back({symbols.fresh(1), 1 + static_cast<std::int64_t>(below(3))});
        }
        for (const int number : {-3, -1, 0, 1, 2, 4, 16}) {
            samples.push_back({number, number});
        }
        std::map<std::string, std::int64_t> seen;
        for (int i = 0; i < 120; ++i) {
            const Sample a = samples[below(static_cast<std::uint32_t>(samples.size()))];
            const Sample b = samples[below(static_cast<std::uint32_t>(samples.size()))];
            Sample out;
            switch (below(6)) {
                case 0:
                    out = {symbols.add(a.dim, b.dim), a.value + b.value};
                    break;
                case 1:
                    out = {symbols.subtract(a.dim, b.dim), a.value - b.value};
                    break;
                case 2:
                    out = {symbols.multiply(a.dim, b.dim), a.value * b.value};
                    break;
                case 3:
                    if (b.value == 0) {
                        continue;
                    }
                    out = {symbols.divide(a.dim, b.dim), a.value / b.value};
                    break;
                case 4:
                    out = {symbols.lesser(a.dim, b.dim), std::min(a.value, b.value)};
                    break;
                default:
                    // Sizes, that fit.
                    if (a.value < 1 || b.value < 1 || (a.value != b.value && a.value != 1 && b.value != 1) ||
                        symbols.least(a.dim) < 1 || symbols.least(b.dim) < 1) {
                        continue;
                    }
                    out = {symbols.broadcast(a.dim, b.dim), std::max(a.value, b.value)};
            }
            if (std::abs(out.value) > 1'000'000) {
                continue;
            }
            const auto known = seen.emplace(out.dim.text(), out.value).first;
            ASSERT_EQ(known->second, out.value) << out.dim.text() << ", round " << round;
            ASSERT_EQ(out.dim.constant().value_or(out.value), out.value);
            ASSERT_LE(symbols.least(out.dim), out.value) << out.dim.text();
            samples.push_back(std::move(out));
        }
    }
}

TEST(SymbolicDimTest, NumbersBeyondAnySenseBecomeUnknowns) {
    SymbolTable symbols;
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    for (const auto& a : {SymbolicDim(kMost), SymbolicDim(kLeast), symbols.fresh(1), symbols.fresh(kMost)}) {
        for (const auto& b : {SymbolicDim(kMost), SymbolicDim(kLeast), SymbolicDim(-1), SymbolicDim(0)}) {
            for (const auto& out :
                 {symbols.add(a, b), symbols.subtract(a, b), symbols.multiply(a, b), symbols.divide(a, b),
                  symbols.broadcast(a, b)}) {
                (void)symbols.least(out);
                EXPECT_FALSE(out.text().empty());
            }
        }
    }
    auto grown = symbols.fresh(2);
    for (int i = 0; i < 100; ++i) {
        grown = symbols.add(symbols.multiply(grown, symbols.fresh(2)), symbols.fresh(1));
        EXPECT_LT(grown.text().size(), 4000U);
    }
}

}  // namespace
}  // namespace framegrid::onnx_graph
