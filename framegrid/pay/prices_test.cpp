#include <framegrid/pay/prices.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::pay {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::HasSubstr;

constexpr TimePoint kOpening{};
constexpr UsdRate kRate{.usd_per_eth = 2000'00000000, .decimals = 8};
const Address kSender{7};
const ModelKey kTurbo{27, "sdxl-turbo"};
const ModelKey kOther{27, "other"};
const ModelKey kUpscale{30, "sr"};

PriceTag tag(std::string_view text) {
    return parse_price(text).value();
}

TEST(PriceTag, IsReadExactly) {
    EXPECT_EQ(tag("1200"), (PriceTag{1200, 0, Currency::kWei, 1}));
    EXPECT_EQ(tag("0.5e-2USD"), (PriceTag{5, 3, Currency::kUsd, 1}));
    EXPECT_EQ(tag(" 1.5e-9 eth / 1000000 "), (PriceTag{15, 10, Currency::kEth, 1'000'000}));
    EXPECT_EQ(tag("12e2wei"), (PriceTag{1200, 0, Currency::kWei, 1}));
    EXPECT_EQ(tag("1.9073484e-08 USD"), (PriceTag{19073484, 15, Currency::kUsd, 1}));
    for (const char* bad :
         {"", "wei", "-1", "1,5", "1 eur", "1/0", "1/-5", "1/x", "1e999", "1e-65", "0x10", "1.2.3",
          "99999999999999999999999", "nan", "inf"}) {
        EXPECT_FALSE(parse_price(bad)) << bad;
    }
}

TEST(PriceTag, FitsTheProtocolsNumbers) {
    EXPECT_EQ(to_price(6, 4), (Price{3, 2}));
    EXPECT_EQ(to_price(0, 5), (Price{0, 1}));
    const BigInt huge = BigInt(1) << 80;
    EXPECT_EQ(to_price(huge, huge * 4), (Price{1, 4}));
    EXPECT_EQ(to_price(huge + 1, huge), (Price{1, 1}));  // down to thousandths
    EXPECT_EQ(to_price(huge * 5 + 1, huge * 4), (Price{5, 4}));
    EXPECT_EQ(to_price(BigInt(1) << 100, 3).units, 1);  // the most there is
}

// Protocol vector 24: x 1000, rounded down.
TEST(PriceTag, ThousandthsVector) {
    const auto fixed = [](std::int64_t wei, std::int64_t units) {
        return static_cast<std::int64_t>(Money::fraction(BigInt(wei) * 1000, units).floor_wei());
    };
    EXPECT_EQ(fixed(1, 10), 100);
    EXPECT_EQ(fixed(500, 1), 500'000);
    EXPECT_EQ(fixed(125, 100), 1250);
    EXPECT_EQ(fixed(1, 5000), 0);
}

TEST(PriceTable, SenderThenEverybodyModelThenCapability) {
    auto table = PriceTable::make(
                     {.rules =
                          {{.tag = tag("10")},
                           {.model = kTurbo, .tag = tag("100")},
                           {.model = ModelKey{27, ""}, .tag = tag("50")},
                           {.sender = kSender, .model = kTurbo, .tag = tag("80")},
                           {.sender = Address{8}, .tag = tag("1")}}},
                     kOpening
    )
                     .value();
    const auto price = [&](const Address& sender, std::vector<ModelKey> models) {
        return table.price(sender, models, kOpening).wei;
    };
    EXPECT_EQ(price({}, {}), 10);
    EXPECT_EQ(price(Address{8}, {}), 1);
    EXPECT_EQ(price({}, {kTurbo}), 100);
    EXPECT_EQ(price(kSender, {kTurbo}), 80);
    EXPECT_EQ(price(kSender, {kOther}), 50);
    EXPECT_EQ(price({}, {kTurbo, kOther}), 150);
    EXPECT_EQ(price({}, {kUpscale}), 10);  // no price of its own: that of transcoding
    const auto all = table.all(kSender, kOpening);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[1].first, kTurbo);
    EXPECT_EQ(all[1].second.wei, 80);
}

TEST(PriceTable, DollarsFollowTheFeedAndFallBack) {
    auto table = PriceTable::make(
                     {.rules = {{.model = kTurbo, .tag = tag("2e-8USD")}}, .usd_fallback = kRate}, kOpening
    )
                     .value();
    const std::vector<ModelKey> models{kTurbo};
    const auto at = [&](Duration after) { return table.price({}, models, kOpening + after).wei; };
    EXPECT_EQ(at({}), 10'000'000);
    ASSERT_TRUE(table.set_usd_rate({4000, 0}, kOpening));
    EXPECT_EQ(at({}), 5'000'000);
    EXPECT_EQ(at(hours(2)), 5'000'000);
    EXPECT_EQ(at(hours(3)), 10'000'000);  // the feed is silent
    // A feed that lost its mind.
    EXPECT_FALSE(table.set_usd_rate({0, 0}, kOpening));
    EXPECT_FALSE(table.set_usd_rate({20'001, 0}, kOpening + hours(3)));
    EXPECT_FALSE(table.set_usd_rate({199, 0}, kOpening + hours(3)));
    EXPECT_EQ(at(hours(3)), 10'000'000);
}

TEST(PriceTable, QuotesBeforeAChangeAreHonouredForAWhile) {
    auto table = PriceTable::make(
                     {.rules = {{.model = kTurbo, .tag = tag("2e-8USD")}}, .usd_fallback = kRate}, kOpening
    )
                     .value();
    const std::vector<ModelKey> models{kTurbo};
    ASSERT_TRUE(table.set_usd_rate({1000, 0}, kOpening + minutes(60)));
    EXPECT_EQ(table.price({}, models, kOpening + minutes(60)).wei, 20'000'000);
    EXPECT_EQ(table.lowest_recent({}, models, kOpening + minutes(69)).wei, 10'000'000);
    EXPECT_EQ(table.lowest_recent({}, models, kOpening + minutes(70)).wei, 20'000'000);
}

TEST(PriceTable, MistakesAreFoundAtTheStart) {
    EXPECT_FALSE(PriceTable::make({.rules = {{.tag = tag("1USD")}}}, kOpening));
    EXPECT_FALSE(PriceTable::make({.rules = {{.tag = tag("1")}, {.tag = tag("2")}}}, kOpening));
    EXPECT_FALSE(PriceTable::make({.rules = {{.tag = {.digits = 1, .units = 0}}}}, kOpening));
    EXPECT_TRUE(PriceTable::make({.rules = {{.tag = tag("0USD")}}}, kOpening));
}

TEST(Prices, RedemptionCostIsPutOnTop) {
    EXPECT_EQ(with_redemption_cost({1000, 1}, 100, 1), (Price{1010, 1}));
    EXPECT_EQ(with_redemption_cost({1, 1}, 100, 1), (Price{101, 100}));
    EXPECT_EQ(with_redemption_cost({1, 3}, 100, 1), (Price{42, 125}));  // 0.33666, cut off behind 0.336
    EXPECT_EQ(with_redemption_cost({1000, 1}, 100, 0), (Price{1000, 1}));
    EXPECT_EQ(with_redemption_cost({0, 1}, 100, 1), (Price{0, 1}));
}

TEST(Prices, CeilingsOfGatewayAndClient) {
    PriceCeilings ceilings;
    EXPECT_EQ(ceilings.ceiling(std::vector{kTurbo}), std::nullopt);
    ceilings.set(std::nullopt, Price{5, 1});
    ceilings.set(kTurbo, Price{100, 1});
    ceilings.set(ModelKey{27, ""}, Price{50, 1});
    EXPECT_EQ(ceilings.ceiling({}), (Price{5, 1}));
    EXPECT_EQ(ceilings.ceiling(std::vector{kTurbo, kOther}), (Price{150, 1}));
    EXPECT_EQ(ceilings.ceiling(std::vector{kUpscale}), (Price{5, 1}));
    EXPECT_EQ(PriceCeilings::lower(Price{5, 1}, Price{9, 2}), (Price{9, 2}));
    EXPECT_EQ(PriceCeilings::lower(std::nullopt, Price{9, 2}), (Price{9, 2}));
    EXPECT_EQ(PriceCeilings::lower(Price{5, 1}, std::nullopt), (Price{5, 1}));
}

TEST(Prices, AreCheckedBeforeBuying) {
    EXPECT_TRUE(check_price(Price{2, 1}, Price{2, 1}, Price{1, 1}));
    EXPECT_THAT(check_price(Price{3, 1}, Price{2, 1}, {}).error().message, HasSubstr("at most 2 wei per 1"));
    const auto doubled = check_price(Price{21, 10}, {}, Price{1, 1});
    EXPECT_THAT(doubled.error().message, HasSubstr("has more than doubled"));
    EXPECT_EQ(doubled.error().disposition, Disposition::kPenalizePeer);
    EXPECT_THAT(check_price({}, {}, {}).error().message, HasSubstr("missing orchestrator price"));
    EXPECT_FALSE(check_price(Price{-1, 1}, {}, {}));
}

}  // namespace

}  // namespace framegrid::pay
