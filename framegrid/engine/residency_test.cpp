#include <framegrid/engine/residency.hpp>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

using Names = std::vector<std::string>;

TimePoint at(int seconds) {
    return TimePoint{std::chrono::seconds(seconds)};
}

TEST(Residency, UnloadsTheLeastRecentlyUsed) {
    Residency residency(100);
    EXPECT_EQ(residency.admit("a", 40, false, at(1)).value(), Names{});
    EXPECT_EQ(residency.admit("b", 40, false, at(2)).value(), Names{});
    residency.release("a", at(3));
    residency.release("b", at(4));
    EXPECT_TRUE(residency.acquire("a", at(5)));
    residency.release("a", at(6));
    EXPECT_EQ(residency.admit("c", 60, false, at(7)).value(), Names{"b"});
    EXPECT_EQ(residency.loaded(), (Names{"a", "c"}));
    EXPECT_EQ(residency.bytes_loaded(), 100);
    EXPECT_FALSE(residency.acquire("b", at(8)));
}

TEST(Residency, WhatIsWantedOftenOrSlowToLoadStays) {
    Residency residency(100);
    for (const auto* name : {"quick", "slow", "wanted"}) {
        ASSERT_TRUE(residency.admit(name, 30, false, at(1)));
        residency.release(name, at(1));
    }
    residency.loaded_in("quick", std::chrono::milliseconds(50));
    residency.loaded_in("slow", std::chrono::seconds(10));
    residency.loaded_in("wanted", std::chrono::milliseconds(50));
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(residency.acquire("wanted", at(2)));
        residency.release("wanted", at(2));
    }
    EXPECT_EQ(residency.admit("one", 40, false, at(3)).value(), Names{"quick"});
    residency.release("one", at(3));
    EXPECT_EQ(residency.admit("two", 20, false, at(4)).value(), Names{"wanted"})
        << "slow costs most, one is 1 s";
}

TEST(Residency, DemandFadesAndOutlivesUnloading) {
    Residency residency(50);
    ASSERT_TRUE(residency.admit("old", 20, false, at(0)));
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(residency.acquire("old", at(0)));
        residency.release("old", at(0));
    }
    residency.release("old", at(0));
    ASSERT_TRUE(residency.admit("new", 20, false, at(3600)));
    residency.release("new", at(3600));
    EXPECT_EQ(residency.admit("x", 30, false, at(3600)).value(), Names{"old"})
        << "an hour is twelve half-lives";
}

TEST(Residency, SmallModelsAreNotUnloadedForNothing) {
    Residency residency(100);
    for (const auto& [name, bytes] : {std::pair{"small", 10}, {"large", 80}}) {
        ASSERT_TRUE(residency.admit(name, bytes, false, at(1)));
        residency.release(name, at(1));
    }
    residency.loaded_in("small", std::chrono::milliseconds(10));
    EXPECT_EQ(residency.admit("x", 60, false, at(2)).value(), Names{"large"}) << "without it there is room";
    EXPECT_EQ(residency.loaded(), (Names{"small", "x"}));
}

TEST(Residency, NeverUnloadsWhatIsInUseOrPinned) {
    Residency residency(100);
    ASSERT_TRUE(residency.admit("used", 40, false, at(1)));
    ASSERT_TRUE(residency.admit("pinned", 40, true, at(1)));
    residency.release("pinned", at(2));
    const auto refused = residency.admit("c", 30, false, at(3));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kCapacity);
    EXPECT_EQ(residency.loaded(), (Names{"pinned", "used"}));
    residency.release("used", at(4));
    EXPECT_EQ(residency.admit("c", 30, false, at(5)).value(), Names{"used"});
}

TEST(Residency, AFailedAdmissionChangesNothing) {
    Residency residency(100);
    ASSERT_TRUE(residency.admit("idle", 20, false, at(1)));
    residency.release("idle", at(1));
    ASSERT_TRUE(residency.admit("used", 60, false, at(1)));
    EXPECT_FALSE(residency.admit("big", 90, false, at(2)));
    EXPECT_FALSE(residency.admit("huge", 101, false, at(2)));
    EXPECT_EQ(residency.loaded(), (Names{"idle", "used"}));
    EXPECT_EQ(residency.bytes_loaded(), 80);
}

TEST(Residency, ExpiresIdleModelsOnly) {
    Residency residency(100);
    ASSERT_TRUE(residency.admit("idle", 10, false, at(1)));
    residency.release("idle", at(10));
    ASSERT_TRUE(residency.admit("fresh", 10, false, at(1)));
    residency.release("fresh", at(50));
    ASSERT_TRUE(residency.admit("used", 10, false, at(1)));
    ASSERT_TRUE(residency.admit("pinned", 10, true, at(1)));
    residency.release("pinned", at(1));
    EXPECT_EQ(residency.expire(at(70), std::chrono::seconds(60)), Names{"idle"});
    EXPECT_EQ(residency.bytes_loaded(), 30);
}

TEST(Residency, ForgetFreesMemory) {
    Residency residency(100);
    ASSERT_TRUE(residency.admit("a", 100, false, at(1)));
    residency.forget("a");
    residency.forget("a");
    EXPECT_TRUE(residency.admit("b", 100, false, at(2)));
}

}  // namespace
}  // namespace framegrid::engine
