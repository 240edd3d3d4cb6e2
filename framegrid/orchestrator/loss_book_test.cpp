#include <framegrid/orchestrator/loss_book.hpp>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/runtime/manual_clock.hpp>

#include <gtest/gtest.h>

namespace framegrid::orchestrator {
namespace {

using namespace std::chrono_literals;

TEST(LossBook, CountsAndTellsAtMostOnceAMinute) {
    ManualClock clock;
    std::vector<std::string> lines;
    LossBook book(
        clock, Logger([&](LogLevel, std::string_view line) { lines.emplace_back(line); }, LogLevel::kInfo)
    );
    book.add({});
    EXPECT_TRUE(lines.empty());
    book.add({3, 2, 0, 0, 1, Price{50, 1}});
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find("price=3"), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("50 wei per 1"), std::string::npos) << lines[0];
    for (int i = 0; i < 100; ++i) {
        book.add({1, 0, 0, 0, 0, Price{40 + i % 2, 1}});
    }
    EXPECT_EQ(lines.size(), 1u);
    clock.advance(61s);
    book.add({});  // a poll with nothing new brings what is due
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_NE(lines[1].find("price=100"), std::string::npos) << lines[1];
    EXPECT_NE(lines[1].find("41 wei per 1"), std::string::npos) << lines[1];
    clock.advance(61s);
    book.add({});
    EXPECT_EQ(lines.size(), 2u);
    EXPECT_EQ(book.total().price, 103u);
    PrometheusText out;
    dump(out, book.total());
    const std::string& text = out.text();
    EXPECT_NE(text.find("framegrid_orchestrator_lost_jobs_total{reason=\"price\"} 103\n"), std::string::npos)
        << text;
}

TEST(LossBook, PeersCannotMakeItWrap) {
    ManualClock clock;
    LossBook book(clock, Logger());
    const auto most = std::numeric_limits<std::uint64_t>::max();
    book.add({most, 0, 0, 0, 0, std::nullopt});
    book.add({most, 0, 0, 0, 0, std::nullopt});
    EXPECT_EQ(book.total().price, most);
}

}  // namespace
}  // namespace framegrid::orchestrator
