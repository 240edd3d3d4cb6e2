#include <framegrid/media_ffmpeg/transcoder.hpp>

#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/test_media.hpp>

namespace framegrid::media_ffmpeg {
namespace {

using media::VideoProfile;
using testing::HasSubstr;

VideoProfile profile(const std::string& name, int width, int height) {
    VideoProfile made;
    made.name = name;
    made.width = width;
    made.height = height;
    made.bitrate_bps = 300'000;
    return made;
}

class TranscoderTest : public testing::Test {
  protected:
    TranscoderTest() {
        TranscoderSettings settings;
        settings.preset = "ultrafast";
        settings.sessions_max = 2;
        transcoder_ = std::move(*FfmpegTranscoder::open(settings));
    }
    Result<api::WorkOutput> transcode(const Blob& segment, std::vector<VideoProfile> profiles) {
        api::TranscodeWork work;
        work.profiles = std::move(profiles);
        return transcoder_->transcode("s", work, segment, stop_, nullptr);
    }
    // The only rendition's bytes.
    Look transcode_and_look(const Blob& segment, const VideoProfile& wanted) {
        auto output = transcode(segment, {wanted});
        EXPECT_TRUE(output.has_value()) << (output ? "" : output.error().message);
        return output ? look_at(output->artifacts.at(0).bytes) : Look{};
    }
    Error expect_error(const Blob& segment, Errc code, const std::string& text) {
        auto output = transcode(segment, {profile("a", 160, 90)});
        EXPECT_FALSE(output.has_value());
        if (output) {
            return {};
        }
        EXPECT_EQ(output.error().code, code) << output.error().message;
        EXPECT_EQ(output.error().disposition, Disposition::kReject);
        EXPECT_THAT(output.error().message, HasSubstr(text));
        return output.error();
    }

