#include <framegrid/pay/money.hpp>

#include <limits>
#include <string>
#include <vector>

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

// Most comparisons are settled by whole wei alone; here it is some wei, or less than one.
TEST(Money, ComparesExactlyWhereItIsClose) {
    std::vector<Money> amounts;
    for (const std::int64_t wei : {-4, -3, -1, 0, 1, 2, 3, 4, 5, 1'000'000}) {
        for (const auto& part :
             {Money(), Money::fraction(1, 3), Money::fraction(-1, 7), Money::tickets(1, 1)}) {
            amounts.push_back(Money::of_units(wei, Price{1, 1}) + part);
            amounts.push_back(Money::tickets(3, kAlways) + Money::of_units(wei - 3, Price{1, 1}) - part);
            amounts.push_back(Money::of_units(wei, Price{1, 1}) - Money::tickets(7, kAlways / 2) + part);
            amounts.push_back(Money::tickets(kAlways, kAlways / 3) - Money::wei(kAlways / 3) + part);
            amounts.push_back(Money::tickets(Wei(1) << 100, kAlways) + Money::of_units(wei, Price{1, 1}));
        }
    }
    for (const auto& a : amounts) {
        for (const auto& b : amounts) {
            const std::string difference = (a - b).text();
            const int expected = difference == "0" ? 0 : difference.starts_with("-") ? -1 : 1;
            EXPECT_EQ(a <=> b, expected <=> 0) << a.text() << " and " << b.text();
            EXPECT_EQ((a - b).sign(), expected);
            EXPECT_TRUE(expected >= 0 || !a.clearly_covers(b, Money()));
            EXPECT_TRUE(expected >= 0 || !a.clearly_covers(Money(), b));
        }
    }
    const Money tickets = Money::tickets(1'000'000, kAlways / 2, 100);
    EXPECT_TRUE(tickets.clearly_covers(Money::fraction(7, 3), Money::tickets(1'000'000, kAlways / 2)));
    EXPECT_FALSE(Money::wei(5).clearly_covers(Money::wei(3), Money::wei(2))) << "it is so, but not clearly";
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
