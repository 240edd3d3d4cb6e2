#include <framegrid/pay/balances.hpp>

#include <gtest/gtest.h>

#include <framegrid/pay/units.hpp>

namespace framegrid::pay {

namespace {

using std::chrono::minutes;

constexpr TimePoint kStart{};
const BalanceKey kKey{{1}, "session"};

TEST(Balances, BelongToAPeerAndAnId) {
    Balances balances;
    ASSERT_TRUE(balances.credit(kKey, Money::fraction(7, 3), kStart));
    balances.debit(kKey, Money::wei(3), kStart);
    EXPECT_EQ(balances.balance(kKey), Money::fraction(-2, 3));
    EXPECT_EQ(balances.balance({{2}, "session"}), Money());
    EXPECT_EQ(balances.balance({{1}, "other"}), Money());
    EXPECT_EQ(balances.take_all(kKey, kStart), Money::fraction(-2, 3));
    EXPECT_EQ(balances.balance(kKey), Money());
    EXPECT_EQ(model_balance_id(27, "stabilityai/sdxl-turbo"), "27_stabilityai/sdxl-turbo");
}

TEST(Balances, IdleEntriesAreForgottenButNotUnderWork) {
    Balances balances;
    ASSERT_TRUE(balances.credit(kKey, Money::wei(5), kStart));
    const BalanceKey busy{{1}, "busy"};
    ASSERT_TRUE(balances.credit(busy, Money::wei(5), kStart));
    balances.touch(busy, kStart)->hold(Money::wei(2));
    balances.sweep(kStart + minutes(9));
    EXPECT_EQ(balances.size(), 2U);
    balances.sweep(kStart + minutes(10));
    EXPECT_EQ(balances.size(), 1U);
    EXPECT_EQ(balances.available(busy), Money::wei(3));
    balances.touch(busy, kStart + minutes(30))->release(Money::wei(2));
    EXPECT_EQ(balances.available(busy), Money::wei(5));
    balances.sweep(kStart + minutes(39));
    EXPECT_EQ(balances.size(), 1U);
    balances.sweep(kStart + minutes(40));
    EXPECT_EQ(balances.size(), 0U);
}

TEST(Balances, TheFirstPriceStays) {
    Balances balances;
    EXPECT_EQ(balances.price(kKey), std::nullopt);
    ASSERT_TRUE(balances.fix_price(kKey, {3, 2}, kStart));
    ASSERT_TRUE(balances.fix_price(kKey, {1, 2}, kStart));
    EXPECT_EQ(balances.price(kKey), (Price{3, 2}));
}

TEST(Balances, HaveLimits) {
    Balances balances({.entries_max = 1, .id_bytes_max = 8});
    ASSERT_TRUE(balances.credit(kKey, Money::wei(1), kStart));
    EXPECT_EQ(balances.credit({{2}, "a"}, Money::wei(1), kStart).error().code, Errc::kCapacity);
    EXPECT_EQ(balances.credit({{2}, "123456789"}, Money::wei(1), kStart).error().code, Errc::kTooLarge);
    // Idle ones make room.
    EXPECT_TRUE(balances.credit({{2}, "a"}, Money::wei(1), kStart + minutes(10)));
    EXPECT_EQ(balances.balance(kKey), Money());
}

TEST(Balances, SurviveARestart) {
    Balances before;
    ASSERT_TRUE(before.credit(kKey, Money::tickets(3, 5), kStart));
    ASSERT_TRUE(before.fix_price(kKey, {3, 2}, kStart));
    Balances after;
    for (const auto& entry : before.entries()) {
        ASSERT_TRUE(after.restore(entry, kStart));
    }
    EXPECT_EQ(after.balance(kKey), Money::tickets(3, 5));
    EXPECT_EQ(after.price(kKey), (Price{3, 2}));
}

// Protocol vector 26.
TEST(Units, EstimateVectors) {
    const RenditionSize p144{256, 144, 30};
    const RenditionSize p240{426, 240, 30};
    const auto pixels = [](std::vector<RenditionSize> all, std::int64_t ms) {
        return estimated_pixels(all, ms);
    };
    EXPECT_EQ(pixels({p144}, 2000), 2'211'840);
    EXPECT_EQ(pixels({p144, p240}, 2000), 8'346'240);
    EXPECT_EQ(pixels({p144, p240}, 2200), 12'519'360);
    EXPECT_EQ(pixels({{256, 144, 0}, p240}, 3000), 15'837'120);
    EXPECT_EQ(pixels({{2, 1, 30'000, 1001}}, 1), 60);
    EXPECT_EQ(
        estimated_fee(100, {1, 1}),
        Money::fraction(BigInt("2296835809958953") * 100, BigInt("2251799813685248"))
    );
    EXPECT_GE(estimated_fee(100, {1, 1}), Money::wei(102));
}

TEST(Units, SpeechAndSound) {
    const std::string text = "Gr\xc3\xbc\xc3\x9f";  // four characters, six bytes
    EXPECT_EQ(speech_units_to_pay(text), 4000);
    EXPECT_EQ(speech_units_to_debit(text, true), 6);
    EXPECT_EQ(speech_units_to_debit(text, false), 4000);
    EXPECT_EQ(audio_units(61'999), 61'000);
    EXPECT_EQ(kLiveUnitsPerSecond, 27'648'000);
    EXPECT_EQ(kLiveUnitsPerSecond * kLivePrepaidSeconds, 1'658'880'000);
}

}  // namespace

}  // namespace framegrid::pay
