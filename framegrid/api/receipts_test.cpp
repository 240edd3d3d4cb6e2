#include <framegrid/api/receipts.hpp>

#include <algorithm>

#include <gtest/gtest.h>

namespace framegrid::api {

namespace {

class Ones final : public Random {
  public:
    void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, 1); }
};

TEST(ReceiptId, IsOfTheTraceThatTravelsAnyway) {
    const TraceContext trace{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", true};
    EXPECT_EQ(
        crypto::hex(receipt_id(trace)), "0af7651916cd43dd8448eb211c80319cb7ad6b71692033310000000000000000"
    );
    auto other = trace;
    other.span_id[0] = 'a';
    EXPECT_NE(receipt_id(trace), receipt_id(other)) << "each attempt has its own";
    Ones random;
    EXPECT_EQ(receipt_id(trace, random), receipt_id(trace));
    // What the other side reads of the header is the same.
    EXPECT_EQ(receipt_id(parse_traceparent(write_traceparent(trace))), receipt_id(trace));
}

TEST(ReceiptId, IsDrawnWithoutATrace) {
    Ones random;
    for (const auto& trace :
         {TraceContext{}, TraceContext{"0af7651916cd43dd8448eb211c80319c", {}, true},
          TraceContext{{}, "b7ad6b7169203331", true}}) {
        EXPECT_EQ(receipt_id(trace), crypto::Hash32{});
        EXPECT_EQ(crypto::hex(receipt_id(trace, random)).substr(62), "01");
    }
}

}  // namespace

}  // namespace framegrid::api
