#include <algorithm>

#include <framegrid/media/profile.hpp>

#include <gtest/gtest.h>

namespace framegrid::media {
namespace {

VideoProfile box(int side, Encoder encoder = Encoder::kH264) {
    VideoProfile profile;
    profile.width = side;
    profile.height = 1;
    profile.encoder = encoder;
    return profile;
}

TEST(OutputSize, FollowsTheReferenceTable) {
    struct Row {
        Size source;
        int request;
        Size out;
    };
    const std::vector<Row> rows{
        {{150, 200}, 250, {188, 250}},  {{200, 300}, 427, {284, 426}},   {{123, 456}, 426, {146, 542}},
        {{400, 456}, 40, {146, 166}},   {{456, 123}, 426, {426, 114}},   {{456, 123}, 301, {300, 80}},
        {{456, 400}, 100, {146, 128}},  {{500, 100}, 200, {250, 50}},    {{456, 120}, 400, {400, 106}},
        {{123, 123}, 426, {426, 426}},  {{1920, 1080}, 854, {854, 480}}, {{1080, 1920}, 854, {480, 854}},
        {{1280, 536}, 426, {426, 178}},
    };
    for (const Row& row : rows) {
        const Size out = output_size(row.source, box(row.request));
        EXPECT_EQ(out, row.out) << row.source.width << "x" << row.source.height << " in " << row.request
                                << " gave " << out.width << "x" << out.height;
    }
}

TEST(OutputSize, IsAlwaysEvenAndInsideTheCodecLimits) {
    for (const Encoder encoder : {Encoder::kH264, Encoder::kHevc, Encoder::kVp9}) {
        for (const Size source : {Size{1, 1}, Size{1, 16384}, Size{16384, 1}, Size{0, 0}, Size{1919, 1079}}) {
            for (const int request : {0, 1, 145, 720, 9000, 1 << 30}) {
                const Size out = output_size(source, box(request, encoder));
                EXPECT_EQ(out.width % 2, 0);
                EXPECT_EQ(out.height % 2, 0);
                EXPECT_GE(std::min(out.width, out.height), 2);
                EXPECT_LE(std::max(out.width, out.height), 16384);
            }
        }
    }
    EXPECT_EQ(output_size({1920, 1080}, box(100, Encoder::kHevc)), (Size{132, 74}));
}

TEST(GopFrames, RoundsTheRealFrameRate) {
    VideoProfile profile;
    profile.gop_ms = 2000;
    EXPECT_EQ(gop_frames(profile), 0);
    profile.fps_num = 30'000;
    profile.fps_den = 1001;
    EXPECT_EQ(gop_frames(profile), 60);
    profile.gop_ms = 1;
    EXPECT_EQ(gop_frames(profile), 1);
    profile.gop_ms = 0;
    EXPECT_EQ(gop_frames(profile), 0);
    profile.gop_ms = kGopIntra;
    EXPECT_EQ(gop_frames(profile), 1);
}

TEST(EstimatePixels, MatchesTheProtocolVectors) {
    const auto p144 = *parse_presets("P144p30fps16x9");
    const auto both = *parse_presets("P144p30fps16x9,P240p30fps16x9");
    EXPECT_EQ(estimate_pixels(p144, 2000).value, 2'211'840);
    EXPECT_EQ(estimate_pixels(both, 2000).value, 8'346'240);
    EXPECT_EQ(estimate_pixels(both, 2200).value, 12'519'360);
    auto passthrough = both;
    passthrough[0].fps_num = 0;
    EXPECT_EQ(estimate_pixels(passthrough, 3000).value, 15'837'120);
    EXPECT_EQ(estimate_pixels({}, 2000).value, 0);
}

TEST(Presets, AreKnownByName) {
    EXPECT_EQ(preset_names().size(), 13U);
    for (const std::string& name : preset_names()) {
        ASSERT_TRUE(parse_presets(name).has_value()) << name;
    }
    const auto profiles = parse_presets(" P720p60fps16x9 ,P240p30fps4x3");
    ASSERT_TRUE(profiles.has_value());
    EXPECT_EQ(profiles->at(0).bitrate_bps, 6'000'000);
    EXPECT_EQ(profiles->at(1).width, 320);
    const auto unknown = parse_presets("P144p25fps16x9");
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, Errc::kInvalidArgument);
    EXPECT_NE(unknown.error().message.find("P144p25fps16x9"), std::string::npos);
    EXPECT_EQ(default_profiles().size(), 2U);
}

TEST(ParseProfiles, ReadsEveryField) {
    const auto profiles = parse_profiles(
        R"([{"name":"a","width":1280,"height":720,"bitrate":3000000,"fps":30000,"fpsDen":1001,
            "profile":"h264constrainedHIGH","gop":"1.5","encoder":"HEVC","colorDepth":2,"chromaFormat":1,
            "quality":27,"unknown":{"x":[1]}},
            {"width":640,"height":360,"bitrate":800000,"gop":"intra","profile":"None"},
            {"width":640,"height":0,"bitrate":1.0,"gop":2}])"
    );
    ASSERT_TRUE(profiles.has_value()) << profiles.error().message;
    const VideoProfile& first = profiles->at(0);
    EXPECT_EQ(first.name, "a");
    EXPECT_EQ(first.fps_num, 30'000U);
    EXPECT_EQ(first.fps_den, 1001U);
    EXPECT_EQ(first.h264_profile, H264Profile::kConstrainedHigh);
    EXPECT_EQ(first.gop_ms, 1500);
    EXPECT_EQ(first.encoder, Encoder::kHevc);
    EXPECT_EQ(first.color_depth, 2);
    EXPECT_EQ(first.chroma, Chroma::k422);
    EXPECT_EQ(first.quality, 27U);
    EXPECT_EQ(profiles->at(1).name, "custom_640x360_800000");
    EXPECT_EQ(profiles->at(1).gop_ms, kGopIntra);
    EXPECT_EQ(profiles->at(1).fps_den, 1U);
    EXPECT_EQ(profiles->at(2).gop_ms, 2000);

    const auto again = parse_profiles(format_profiles(*profiles));
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(*again, *profiles);
}

