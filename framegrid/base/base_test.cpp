#include <framegrid/base/bytes.hpp>
#include <framegrid/base/ids.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/base/result.hpp>

#include <gtest/gtest.h>

namespace framegrid {
namespace {

Result<int> half(int value) {
    if (value % 2 != 0) {
        return fail(Errc::kInvalidArgument, "odd", "value");
    }
    return value / 2;
}

Result<int> quarter(int value) {
    FG_TRY(first, half(value));
    FG_TRY(second, half(first));
    return second;
}

TEST(Result, TryPassesTheValueOrTheError) {
    EXPECT_EQ(quarter(8).value(), 2);
    ASSERT_FALSE(quarter(6));
    EXPECT_EQ(quarter(6).error().field, "value");
    EXPECT_EQ(quarter(6).error().disposition, Disposition::kReject);
}

TEST(Result, ContextStandsInFront) {
    EXPECT_EQ(make_error(Errc::kIo, "disk full").with_context("write a.ts").message, "write a.ts: disk full");
}

TEST(Price, ComparesFractionsExactly) {
    EXPECT_LT((Price{1, 3}), (Price{1, 2}));
    EXPECT_EQ((Price{2, 4} <=> Price{1, 2}), std::strong_ordering::equal);
    EXPECT_GT((Price{INT64_MAX, 2}), (Price{INT64_MAX, 3}));
}

TEST(Blob, SlicesShareTheMemory) {
    const Blob blob = Blob::copy_of("0123456789");
    const Blob middle = blob.slice(3, 4);
    EXPECT_EQ(middle.text(), "3456");
    EXPECT_EQ(middle.data(), blob.data() + 3);
    EXPECT_TRUE(blob.slice(20, 5).empty());
    EXPECT_EQ(blob.slice(8, 100).text(), "89");
}

TEST(Log, EscapesWhatPeersSay) {
    std::string seen;
    const Logger log([&](LogLevel, std::string_view line) { seen = line; }, LogLevel::kInfo);
    log.info("http.peer_refused", {{"why", "a\nb \"c\""}, {"port", 80}});
    EXPECT_EQ(seen, R"(http.peer_refused why="a\x0ab \"c\"" port=80)");
    seen.clear();
    log.debug("http.quiet");
    EXPECT_EQ(seen, "");
}

TEST(Log, CutsLongValues) {
    EXPECT_EQ(printable(std::string(300, 'a')).size(), 203u);
}

}  // namespace
}  // namespace framegrid