    std::unique_ptr<FfmpegTranscoder> transcoder_;
    api::StopFlag stop_{false};
};

std::vector<std::int64_t> times(const Look& look, bool keys_only = false) {
    std::vector<std::int64_t> result;
    for (const Shot& shot : look.shots) {
        if (shot.key || !keys_only) {
            result.push_back(shot.pts);
        }
    }
    return result;
}

TEST_F(TranscoderTest, MakesAnAlignedLadderAndCountsPixels) {
    const Blob source = clip_bytes(small_clip());
    const Look before = look_at(source);
    ASSERT_EQ(before.shots.size(), 30U);
    auto high = profile("high", 240, 136);
    high.h264_profile = media::H264Profile::kHigh;
    auto low = profile("low", 146, 50);
    low.h264_profile = media::H264Profile::kBaseline;
    std::set<std::size_t> told;
    std::mutex mutex;
    api::TranscodeWork work;
    work.profiles = {high, low};
    work.early = true;
    const auto output =
        transcoder_->transcode("s", work, source, stop_, [&](std::size_t i, const api::Artifact&) {
            const std::lock_guard lock(mutex);
            told.insert(i);
        });
    ASSERT_TRUE(output.has_value()) << output.error().message;
    EXPECT_EQ(told.size(), 1U) << "the last one is in the output in no time";
    EXPECT_EQ(output->decoded.value, 320 * 180 * 30);
    EXPECT_EQ(output->artifacts.at(0).pixels.value, 240 * 136 * 30);
    EXPECT_EQ(output->artifacts.at(1).pixels.value, 146 * 82 * 30);
    for (const api::Artifact& artifact : output->artifacts) {
        EXPECT_EQ(artifact.content_type, "video/mp2t");
        const Look after = look_at(artifact.bytes);
        EXPECT_EQ(times(after), times(before)) << artifact.name;
        EXPECT_EQ(times(after, true), (std::vector{before.shots[0].pts})) << artifact.name;
        EXPECT_EQ(after.audio_pts, before.audio_pts);
        EXPECT_TRUE(after.dts_rises);
    }
}

TEST_F(TranscoderTest, StartsAtZeroWithReorderedPictures) {
    ClipSpec spec = small_clip();
    spec.video_options = "preset=veryfast:bf=3";
    const Blob source = clip_bytes(spec, "clip.mp4");
    auto wanted = profile("a", 160, 90);
    wanted.h264_profile = media::H264Profile::kHigh;
    for (const auto container : {media::Container::kMpegTs, media::Container::kMp4}) {
        wanted.container = container;
        const Look after = transcode_and_look(source, wanted);
        ASSERT_EQ(after.shots.size(), 30U);
        EXPECT_EQ(after.shots[0].pts, 0);
        EXPECT_EQ(after.shots[29].pts, 29 * 3000);
    }
}

TEST_F(TranscoderTest, ChangesTheFrameRate) {
    const Blob source = clip_bytes(small_clip());
    const std::int64_t start = look_at(source).shots[0].pts;
    struct Row {
        std::uint32_t num;
        std::uint32_t den;
        std::size_t least;
        std::size_t most;
    };
    for (const Row& row :
         std::vector<Row>{{15, 1, 15, 15}, {60, 1, 60, 61}, {30'000, 1001, 29, 31}, {1, 1, 1, 2}}) {
        auto wanted = profile("a", 160, 90);
        wanted.fps_num = row.num;
        wanted.fps_den = row.den;
        const Look after = transcode_and_look(source, wanted);
        EXPECT_GE(after.shots.size(), row.least) << row.num << "/" << row.den;
        EXPECT_LE(after.shots.size(), row.most) << row.num << "/" << row.den;
        EXPECT_LE(std::abs(after.shots.at(0).pts - start), 90'000 * row.den / row.num);
    }
}

TEST_F(TranscoderTest, KeepsTheKeyframeInterval) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 2000;
    spec.keyframe_ms = 2000;
    const Blob source = clip_bytes(spec);
    auto wanted = profile("a", 160, 90);
    wanted.gop_ms = 300;
    EXPECT_EQ(times(transcode_and_look(source, wanted), true).size(), 7U);  // 0, 0.3 ... 1.8 s
    wanted.fps_num = 30;
    EXPECT_EQ(times(transcode_and_look(source, wanted), true).size(), 7U);
    wanted.gop_ms = media::kGopIntra;
    EXPECT_EQ(times(transcode_and_look(source, wanted), true).size(), 60U);
    wanted.gop_ms = 0;
    EXPECT_EQ(times(transcode_and_look(source, wanted), true).size(), 1U);
}

TEST_F(TranscoderTest, WritesMp4WithTheIndexInFrontAndTheSourcesTimes) {
    const Blob source = clip_bytes(small_clip());
    auto wanted = profile("a", 160, 90);
    wanted.container = media::Container::kMp4;
    const auto output = transcode(source, {wanted});
    ASSERT_TRUE(output.has_value()) << output.error().message;
    const std::string_view text = output->artifacts[0].bytes.text();
    EXPECT_LT(text.find("moov"), text.find("mdat"));
    EXPECT_EQ(output->artifacts[0].content_type, "video/mp4");
    const Look before = look_at(source);
    const Look after = look_at(output->artifacts[0].bytes);
    ASSERT_EQ(after.shots.size(), before.shots.size());
    for (std::size_t i = 0; i < after.shots.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(after.shots[i].pts), static_cast<double>(before.shots[i].pts), 1);
    }
    EXPECT_EQ(after.audio_pts.size(), before.audio_pts.size());
}

TEST_F(TranscoderTest, TurnsPicturesUpright) {
    ClipSpec spec = small_clip();
    spec.source = "color=black";
    spec.duration_ms = 200;
    spec.audio = false;
    // The left half is white: turned clockwise it comes to the top.
    spec.video_filter = "drawbox=w=iw/2:h=ih:color=white:t=fill";
    struct Row {
        int rotation;
        media::Size size;
        bool white_top;
    };
    for (const Row& row : {Row{90, {180, 320}, true}, Row{270, {180, 320}, false}}) {
        spec.rotation = row.rotation;
        const Look after = transcode_and_look(clip_bytes(spec, "clip.mp4"), profile("a", 320, 320));
        ASSERT_EQ(after.shots.size(), 6U);
        EXPECT_EQ(after.shots[0].size, row.size);
        EXPECT_EQ(after.shots[0].luma_top > 128, row.white_top) << row.rotation;
    }
    spec.video_filter = "drawbox=w=iw:h=ih/2:color=white:t=fill";
    for (const int rotation : {0, 180}) {
        spec.rotation = rotation;
        const Look after = transcode_and_look(clip_bytes(spec, "clip.mp4"), profile("a", 320, 320));
        EXPECT_EQ(after.shots.at(0).size, (media::Size{320, 180}));
        EXPECT_EQ(after.shots.at(0).luma_top > 128, rotation == 0) << rotation;
    }
}

TEST_F(TranscoderTest, TakesOddAndTinySizes) {
    ClipSpec spec = small_clip();
    spec.video_options = "";
    spec.video_encoder = "mpeg4";
    spec.width = 123;
    spec.height = 457;
    spec.video_filter = "scale=123:457";
    spec.duration_ms = 300;
    EXPECT_EQ(
        transcode_and_look(clip_bytes(spec, "clip.mp4"), profile("a", 426, 1)).shots.at(0).size,
        (media::Size{146, 542})
    );
    spec.video_encoder = "ffv1";
    spec.video_filter = "scale=1:1";
    const Look tiny = transcode_and_look(clip_bytes(spec, "clip.mkv"), profile("a", 146, 146));
    ASSERT_EQ(tiny.shots.size(), 9U);
    EXPECT_EQ(tiny.shots[0].size, (media::Size{146, 146}));
}

TEST_F(TranscoderTest, PassesVariableFrameRatesThrough) {
    ClipSpec spec = small_clip();
    spec.video_filter = "setpts='PTS+mod(N\\,3)*0.004/TB',settb=1/90000";
    const Blob source = clip_bytes(spec, "clip.mkv");
    const Look before = look_at(source);
    EXPECT_EQ(times(transcode_and_look(source, profile("a", 160, 90))), times(before));
}

TEST_F(TranscoderTest, WorksWithoutSoundAndRefusesSoundAlone) {
    ClipSpec spec = small_clip();
    spec.audio = false;
    EXPECT_TRUE(transcode_and_look(clip_bytes(spec), profile("a", 160, 90)).audio_pts.empty());
    spec.audio = true;
    spec.video = false;
    const Blob sound = clip_bytes(spec);
    transcoder_->end_session("s");
    expect_error(sound, Errc::kUnprocessable, "TranscoderInvalidVideo");
    // A later segment of a stream that had pictures may lack them.
    ASSERT_TRUE(transcode(clip_bytes(small_clip()), {profile("a", 160, 90)}).has_value());
    const auto output = transcode(sound, {profile("a", 160, 90)});
    ASSERT_TRUE(output.has_value()) << output.error().message;
    EXPECT_EQ(output->artifacts[0].pixels.value, 0);
    EXPECT_GT(look_at(output->artifacts[0].bytes).audio_pts.size(), 10U);
}

TEST_F(TranscoderTest, EncodesEveryPictureOfShortSegments) {
    for (const int frames : {1, 2, 3, 5, 10}) {
        ClipSpec spec = small_clip();
        spec.duration_ms = frames * 1000 / 30 + 1;
        const Blob source = clip_bytes(spec);
        const Look before = look_at(source);
        auto wanted = profile("a", 160, 90);
        wanted.h264_profile = media::H264Profile::kHigh;
        EXPECT_EQ(times(transcode_and_look(source, wanted)), times(before)) << frames;
    }
}

TEST_F(TranscoderTest, StartsOpenGopSegmentsWithAKeyframe) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 2000;
    spec.video_options = "preset=veryfast:x264-params=open-gop=1:bf=3:keyint=30:min-keyint=30:scenecut=0";
    const Blob whole = clip_bytes(spec);
    bool second = false;
    int keys = 0;
    const Blob tail = filter_packets(whole, [&](int, bool is_key) {
        keys += is_key ? 1 : 0;
        second = keys >= 2;
        return second;
    });
    const Look after = transcode_and_look(tail, profile("a", 160, 90));
    ASSERT_GE(after.shots.size(), 25U);
    EXPECT_TRUE(after.shots[0].key);
}

TEST_F(TranscoderTest, WeavesInterlacedPicturesAtTheirTimes) {
    ClipSpec spec = small_clip();
    spec.fps_num = 50;
    spec.video_filter = "tinterlace=4,setfield=tff";
    spec.video_options = "preset=ultrafast:flags=+ildct+ilme:x264-params=tff=1";
    const Blob source = clip_bytes(spec);
    const Look before = look_at(source);
    const Look after = transcode_and_look(source, profile("a", 160, 90));
    ASSERT_EQ(before.shots.size(), 25U);
    ASSERT_EQ(after.shots.size(), before.shots.size());
    for (std::size_t i = 0; i < after.shots.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(after.shots[i].pts), static_cast<double>(before.shots[i].pts), 1);
    }
}

TEST_F(TranscoderTest, TurnsSoundIntoAacThatTheContainerDoesNotTake) {
    ClipSpec spec = small_clip();
    spec.audio_encoder = "flac";
    const Blob source = clip_bytes(spec, "clip.mkv");
    auto mp4 = profile("b", 160, 90);
    for (const auto container : {media::Container::kMpegTs, media::Container::kMp4}) {
        mp4.container = container;
        const auto output = transcode(source, {mp4});
        ASSERT_TRUE(output.has_value()) << output.error().message;
        EXPECT_EQ(
            probe(output->artifacts[0].bytes)->audio_codec,
            container == media::Container::kMp4 ? "flac" : "aac"
        );
        EXPECT_NEAR(
            static_cast<double>(look_at(output->artifacts[0].bytes).audio_pts.size()),
            container == media::Container::kMp4 ? 11 : 48, 2
        );
    }
}

TEST_F(TranscoderTest, FollowsAResolutionChange) {
    ClipSpec spec = small_clip();
    spec.audio = false;
    const Blob wide = clip_bytes(spec);
    std::swap(spec.width, spec.height);
    spec.video_filter = "setpts=PTS+1/TB";
    const Blob tall = clip_bytes(spec);
    Bytes both(wide.view().begin(), wide.view().end());
    both.insert(both.end(), tall.view().begin(), tall.view().end());
    const Look after = transcode_and_look(Blob(std::move(both)), profile("a", 256, 144));
    ASSERT_EQ(after.shots.size(), 60U);
    EXPECT_EQ(after.shots[0].size, (media::Size{256, 144}));
    EXPECT_EQ(after.shots[59].size, (media::Size{146, 260}));
    EXPECT_TRUE(after.shots[30].key);
    EXPECT_TRUE(after.dts_rises);
}

TEST_F(TranscoderTest, TakesDeepAndFullChromaPictures) {
    for (const std::string format : {"yuv420p10le", "yuv444p", "yuv422p"}) {
        ClipSpec spec = small_clip();
        spec.duration_ms = 300;
        spec.pixel_format = format;
        EXPECT_EQ(transcode_and_look(clip_bytes(spec), profile("a", 160, 90)).shots.size(), 9U) << format;
    }
}

TEST_F(TranscoderTest, ClipsInsideTheSegment) {
    api::TranscodeWork work;
    work.profiles = {profile("a", 160, 90)};
    work.clip = api::Clip{200, 700};
    const Blob source = clip_bytes(small_clip());
    const auto output = transcoder_->transcode("s", work, source, stop_, nullptr);
    ASSERT_TRUE(output.has_value()) << output.error().message;
    const Look after = look_at(output->artifacts[0].bytes);
    EXPECT_EQ(after.shots.size(), 15U);
    EXPECT_TRUE(after.shots[0].key);
    EXPECT_EQ(after.shots[0].pts, look_at(source).shots[6].pts);
    EXPECT_LT(after.audio_pts.size(), 26U);
    // From the start on: sound that begins before the first picture is not lost.
    work.clip = api::Clip{0, 1'000'000};
    const auto whole = transcoder_->transcode("s", work, source, stop_, nullptr);
    ASSERT_TRUE(whole.has_value()) << whole.error().message;
    EXPECT_EQ(look_at(whole->artifacts[0].bytes).audio_pts.size(), look_at(source).audio_pts.size());
}

TEST_F(TranscoderTest, TellsBadInputByTheNetworksTexts) {
    const Blob good = clip_bytes(small_clip());
    expect_error(Blob(), Errc::kUnprocessable, "TranscoderInvalidVideo");
    expect_error(Blob::copy_of(std::string(5000, 'x')), Errc::kUnprocessable, "TranscoderInvalidVideo");
    expect_error(
        Blob::copy_of("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), Errc::kUnprocessable, "TranscoderInvalidVideo"
    );
    expect_error(
        filter_packets(good, [](int, bool is_key) { return !is_key; }), Errc::kUnprocessable,
        "No keyframes in input"
    );
    ClipSpec spec = small_clip();
    spec.video_encoder = "asv1";
    spec.video_options = "";
    expect_error(clip_bytes(spec, "clip.avi"), Errc::kUnsupported, "Unsupported input codec");
    expect_error(
        clip_bytes(small_clip(), "clip.mp4").slice(0, 3000), Errc::kUnprocessable, "TranscoderInvalidVideo"
    );

    const auto many = transcode(good, std::vector<VideoProfile>(11, profile("a", 160, 90)));
    ASSERT_FALSE(many.has_value());
    EXPECT_THAT(many.error().message, HasSubstr("Too many outputs"));
    auto vp8 = profile("a", 160, 90);
    vp8.encoder = media::Encoder::kVp8;
    EXPECT_THAT(transcode(good, {vp8}).error().message, HasSubstr("Encoder not found"));
    EXPECT_TRUE(transcode(good, {}).has_value());
}

TEST_F(TranscoderTest, RefusesAbsurdSizes) {
    ClipSpec spec = small_clip();
    spec.video_encoder = "mpeg4";
    spec.video_options = "";
    const Blob good = clip_bytes(spec, "clip.avi");
    std::string text(good.text());
    const std::size_t header = text.find("strf");
    ASSERT_NE(header, std::string::npos);
    const std::int32_t huge = 100'000;
    std::memcpy(&text[header + 12], &huge, 4);
    std::memcpy(&text[header + 16], &huge, 4);
    expect_error(Blob::copy_of(text), Errc::kTooLarge, "100000x100000");
}

TEST_F(TranscoderTest, TranscodesWhatIsLeftOfATruncatedSegment) {
    const Blob good = clip_bytes(small_clip());
    const Look after = transcode_and_look(good.slice(0, good.size() * 2 / 3), profile("a", 160, 90));
    EXPECT_GT(after.shots.size(), 5U);
    EXPECT_LT(after.shots.size(), 30U);
}

TEST_F(TranscoderTest, StopsARunaway) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 100;
    spec.video_filter = "setpts=N*20/TB";
    auto wanted = profile("a", 160, 90);
    wanted.fps_num = 30;
    const auto output = transcode(clip_bytes(spec, "clip.mkv"), {wanted});
    ASSERT_FALSE(output.has_value());
    EXPECT_EQ(output.error().message, "Encoded frames runaway");
}

TEST_F(TranscoderTest, StopsWhenTold) {
    stop_ = true;
    const auto output = transcode(clip_bytes(small_clip()), {profile("a", 160, 90)});
    ASSERT_FALSE(output.has_value());
    EXPECT_EQ(output.error().code, Errc::kCancelled);
}

TEST_F(TranscoderTest, KeepsABoundedNumberOfSessions) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 100;
    const Blob source = clip_bytes(spec);
    api::TranscodeWork work;
    work.profiles = {profile("a", 160, 90)};
    for (const std::string id : {"1", "2", "3", "3", "2"}) {
        ASSERT_TRUE(transcoder_->transcode(id, work, source, stop_, nullptr).has_value());
    }
    EXPECT_EQ(transcoder_->session_count(), 2U);
    work.force_reinit = true;
    ASSERT_TRUE(transcoder_->transcode("2", work, source, stop_, nullptr).has_value());
    transcoder_->end_session("2");
    transcoder_->end_session("unknown");
    EXPECT_EQ(transcoder_->session_count(), 1U);
}

