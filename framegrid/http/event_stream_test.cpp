#include <framegrid/http/event_stream.hpp>

#include <gtest/gtest.h>

namespace framegrid::http {
namespace {

std::vector<Event> read(std::string_view text, std::size_t piece, std::size_t limit = 1000) {
    EventReader reader(limit);
    std::vector<Event> out;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        EXPECT_TRUE(reader.append(text.substr(at, piece)));
        while (auto event = reader.next()) {
            out.push_back(std::move(*event));
        }
    }
    return out;
}

TEST(EventStream, WhatIsWrittenIsRead) {
    const std::vector<Event> events = {
        {"progress", R"({"step":1})"}, {"", "a\nb\n"}, {"result", ""}, {"x", " leading space"}
    };
    std::string text;
    for (const auto& event : events) {
        text += format_event(event);
    }
    for (const std::size_t piece : {1UL, 2UL, 7UL, 1000UL}) {
        EXPECT_EQ(read(text, piece), events) << piece;
    }
}

TEST(EventStream, ReadsWhatOthersWrite) {
    const std::string_view text =
        "\xef\xbb\xbf: a comment\r\n\r\nid: 5\r\nevent:a\r\ndata:1\r\n\r\n"
        "data\rdata: 2\r\r"
        "event: no data\n\n"
        "retry: 3\ndata: last\n\ndata: never ended";
    const std::vector<Event> expected = {{"a", "1", "5"}, {"", "\n2"}, {"", "last"}};
    for (const std::size_t piece : {1UL, 3UL, 1000UL}) {
        EXPECT_EQ(read(text, piece), expected) << piece;
    }
}

TEST(EventStream, AnEventHasALimit) {
    EventReader reader(20);
    EXPECT_TRUE(reader.append("data: 0123456789\n"));
    EXPECT_EQ(reader.append("data: 0123456789\n").error().code, Errc::kTooLarge);
    EXPECT_EQ(EventReader(20).append(std::string(21, 'x')).error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace framegrid::http
