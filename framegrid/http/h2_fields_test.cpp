#include <framegrid/http/h2_fields.hpp>

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace framegrid::http {

namespace {

class HeaderTable {
  public:
    HeaderTable() {
        nghttp2_hd_deflater* made = nullptr;
        EXPECT_EQ(nghttp2_hd_deflate_new(&made, 4'096), 0);
        deflater_.reset(made);
    }
    // Of one head.
    std::size_t bytes(const FieldList& fields) {
        std::vector<std::uint8_t> out(nghttp2_hd_deflate_bound(deflater_.get(), fields.data(), fields.size())
        );
        const auto size =
            nghttp2_hd_deflate_hd(deflater_.get(), out.data(), out.size(), fields.data(), fields.size());
        EXPECT_GT(size, 0);
        return static_cast<std::size_t>(size);
    }

  private:
    struct Delete {
        void operator()(nghttp2_hd_deflater* deflater) const { nghttp2_hd_deflate_del(deflater); }
    };
    std::unique_ptr<nghttp2_hd_deflater, Delete> deflater_;
};

// What repeats is sent once and is a byte from then on, whatever else each request brings.
TEST(H2Fields, ValuesThatNeverRepeatPushNothingOut) {
    HeaderTable table;
    const std::string payment(1'500, 'p');
    for (int i = 0; i < 500; ++i) {
        const std::string unique = std::to_string(1'000'000'000 + i) + std::string(50, 'x');
        FieldList fields;
        fields.add("livepeer-payment", payment);
        for (const char* name : {"traceparent", "x-framegrid-receipt", "x-request-id", "x-trace-id"}) {
            fields.add(name, unique);
        }
        const std::size_t bytes = table.bytes(fields);
        EXPECT_TRUE(i == 0 ? bytes > 1'000 : bytes < 400) << bytes << " bytes of request " << i;
    }
}

TEST(H2Fields, SecretsAreNotKept) {
    const std::string key = "Bearer secret";
    FieldList fields;
    fields.add("authorization", key);
    fields.add("cookie", key);
    fields.add("accept", key);
    ASSERT_EQ(fields.size(), 3U);
    EXPECT_EQ(fields.data()[0].flags, NGHTTP2_NV_FLAG_NO_INDEX);
    EXPECT_EQ(fields.data()[1].flags, NGHTTP2_NV_FLAG_NO_INDEX);
    EXPECT_EQ(fields.data()[2].flags, NGHTTP2_NV_FLAG_NONE);
}

}  // namespace

}  // namespace framegrid::http
