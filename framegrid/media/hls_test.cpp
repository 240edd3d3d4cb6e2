#include <framegrid/media/hls.hpp>

#include <gtest/gtest.h>

namespace framegrid::media {
namespace {

TEST(Hls, WritesAMasterPlaylist) {
    const std::vector<HlsVariant> variants{
        {"720p/index.m3u8", 3'100'000, 2'900'000, {1280, 720}, "avc1.64001f,mp4a.40.2", 29.97},
        {"low \"1\"\n.m3u8", 0, 0, {}, "a\"b", 0},
    };
    EXPECT_EQ(
        master_playlist(variants),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=3100000,AVERAGE-BANDWIDTH=2900000,CODECS=\"avc1.64001f,mp4a.40.2\","
        "RESOLUTION=1280x720,FRAME-RATE=29.970\n720p/index.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"ab\"\nlow%20%221%22%0A.m3u8\n"
    );
}

TEST(Hls, WritesAFinishedMediaPlaylist) {
    const std::vector<HlsSegment> segments{
        {"0.ts", 2000, 500'000, false}, {"1.ts", 2034, 400'000, false}, {"2.ts", 500, 200'000, true}
    };
    EXPECT_EQ(
        media_playlist(segments, {}),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:"
        "VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXTINF:2.000,\n0.ts\n#EXTINF:2.034,\n1.ts\n#EXT-X-DISCONTINUITY\n"
        "#EXTINF:0.500,\n2.ts\n#EXT-X-ENDLIST\n"
    );
    EXPECT_EQ(peak_bandwidth_bps(segments), 3'200'000);
    EXPECT_EQ(average_bandwidth_bps(segments), 1'100'000 * std::int64_t{8000} / 4534);
}

TEST(Hls, KeepsAFixedTargetWhileItGrows) {
    HlsMediaOptions options;
    options.vod = false;
    options.ended = false;
    options.target_duration_s = 4;
    options.media_sequence = 7;
    const std::string text = media_playlist({{"7.ts", 1000, 1, false}}, options);
    EXPECT_NE(text.find("TARGETDURATION:4\n"), std::string::npos);
    EXPECT_NE(text.find("MEDIA-SEQUENCE:7\n"), std::string::npos);
    EXPECT_NE(text.find("PLAYLIST-TYPE:EVENT\n"), std::string::npos);
    EXPECT_EQ(text.find("ENDLIST"), std::string::npos);
    EXPECT_EQ(peak_bandwidth_bps({}), 0);
    EXPECT_EQ(average_bandwidth_bps({}), 0);
}

}  // namespace
}  // namespace framegrid::media
