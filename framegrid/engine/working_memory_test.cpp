#include <framegrid/engine/working_memory.hpp>

#include <atomic>
#include <optional>

#include <gtest/gtest.h>

#include <framegrid/engine/threads_for_test.hpp>

namespace framegrid::engine {
namespace {

using Share = std::optional<WorkingMemory::Share>;

TEST(WorkingMemory, GivesWhatIsThere) {
    const api::StopFlag stop = false;
    WorkingMemory memory(100);
    Share a = memory.take(60, stop).value();
    Share b = memory.take(40, stop).value();
    EXPECT_EQ(memory.used(), 100);
    a.reset();
    EXPECT_EQ(memory.used(), 40);
    Share c = std::move(b);
    EXPECT_EQ(memory.used(), 40);
    c.reset();
    b.reset();
    EXPECT_EQ(memory.used(), 0);
}

TEST(WorkingMemory, WhoWantsMoreThanThereIsWaitsToBeAlone) {
    const api::StopFlag stop = false;
    WorkingMemory memory(100);
    Share held = memory.take(60, stop).value();
    std::atomic<bool> given_back = false;
    testing::OnThread large([&] {
        const auto share = memory.take(1000, stop);  // alone, as it is over the limit
        EXPECT_EQ(memory.used(), 1000);
        return given_back.load();
    });
    given_back = true;
    held.reset();
    EXPECT_TRUE(large.get());
    EXPECT_EQ(memory.used(), 0);
}

TEST(WorkingMemory, WhoIsStoppedLeavesTheQueue) {
    const api::StopFlag go = false;
    api::StopFlag stop = false;
    WorkingMemory memory(100);
    Share held = memory.take(100, go).value();
    testing::OnThread waiting([&] { return memory.take(1, stop).error().code; });
    stop = true;
    EXPECT_EQ(waiting.get(), Errc::kCancelled);
    held.reset();
    EXPECT_TRUE(memory.take(100, go));
}

}  // namespace
}  // namespace framegrid::engine
