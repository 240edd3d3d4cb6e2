#include <framegrid/wire/ai_progress.hpp>

#include <gtest/gtest.h>

namespace framegrid::wire {
namespace {

TEST(AiProgress, RoundTrips) {
    for (const auto& sent : {api::Progress{3, 20, {}}, api::Progress{0, 1, Blob::copy_of("\xff\xd8jpeg")}}) {
        const auto got = read_progress(write_progress(sent));
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(got->done, sent.done);
        EXPECT_EQ(got->total, sent.total);
        EXPECT_EQ(got->preview.text(), sent.preview.text());
    }
}

TEST(AiProgress, RefusesNonsense) {
    for (const char* text :
         {"", "[]", "{}", R"({"step":-1,"steps":2})", R"({"step":3,"steps":2})", R"({"step":0,"steps":0})",
          R"({"step":1,"steps":1e9})", R"({"step":"1","steps":2})",
          R"({"step":1,"steps":2,"preview":"data:image/jpeg;base64,?"})"}) {
        EXPECT_FALSE(read_progress(text)) << text;
    }
}

TEST(AiProgress, ErrorsKeepTheirMeaning) {
    const auto full = read_error_event(write_error_event(503, Errc::kCapacity, "full\xff"));
    EXPECT_EQ(full.code, Errc::kCapacity);
    EXPECT_EQ(full.disposition, Disposition::kRetry);
    const auto bad = read_error_event(write_error_event(422, Errc::kUnprocessable, "not media"));
    EXPECT_EQ(bad.disposition, Disposition::kReject);
    EXPECT_NE(bad.message.find("not media"), std::string::npos);
    for (const char* text : {"", "{}", R"({"status":200})", R"({"status":"503"})"}) {
        EXPECT_EQ(read_error_event(text).disposition, Disposition::kPenalizePeer) << text;
    }
}

TEST(AiProgress, ReadsHeaders) {
    EXPECT_EQ(preview_steps("5"), 5);
    EXPECT_EQ(preview_steps("-5"), 0);
    EXPECT_EQ(preview_steps("many"), 0);
    http::Headers headers;
    EXPECT_EQ(priority_of(headers), api::Priority::kNormal);
    headers.add(std::string(kPriorityHeader), "-1");
    EXPECT_EQ(priority_of(headers), api::Priority::kLow);
}

}  // namespace
}  // namespace framegrid::wire
