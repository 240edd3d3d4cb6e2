#include <framegrid/runtime/tracing.hpp>

#include <gtest/gtest.h>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>

namespace framegrid {
namespace {

using namespace std::chrono_literals;

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class Kept final : public SpanSink {
  public:
    void take(SpanRecord span) override { spans.push_back(std::move(span)); }
    std::vector<SpanRecord> spans;
};

TEST(Traceparent, SurvivesAndRefusesWhatTheStandardRefuses) {
    const auto trace = parse_traceparent(kParent);
    EXPECT_EQ(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(trace.span_id, "b7ad6b7169203331");
    EXPECT_TRUE(trace.sampled);
    EXPECT_EQ(write_traceparent(trace), kParent);
    for (const char* bad :
         {"", "00-0af7651916cd43dd8448eb211c80319c",
          "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
          "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x"}) {
        EXPECT_EQ(parse_traceparent(bad), TraceContext{}) << bad;
    }
    EXPECT_EQ(write_traceparent({"0af7651916cd43dd8448eb211c80319c", {}}), "");
}

TEST(Tracer, RecordsTheTreeOfSpans) {
    Kept kept;
    ManualClock clock;
    SeededRandom random(1);
    const Tracer tracer(kept, clock, random);
    {
        Span outer = tracer.start("outer", SpanKind::kServer, {});
        clock.advance(2ms);
        Span inner = tracer.start("inner", SpanKind::kClient, outer.context());
        inner.set("n", 7);
        inner.fail(make_error(Errc::kCapacity, "full"));
        clock.advance(3ms);
    }
    ASSERT_EQ(kept.spans.size(), 2U);
    const auto& inner = kept.spans[0];
    const auto& outer = kept.spans[1];
    EXPECT_EQ(inner.parent_id, outer.context.span_id);
    EXPECT_EQ(inner.context.trace_id, outer.context.trace_id);
    EXPECT_EQ(outer.parent_id, "");
    EXPECT_EQ(inner.error, "full");
    EXPECT_EQ(inner.end_unix_ns - inner.begin_unix_ns, 3'000'000);
    EXPECT_EQ(outer.end_unix_ns - outer.begin_unix_ns, 5'000'000);
}

TEST(Tracer, WithoutASinkOrASampleItOnlyHandsTheContextOn) {
    const auto parent = parse_traceparent(kParent);
    const Span off = Tracer().start("x", SpanKind::kServer, parent);
    EXPECT_FALSE(off);
    EXPECT_EQ(off.context(), parent);
    Kept kept;
    ManualClock clock;
    SeededRandom random(1);
    auto unwanted = parent;
    unwanted.sampled = false;
    {
        const Span span = Tracer(kept, clock, random).start("x", SpanKind::kServer, unwanted);
    }
    EXPECT_TRUE(kept.spans.empty());
}

}  // namespace
}  // namespace framegrid