TEST_F(TranscoderTest, ServesOneSessionFromSeveralThreads) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 300;
    const Blob source = clip_bytes(spec);
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                good += transcode(source, {profile("a", 160, 90), profile("b", 146, 80)}).has_value() ? 1 : 0;
            });
        }
    }
    EXPECT_EQ(good, 4);
}

struct CodecRow {
    std::string encoder;
    std::string options;
    std::string file;
    std::string pixel_format = "yuv420p";
};

class InputCodec : public TranscoderTest, public testing::WithParamInterface<CodecRow> {};

TEST_P(InputCodec, IsTranscoded) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 500;
    spec.video_encoder = GetParam().encoder;
    spec.video_options = GetParam().options;
    spec.pixel_format = GetParam().pixel_format;
    spec.audio = false;
    const Blob source = clip_bytes(spec, GetParam().file);
    const Look after = transcode_and_look(source, profile("a", 160, 90));
    EXPECT_EQ(after.shots.size(), 15U);
    EXPECT_EQ(after.video_codec, "h264");
    EXPECT_TRUE(after.shots.at(0).key);
}

INSTANTIATE_TEST_SUITE_P(
    All, InputCodec,
    testing::Values(
        CodecRow{"libx265", "preset=ultrafast:x265-params=log-level=none:pools=none", "hevc.ts"},
        CodecRow{
            "libx265", "preset=ultrafast:x265-params=log-level=none:pools=none", "hevc10.mp4", "yuv420p10le"
        },
        CodecRow{"libvpx-vp9", "deadline=realtime:cpu-used=8", "vp9.webm"},
        CodecRow{"libvpx", "deadline=realtime:cpu-used=8", "vp8.webm"},
        CodecRow{"libaom-av1", "usage=realtime:cpu-used=8", "av1.mp4"},
        CodecRow{"mpeg2video", "", "mpeg2.ts"}, CodecRow{"prores_ks", "", "prores.mov", "yuv422p10le"},
        CodecRow{"qtrle", "", "qtrle.mov", "argb"}, CodecRow{"ffv1", "", "ffv1.mkv", "gray"},
        CodecRow{"flv", "", "flv1.flv"}
    ),
    [](const auto& row) {
        const std::string& file = row.param.file;
        return file.substr(0, file.find('.'));
    }
);

