#include <framegrid/account/spend.hpp>
#include <framegrid/account/usage.hpp>

#include <framegrid/runtime/manual_clock.hpp>

#include <gtest/gtest.h>

namespace framegrid::account {
namespace {

using namespace std::chrono_literals;

Permit permit(const std::string& owner, Limits limits) {
    return {owner, "subject-of-" + owner, kUserScopes, std::move(limits)};
}

TEST(TokenBucket, HoldsAMinuteAndFillsEvenly) {
    TokenBucket bucket;
    TimePoint now{1h};
    for (std::uint32_t left = 6; left-- > 0;) {
        const auto verdict = bucket.take(6, now);
        EXPECT_TRUE(verdict.allowed);
        EXPECT_EQ(verdict.limit, 6U);
        EXPECT_EQ(verdict.remaining, left);
        EXPECT_EQ(verdict.reset, (6 - left) * 10s);
    }
    auto refused = bucket.take(6, now);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.wait, 10s);
    EXPECT_EQ(refused.reset, 60s);
    now += 4s;
    refused = bucket.take(6, now);
    EXPECT_FALSE(refused.allowed) << "a refusal takes no token, and gives none";
    EXPECT_EQ(refused.wait, 6s);
    now += 6s;
    EXPECT_TRUE(bucket.take(6, now).allowed);
    EXPECT_FALSE(bucket.take(6, now).allowed);
    now += 60s;
    EXPECT_TRUE(bucket.full(now));
    EXPECT_EQ(bucket.take(6, now).remaining, 5U);
    EXPECT_TRUE(bucket.take(0, now).allowed) << "no limit";
}

TEST(Usage, CountsEachSubjectAlone) {
    ManualClock clock;
    Usage usage(clock, {.subjects_max = 2});
    const auto one = permit("one", {.requests_per_minute = 1});
    const auto two = permit("two", {.requests_per_minute = 1});
    const auto three = permit("three", {.requests_per_minute = 1});
    EXPECT_TRUE(usage.count_request(one).allowed);
    EXPECT_FALSE(usage.count_request(one).allowed);
    EXPECT_TRUE(usage.count_request(two).allowed);
    EXPECT_FALSE(usage.count_request(three).allowed) << "as many are counted as may be";
    EXPECT_TRUE(usage.count_request(permit("free", {})).allowed);
    EXPECT_EQ(usage.subjects(), 2U);
    clock.advance(60s);
    EXPECT_TRUE(usage.count_request(three).allowed);
    EXPECT_EQ(usage.subjects(), 1U) << "full buckets are forgotten";
}

TEST(Usage, BoundsTheJobsOfAnOwner) {
    ManualClock clock;
    Usage usage(clock);
    const auto two = permit("acme", {.running_max = 2});
    auto first = usage.begin_job(two);
    {
        const auto second = usage.begin_job(two);
        ASSERT_TRUE(second);
        const auto third = usage.begin_job(two);
        ASSERT_FALSE(third);
        EXPECT_EQ(third.error().code, Errc::kCapacity);
        EXPECT_TRUE(usage.begin_job(permit("other", {.running_max = 1})));
    }
    EXPECT_EQ(usage.running_of("acme"), 1U);
    Usage::Running moved = *std::move(first);
    EXPECT_EQ(usage.running_of("acme"), 1U);
    moved = Usage::Running();
    EXPECT_TRUE(usage.begin_job(permit("acme", {})));
    EXPECT_EQ(usage.running_of("acme"), 0U);
}

TEST(SpendMeter, HoldsBackTheMostAndCountsTheCost) {
    ManualClock clock;
    SpendMeter meter(clock);
    Limits limits;
    limits.wei_per_day = Wei(100);
    limits.wei_total = Wei(150);
    const auto who = permit("acme", limits);
    ASSERT_TRUE(meter.reserve(who, 60));
    const auto refused = meter.reserve(who, 41);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "wei_per_day");
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    EXPECT_EQ(meter.settle(who.subject, 60, 20).today, 20);
    ASSERT_TRUE(meter.reserve(who, 80));
    EXPECT_EQ(meter.settle(who.subject, 80, 1'000).today, 100) << "never more than was held back";
    EXPECT_FALSE(meter.reserve(who, 1));
    clock.advance(24h);
    EXPECT_EQ(meter.spent(who.subject).today, 0);
    EXPECT_EQ(meter.spent(who.subject).total, 100);
    const auto over = meter.reserve(who, 51);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().field, "wei_total");
    EXPECT_TRUE(meter.reserve(who, 50));
}

TEST(SpendMeter, WhatIsRememberedOnlyRaises) {
    ManualClock clock;
    SpendMeter meter(clock);
    Limits limits;
    limits.wei_per_day = Wei(100);
    const auto who = permit("acme", limits);
    const std::int64_t today = meter.spent(who.subject).day;
    ASSERT_TRUE(meter.reserve(who, 30));
    meter.restore(who.subject, {.total = 500, .today = 70, .day = today});
    EXPECT_FALSE(meter.reserve(who, 1)) << "what is held back stays so";
    EXPECT_EQ(meter.settle(who.subject, 30, 20), (Spent{520, 90, today}));
    meter.restore(who.subject, {.total = 510, .today = 80, .day = today});
    EXPECT_EQ(meter.spent(who.subject), (Spent{520, 90, today})) << "news of a moment ago";
    meter.restore(who.subject, {.total = 900, .today = 99, .day = today - 1});
    EXPECT_EQ(meter.spent(who.subject), (Spent{900, 90, today}));
}

TEST(SpendMeter, AddsByTheDay) {
    const auto plus = [](const Spent& before, std::int64_t day, const Wei& amount) {
        return after(before, day, {}, {amount, 0});
    };
    Spent spent = plus({}, 7, 10);
    EXPECT_EQ(spent, (Spent{10, 10, 7}));
    spent = plus(spent, 7, 5);
    EXPECT_EQ(spent, (Spent{15, 15, 7}));
    spent = plus(spent, 6, 1);
    EXPECT_EQ(spent, (Spent{16, 15, 7})) << "of a clock that is behind";
    spent = plus(spent, 8, 2);
    EXPECT_EQ(spent, (Spent{18, 2, 8}));
    EXPECT_EQ(plus(spent, 8, std::numeric_limits<Wei>::max()).total, std::numeric_limits<Wei>::max());
}

TEST(SpendMeter, WhatACounterHadSaidBeforeChangesNothing) {
    const Spent spent = after({}, 7, {}, {50, 40});
    EXPECT_EQ(spent, (Spent{10, 10, 7}));
    EXPECT_EQ(after(spent, 7, {50, 40}, {50, 40}), spent);
    EXPECT_EQ(after(spent, 7, {50, 40}, {30, 20}), spent) << "overtaken by a later one";
    EXPECT_EQ(after(spent, 7, {50, 40}, {60, 45}), (Spent{15, 15, 7}));
    EXPECT_EQ(after(spent, 6, {50, 40}, {50, 45}), (Spent{5, 10, 7})) << "of another day";
}

TEST(SpendMeter, SumsDoNotWrapAndComeBack) {
    ManualClock clock;
    SpendMeter meter(clock);
    const Wei most = std::numeric_limits<Wei>::max();
    Limits limits;
    limits.wei_total = most;
    const auto who = permit("acme", limits);
    meter.restore(who.subject, {.total = most - 1, .today = 0, .day = 0});
    EXPECT_TRUE(meter.reserve(who, 1));
    EXPECT_FALSE(meter.reserve(who, most));
    EXPECT_FALSE(meter.reserve(who, 1));
    EXPECT_EQ(meter.settle(who.subject, 1, 1).total, most);
    limits.wei_total = Wei(0);
    EXPECT_FALSE(meter.reserve(permit("poor", limits), 1));
    EXPECT_TRUE(meter.reserve(permit("poor", limits), 0)) << "free jobs are for everybody";
}

}  // namespace
}  // namespace framegrid::account
