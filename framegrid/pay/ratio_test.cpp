#include <framegrid/pay/ratio.hpp>

#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace framegrid::pay {

namespace {

// The numbers at which a machine number ends, and some between.
std::vector<BigInt> numerators() {
    std::vector<BigInt> out{0, 1, 2, 3, 7};
    for (const unsigned bit : {31U, 62U, 63U, 64U, 124U, 125U, 126U, 127U, 128U, 300U}) {
        for (const int near : {-1, 0, 1}) {
            out.push_back((BigInt(1) << bit) + near);
        }
    }
    const auto positive = out.size();
    for (std::size_t i = 0; i < positive; ++i) {
        out.push_back(-out[i]);
    }
    return out;
}

std::vector<BigInt> denominators() {
    return {1, 2, 3, 1000, (BigInt(1) << 62) + 1, (BigInt(1) << 63) - 1, BigInt(1) << 63, BigInt(1) << 200};
}

std::vector<Ratio> ratios() {
    std::vector<Ratio> out;
    for (const auto& numerator : numerators()) {
        for (const auto& denominator : denominators()) {
            out.emplace_back(numerator, denominator);
        }
    }
    return out;
}

// -1, 0, 1: how a compares with n / d, by definition.
int against(const Ratio& a, const BigInt& n, const BigInt& d) {
    return BigInt(a.numerator() * d - n * a.denominator()).sign();
}

TEST(Ratio, IsWhatItWasMadeOfInLowestTerms) {
    for (const auto& n : numerators()) {
        for (const auto& d : denominators()) {
            const Ratio ratio(n, d);
            EXPECT_EQ(against(ratio, n, d), 0);
            EXPECT_EQ(gcd(ratio.numerator(), ratio.denominator()), 1);
            EXPECT_EQ(ratio.sign(), n.sign());
            EXPECT_EQ(ratio.is_whole(), BigInt(n % d) == 0);
            if (n != 0) {
                EXPECT_EQ(ratio.numerator_bit(), highest_bit(ratio.numerator()));
                EXPECT_EQ(ratio.denominator_bit(), highest_bit(ratio.denominator()));
            }
        }
    }
    const Int128 far = static_cast<Int128>(std::numeric_limits<std::int64_t>::min()) *
                       std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(Ratio(far, 1).numerator(), BigInt(far));
    EXPECT_EQ(Ratio(Int128(-6), 8).numerator(), -3);
    EXPECT_EQ(Ratio(Int128(-6), 8).denominator(), 4);
}

TEST(Ratio, AddsComparesAndNegatesExactly) {
    const auto all = ratios();
    std::mt19937 draw(1);
    for (int i = 0; i < 20'000; ++i) {
        const Ratio& a = all[draw() % all.size()];
        const Ratio& b = all[draw() % all.size()];
        const BigInt n = a.numerator() * b.denominator() + b.numerator() * a.denominator();
        const BigInt d = a.denominator() * b.denominator();
        Ratio sum = a;
        sum += b;
        ASSERT_EQ(against(sum, n, d), 0) << a.numerator() << "/" << a.denominator();
        Ratio back = sum;
        back -= b;
        ASSERT_EQ(back, a);
        const int order = BigInt(a.numerator() * b.denominator() - b.numerator() * a.denominator()).sign();
        ASSERT_EQ(a <=> b, order <=> 0);
        ASSERT_EQ((-a).numerator(), -a.numerator());
    }
}

TEST(Ratio, LongSumsOfHostileDenominatorsStayBounded) {
    Ratio sum;
    BigInt prime = (BigInt(1) << 61) - 1;
    for (int i = 0; i < 200; ++i) {
        sum += Ratio(1, prime);
        prime += 2;
    }
    EXPECT_LT(sum.denominator_bit(), 1100U);
    EXPECT_EQ(sum.sign(), 1);
}

}  // namespace

}  // namespace framegrid::pay
