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
