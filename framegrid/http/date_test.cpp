#include <framegrid/http/date.hpp>

#include <gtest/gtest.h>

namespace framegrid::http {
namespace {

TEST(Date, IsReadAsItIsWritten) {
    EXPECT_EQ(date_text(784'111'777'000), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date_text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777);
    EXPECT_EQ(parse_date(date_text(1'764'222'059'999)), 1'764'222'059);
    for (const auto* bad :
         {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
          "Sun, 06 ovD 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
          "Sun, 0x Nov 1994 08:49:37 GMT"}) {
        EXPECT_FALSE(parse_date(bad)) << bad;
    }
}

}  // namespace
}  // namespace framegrid::http
