#include <framegrid/job/fair_queue.hpp>

#include <map>
#include <vector>

#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::job {
namespace {

constexpr std::size_t kMany = 1'000;

std::string order_of(FairQueue& queue, std::size_t running_max = kMany) {
    std::string out;
    while (const auto next = queue.pop(running_max)) {
        out += (out.empty() ? "" : " ") + next->id;
    }
    return out;
}

TEST(FairQueue, OwnersTakeTurns) {
    FairQueue queue;
    for (const char* id : {"a1", "a2", "a3", "a4"}) {
        EXPECT_TRUE(queue.push({id, "a"}));
    }
    EXPECT_TRUE(queue.push({"b1", "b"}));
    EXPECT_TRUE(queue.push({"b2", "b"}));
    EXPECT_FALSE(queue.push({"b2", "b"}));
    EXPECT_EQ(queue.ahead_of("b1"), 1U);
    EXPECT_EQ(queue.ahead_of("a4"), 5U);
    EXPECT_EQ(queue.ahead_of("x"), std::nullopt);
    EXPECT_EQ(order_of(queue), "a1 b1 a2 b2 a3 a4");
}

TEST(FairQueue, APauseEarnsNoCredit) {
    FairQueue queue;
    for (int i = 0; i < 10; ++i) {
        queue.push({"a" + std::to_string(i), "a"});
    }
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(queue.pop(kMany));
    }
    queue.push({"b0", "b"});
    queue.push({"b1", "b"});
    queue.push({"b2", "b"});
    EXPECT_EQ(order_of(queue), "b0 a5 b1 a6 b2 a7 a8 a9");
}

TEST(FairQueue, PrioritiesAreShares) {
    FairQueue queue;
    for (int i = 0; i < 100; ++i) {
        queue.push({"h" + std::to_string(i), "a", 1});
        queue.push({"n" + std::to_string(i), "a", 0});
        queue.push({"l" + std::to_string(i), "a", -1});
    }
    std::map<char, int> taken;
    for (int i = 0; i < 105; ++i) {
        ++taken[queue.pop(kMany)->id.front()];
    }
    EXPECT_EQ(taken['h'], 80);
    EXPECT_EQ(taken['n'], 20);
    EXPECT_EQ(taken['l'], 5);
}

TEST(FairQueue, WeightsAreSharesOfOwners) {
    FairQueue queue;
    for (int i = 0; i < 100; ++i) {
        queue.push({"a" + std::to_string(i), "a", 0, 3});
        queue.push({"b" + std::to_string(i), "b", 0, 1});
    }
    std::map<char, int> taken;
    for (int i = 0; i < 40; ++i) {
        ++taken[queue.pop(kMany)->id.front()];
    }
    EXPECT_EQ(taken['a'], 30);
}

TEST(FairQueue, AnOwnerRunsOnlySoMany) {
    FairQueue queue;
    for (const char* id : {"a1", "a2", "a3"}) {
        queue.push({id, "a"});
    }
    queue.push({"b1", "b"});
    EXPECT_EQ(order_of(queue, 1), "a1 b1");
    EXPECT_EQ(queue.running_of("a"), 1U);
    queue.release("b");
    EXPECT_FALSE(queue.pop(1));
    queue.release("a");
    EXPECT_EQ(order_of(queue, 1), "a2");
    EXPECT_TRUE(queue.remove("a3"));
    EXPECT_FALSE(queue.remove("a3"));
    EXPECT_EQ(queue.size(), 0U);
    queue.release("a");
    EXPECT_FALSE(queue.pop(1));
}

TEST(FairQueue, AheadIsCloseToWhatHappens) {  // turns at the same time are rounded
    SeededRandom random(3);
    for (int round = 0; round < 50; ++round) {
        FairQueue queue;
        std::vector<std::string> ids;
        for (int i = 0; i < 60; ++i) {
            ids.push_back(std::to_string(i));
            const auto owner = random.below(5);
            queue.push(
                {ids.back(), std::string(1, static_cast<char>('a' + owner)),
                 static_cast<int>(random.below(3)) - 1, 1.0 + static_cast<double>(owner)}
            );
        }
        std::map<std::string, std::size_t> told;
        for (const auto& id : ids) {
            told[id] = *queue.ahead_of(id);
        }
        std::size_t place = 0;
        while (const auto next = queue.pop(kMany)) {
            const auto difference =
                static_cast<std::int64_t>(told.at(next->id)) - static_cast<std::int64_t>(place);
            EXPECT_LE(std::abs(difference), 4) << "round " << round << " job " << next->id;
            ++place;
        }
    }
}

}  // namespace
}  // namespace framegrid::job