TEST(ParseProfiles, NamesTheFieldAtFault) {
    struct Row {
        std::string_view json;
        std::string_view field;
    };
    const std::vector<Row> rows{
        {"", "profiles"},
        {"{", "profiles"},
        {"{}", "profiles"},
        {"[1]", "profiles[0]"},
        {R"([{"width":2,"height":2},{"width":"x"}])", "profiles[1].width"},
        {R"([{"width":-1,"height":2}])", "profiles[0].width"},
        {R"([{"width":1e300,"height":2}])", "profiles[0].width"},
        {R"([{"width":18446744073709551615}])", "profiles[0].width"},
        {R"([{"width":100000}])", "profiles[0].width"},
        {R"([{}])", "profiles[0].width"},
        {R"([{"width":2.5}])", "profiles[0].width"},
        {R"([{"width":2,"bitrate":9999999999}])", "profiles[0].bitrate"},
        {R"([{"width":2,"fps":[]}])", "profiles[0].fps"},
        {R"([{"width":2,"fps":5000}])", "profiles[0].fps"},
        {R"([{"width":2,"gop":"abc"}])", "profiles[0].gop"},
        {R"([{"width":2,"gop":"-1"}])", "profiles[0].gop"},
        {R"([{"width":2,"gop":"nan"}])", "profiles[0].gop"},
        {R"([{"width":2,"gop":true}])", "profiles[0].gop"},
        {R"([{"width":2,"profile":"H265"}])", "profiles[0].profile"},
        {R"([{"width":2,"encoder":"h264"}])", "profiles[0].encoder"},
        {R"([{"width":2,"colorDepth":3}])", "profiles[0].colorDepth"},
        {R"([{"width":2,"chromaFormat":3}])", "profiles[0].chromaFormat"},
        {R"([{"width":2,"quality":64}])", "profiles[0].quality"},
        {R"([{"width":2,"name":"../x"}])", "profiles[0].name"},
        {R"([{"width":2,"name":"a\nb"}])", "profiles[0].name"},
        {R"([{"width":2,"name":5}])", "profiles[0].name"},
        {R"([{"width":2,"name":"a"},{"width":2,"name":"a"}])", "profiles[1].name"},
        {"[{},{},{},{},{},{},{},{},{},{},{}]", "profiles"},
    };
    for (const Row& row : rows) {
        const auto result = parse_profiles(row.json);
        ASSERT_FALSE(result.has_value()) << row.json;
        EXPECT_EQ(result.error().field, row.field) << row.json << ": " << result.error().message;
        EXPECT_EQ(result.error().code, Errc::kInvalidArgument);
    }
    EXPECT_EQ(parse_profiles(std::string(70'000, ' ')).error().code, Errc::kTooLarge);
    EXPECT_FALSE(parse_profiles(std::string(60'000, '[')).has_value());
    EXPECT_TRUE(parse_profiles("[]").has_value());
}

TEST(Containers, HaveExtensionsAndTypes) {
    EXPECT_EQ(extension_of(Container::kMpegTs), ".ts");
    EXPECT_EQ(content_type_of(Container::kMp4), "video/mp4");
}

}  // namespace
}  // namespace framegrid::media
