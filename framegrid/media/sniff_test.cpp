#include <framegrid/media/sniff.hpp>

#include <gtest/gtest.h>

namespace framegrid::media {
namespace {

using namespace std::string_view_literals;

Bytes packets(std::size_t count) {
    Bytes bytes(count * 188, 0xFF);
    for (std::size_t i = 0; i < count; ++i) {
        bytes[i * 188] = 0x47;
    }
    return bytes;
}

TEST(Sniff, TellsVideosFromPictures) {
    EXPECT_TRUE(looks_like_video(packets(1)));
    EXPECT_TRUE(looks_like_video(packets(5)));
    EXPECT_TRUE(looks_like_mpegts(packets(2)));
    EXPECT_TRUE(
        looks_like_video(as_bytes("\0\0\0\x20"
                                  "ftypisom"sv))
    );
    EXPECT_TRUE(looks_like_video(as_bytes("\x1A\x45\xDF\xA3 webm"sv)));
    EXPECT_TRUE(looks_like_video(as_bytes("RIFF\0\0\0\0AVI LIST"sv)));
    EXPECT_FALSE(
        looks_like_video(as_bytes("\0\0\0\x20"
                                  "ftypavif"sv))
    );
    EXPECT_FALSE(looks_like_video(as_bytes("RIFF\0\0\0\0WEBPVP8 "sv)));
    EXPECT_FALSE(looks_like_video(as_bytes("\x89PNG\r\n\x1A\n"sv)));
    EXPECT_FALSE(looks_like_video({}));
    EXPECT_FALSE(looks_like_video(as_bytes("G"sv)));
    EXPECT_FALSE(looks_like_mpegts(as_bytes("GIF89a"sv)));
}

TEST(Sniff, ReadsPictureSizes) {
    EXPECT_EQ(
        picture_size(as_bytes("\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\x01\x86\xA0\0\0\0\x02"sv)), (Size{100'000, 2})
    );
    EXPECT_EQ(picture_size(as_bytes("GIF89a\x40\x01\xF0\0"sv)), (Size{320, 240}));
    EXPECT_EQ(
        picture_size(as_bytes("\xFF\xD8\xFF\xE0\0\x04\0\0\xFF\xC0\0\x11\x08\0\x10\0\x20\x03"sv)),
        (Size{32, 16})
    );
    EXPECT_EQ(
        picture_size(as_bytes("BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x08\0\0\0\xFC\xFF\xFF\xFF"sv)),
        (Size{8, 4})
    );
    EXPECT_EQ(
        picture_size(as_bytes("RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\x3F\x01\0\xEF\0\0"sv)), (Size{320, 240})
    );
    EXPECT_EQ(picture_size(as_bytes("\xFF\xD8\xFF\xE0\0\0\0\0"sv)), std::nullopt);
    EXPECT_EQ(picture_size(as_bytes("\x89PNG\r\n\x1A\n"sv)), std::nullopt);
    EXPECT_EQ(picture_size(as_bytes("plain text"sv)), std::nullopt);
}

TEST(Sniff, SurvivesEveryPrefix) {
    const std::string jpeg("\xFF\xD8\xFF\xE0\0\x04\0\0\xFF\xC0\0\x11\x08\0\x10\0\x20\x03", 18);
    for (std::size_t n = 0; n <= jpeg.size(); ++n) {
        (void)picture_size(as_bytes(std::string_view(jpeg).substr(0, n)));
    }
}

}  // namespace
}  // namespace framegrid::media