TEST_F(TranscoderTest, EncodesHevcAndVp9) {
    ClipSpec spec = small_clip();
    spec.duration_ms = 500;
    const Blob source = clip_bytes(spec);
    auto hevc = profile("hevc", 160, 90);
    hevc.encoder = media::Encoder::kHevc;
    hevc.container = media::Container::kMp4;
    auto vp9 = profile("vp9", 160, 90);
    vp9.encoder = media::Encoder::kVp9;
    const auto output = transcode(source, {hevc, vp9});
    ASSERT_TRUE(output.has_value()) << output.error().message;
    for (const api::Artifact& artifact : output->artifacts) {
        const Look after = look_at(artifact.bytes);
        EXPECT_EQ(after.video_codec, artifact.name);
        EXPECT_EQ(after.shots.size(), 15U);
        EXPECT_EQ(artifact.content_type, "video/mp4");
    }
    hevc.container = media::Container::kMpegTs;
    EXPECT_EQ(transcode_and_look(source, hevc).shots.size(), 15U);
    auto deep = profile("deep", 160, 90);
    deep.color_depth = 2;
    EXPECT_EQ(transcode_and_look(source, deep).shots.size(), 15U);
}

TEST(TranscoderHardware, FallsBackOnlyWhenItMay) {
    TranscoderSettings settings;
    settings.hw = "auto";
    EXPECT_TRUE(FfmpegTranscoder::open(settings).has_value());
    settings.hw = "quantum";
    const auto unknown = FfmpegTranscoder::open(settings);
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, Errc::kInvalidArgument);
}

}  // namespace
}  // namespace framegrid::media_ffmpeg
