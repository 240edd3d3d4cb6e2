#include <framegrid/pay/money.hpp>

#include <limits>

#include <gtest/gtest.h>

namespace framegrid::pay {

namespace {

const Uint256 kAlways = std::numeric_limits<Uint256>::max();

TEST(Money, SumsTicketsAndPricesExactly) {
    // A third of a wei three times is one, and nothing is left of it.
    Money money = Money::fraction(1, 3);
    money += Money::fraction(1, 3);
    money += Money::fraction(1, 3);
    EXPECT_EQ(money, Money::wei(1));
    // A ticket that always wins is worth its face value.
    EXPECT_EQ(Money::tickets(7, kAlways), Money::wei(7));
    EXPECT_EQ(Money::tickets(7, kAlways, 3) - Money::wei(21), Money());
    // Half of the tickets' numbers are not half of the probability: 2^256 - 1 is odd.
    EXPECT_NE(Money::tickets(2, kAlways / 2), Money::wei(1));
    EXPECT_EQ(Money::tickets(2, kAlways / 2) + Money::tickets(1, 1), Money::wei(1));
}

TEST(Money, ComparesAcrossBothParts) {
    const Money half_ticket = Money::tickets(1, kAlways / 2);
    EXPECT_LT(half_ticket, Money::fraction(1, 2));
    EXPECT_GT(half_ticket + Money::tickets(1, 1), Money::fraction(1, 2));
    EXPECT_LT(half_ticket - Money::wei(1), Money());
    EXPECT_EQ((half_ticket - half_ticket).sign(), 0);
    EXPECT_EQ(Money::of_units(1000, Price{3, 7}), Money::fraction(3000, 7));
}

TEST(Money, RoundsToWholeWei) {
    EXPECT_EQ(Money::fraction(7, 2).floor_wei(), 3);
    EXPECT_EQ(Money::fraction(7, 2).ceil_wei(), 4);
    EXPECT_EQ(Money::fraction(-7, 2).floor_wei(), -4);
    EXPECT_EQ(Money::fraction(-7, 2).ceil_wei(), -3);
    EXPECT_EQ(Money::wei(5).floor_wei(), 5);
    EXPECT_EQ(Money::tickets(1, 1).ceil_wei(), 1);
    EXPECT_EQ(Money::wei(10).times_ceil(Money::wei(3)), 4);
    EXPECT_EQ(Money::wei(9).times_ceil(Money::wei(3)), 3);
    EXPECT_EQ((Money() - Money::wei(9)).times_ceil(Money::wei(3)), 0);
}

TEST(Money, TextIsExactAndReadable) {
    EXPECT_EQ(Money::fraction(-6, 8).text(), "-3/4");
    EXPECT_EQ(Money::wei(5).text(), "5");
    EXPECT_EQ(Money().text(), "0");
    for (const Money& money : {Money::tickets(3, 5), Money::fraction(-6, 8), Money::wei(kAlways)}) {
        EXPECT_EQ(Money::parse(money.text()).value(), money);
        EXPECT_EQ(Money::parse(money.text())->text(), money.text());
    }
    EXPECT_EQ(Money::parse("010").value(), Money::wei(10));
    for (const char* bad : {"", "-", "1/0", "1/", "/1", "0x10", "1.5", "1/-2", "--1"}) {
        EXPECT_FALSE(Money::parse(bad)) << bad;
    }
    EXPECT_FALSE(Money::parse(std::string(5000, '1')));
}

// A peer that names another price with each payment must not make the numbers grow for ever.
TEST(Money, HostileDenominatorsStayBounded) {
    Money sum;
    for (std::int64_t i = 0; i < 200; ++i) {
        sum += Money::of_units(1, Price{1, (std::int64_t{1} << 62) - 2 * i - 1});
    }
    EXPECT_GT(sum, Money());
    EXPECT_LT(sum, Money::fraction(200, (std::int64_t{1} << 62) - 400));
    EXPECT_LT(sum.text().size(), 1000U);
}

}  // namespace

}  // namespace framegrid::pay
