#include <framegrid/media_ffmpeg/segmenter.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <framegrid/media_ffmpeg/test_media.hpp>
#include <framegrid/media_ffmpeg/transcoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

std::vector<Segment> segments_of(const std::string& path, SegmenterSettings settings) {
    std::vector<Segment> segments;
    auto segmenter = Segmenter::open(path, settings);
    EXPECT_TRUE(segmenter.has_value()) << (segmenter ? "" : segmenter.error().message);
    while (segmenter) {
        auto next = (*segmenter)->next();
        EXPECT_TRUE(next.has_value()) << (next ? "" : next.error().message);
        if (!next || !*next) {
            break;
        }
        segments.push_back(std::move(**next));
    }
    return segments;
}

std::vector<Segment> segments_of(const std::string& path, std::int64_t target_ms = 1000) {
    return segments_of(path, SegmenterSettings{.target_ms = target_ms});
}

// Every picture and every sound of the file is in exactly one segment, at its old distance from the start.
void expect_complete(const std::string& path, const std::vector<Segment>& segments) {
    const Look whole = look_at(file_bytes(path));
    std::vector<std::int64_t> shots;
    std::size_t sounds = 0;
    for (const Segment& segment : segments) {
        const Look part = look_at(segment.bytes);
        ASSERT_FALSE(part.shots.empty());
        EXPECT_TRUE(part.shots[0].key);
        sounds += part.audio_pts.size();
        for (const Shot& shot : part.shots) {
            shots.push_back(shot.pts);
        }
    }
    ASSERT_EQ(shots.size(), whole.shots.size());
    EXPECT_EQ(sounds, whole.audio_pts.size());
    for (std::size_t i = 0; i < shots.size(); ++i) {
        EXPECT_NEAR(
            static_cast<double>(shots[i] - shots[0]),
            static_cast<double>(whole.shots[i].pts - whole.shots[0].pts), 100
        );
    }
}

ClipSpec four_seconds() {
    ClipSpec spec = small_clip();
    spec.duration_ms = 4000;
    spec.video_options = "preset=veryfast:crf=30:bf=3";
    return spec;
}

TEST(Segmenter, CutsAtKeyframesNearTheTarget) {
    const TempDir directory;
    for (const std::string name : {"a.mp4", "a.ts", "a.mkv", "a.flv"}) {
        const std::string path = directory.file(name);
        ASSERT_TRUE(make_clip(path, four_seconds()).has_value());
        const auto segments = segments_of(path, 2000);
        ASSERT_EQ(segments.size(), 2U) << name;
        EXPECT_NEAR(static_cast<double>(segments[1].start_ms), 2000, 2) << name;
        EXPECT_NEAR(static_cast<double>(segments[1].duration_ms), 2000, 40) << name;
        EXPECT_EQ(segments[1].seq, 1);
        EXPECT_EQ(segments[0].content_type, "video/mp2t");
        expect_complete(path, segments);
    }
}

TEST(Segmenter, DescribesTheFile) {
    const TempDir directory;
    const std::string path = directory.file("a.mp4");
    ASSERT_TRUE(make_clip(path, four_seconds()).has_value());
    const auto segmenter = Segmenter::open(path);
    ASSERT_TRUE(segmenter.has_value());
    const MediaInfo& info = (*segmenter)->info();
    EXPECT_EQ(info.video_codec, "h264");
    EXPECT_EQ(info.audio_codec, "aac");
    EXPECT_EQ(info.size, (media::Size{320, 180}));
    EXPECT_EQ(info.frames, 120);
    EXPECT_NEAR(static_cast<double>(info.duration_ms), 4000, 60);
    EXPECT_EQ(info.fps_num, 30);
}

TEST(Segmenter, UsesMp4ForWhatMpegTsCannotCarry) {
    const TempDir directory;
    ClipSpec spec = four_seconds();
    spec.video_encoder = "libvpx-vp9";
    spec.video_options = "deadline=realtime:cpu-used=8";
    spec.duration_ms = 2000;
    spec.audio_encoder = "libopus";
    ASSERT_TRUE(make_clip(directory.file("vp9.webm"), spec).has_value());
    auto segments = segments_of(directory.file("vp9.webm"));
    ASSERT_EQ(segments.size(), 2U);
    EXPECT_EQ(segments[0].content_type, "video/mp4");
    expect_complete(directory.file("vp9.webm"), segments);

    spec = four_seconds();
    spec.rotation = 90;
    ASSERT_TRUE(make_clip(directory.file("turned.mp4"), spec).has_value());
    segments = segments_of(directory.file("turned.mp4"));
    ASSERT_EQ(segments.size(), 4U);
    EXPECT_EQ(segments[0].content_type, "video/mp4");
    EXPECT_EQ(probe(segments[1].bytes)->rotation, 90);
    expect_complete(directory.file("turned.mp4"), segments);

    spec = four_seconds();
    spec.video_encoder = "libvpx";
    spec.video_options = "deadline=realtime:cpu-used=8";
    spec.audio_encoder = "libvorbis";
    spec.duration_ms = 1000;
    ASSERT_TRUE(make_clip(directory.file("vp8.webm"), spec).has_value());
    segments = segments_of(directory.file("vp8.webm"));
    ASSERT_EQ(segments.size(), 1U);
    EXPECT_EQ(segments[0].content_type, "video/x-matroska");
    EXPECT_EQ(probe(segments[0].bytes)->audio_codec, "aac");
}

TEST(Segmenter, ReencodesVideoThatNoSegmentCarriesWithoutLoss) {
    const TempDir directory;
    const std::string path = directory.file("raw.avi");
    ClipSpec spec = four_seconds();
    spec.video_encoder = "rawvideo";
    spec.video_options = "";
    spec.pixel_format = "yuv420p";
    spec.audio_encoder = "pcm_s16le";
    ASSERT_TRUE(make_clip(path, spec).has_value());
    const auto refused = Segmenter::open(path);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kUnsupported);
    EXPECT_EQ(refused.error().message, "Unsupported input codec rawvideo");

    const auto segments = segments_of(path, {.target_ms = 2000, .any_codec = true});
    ASSERT_EQ(segments.size(), 2U);
    EXPECT_EQ(segments[1].content_type, "video/quicktime");
    EXPECT_NEAR(static_cast<double>(segments[1].start_ms), 2000, 2);
    const Look whole = look_at(file_bytes(path));
    const Look first = look_at(segments[0].bytes);
    const Look second = look_at(segments[1].bytes);
    EXPECT_EQ(first.video_codec, "ffv1");
    ASSERT_EQ(first.shots.size(), 60U);
    ASSERT_EQ(second.shots.size(), 60U);
    EXPECT_EQ(second.shots[7].luma_top, whole.shots[67].luma_top);
    EXPECT_EQ(second.shots[0].pts - first.shots[0].pts, 180'000);
    EXPECT_FALSE(second.audio_pts.empty());
}

TEST(Segmenter, CutsAFileWithoutAnotherKeyframeAnywhere) {
    const TempDir directory;
    const std::string path = directory.file("one.mkv");
    ClipSpec spec;
    spec.width = 64;
    spec.height = 36;
    spec.fps_num = 2;
    spec.duration_ms = 310'000;
    spec.keyframe_ms = 1'000'000;
    spec.audio = false;
    spec.video_options = "preset=ultrafast:keyint=100000:scenecut=0";
    ASSERT_TRUE(make_clip(path, spec).has_value());
    const auto segments = segments_of(path, 100'000);
    ASSERT_EQ(segments.size(), 4U);
    EXPECT_NEAR(static_cast<double>(segments[2].start_ms), 200'000, 2);
    std::size_t pictures = 0;
    for (const Segment& segment : segments) {
        EXPECT_TRUE(segment.starts_with_keyframe);
        pictures += look_at(segment.bytes).shots.size();
    }
    EXPECT_EQ(pictures, 620U);
}

TEST(Segmenter, ReencodesSoundThatDoesNotFit) {
    const TempDir directory;
    ClipSpec spec = four_seconds();
    spec.audio_encoder = "pcm_s16le";
    ASSERT_TRUE(make_clip(directory.file("a.mkv"), spec).has_value());
    const auto segments = segments_of(directory.file("a.mkv"));
    ASSERT_EQ(segments.size(), 4U);
    std::vector<std::int64_t> sounds;
    for (const Segment& segment : segments) {
        EXPECT_EQ(probe(segment.bytes)->audio_codec, "aac");
        const Look part = look_at(segment.bytes);
        sounds.insert(sounds.end(), part.audio_pts.begin(), part.audio_pts.end());
    }
    ASSERT_NEAR(static_cast<double>(sounds.size()), 4 * 48'000 / 1024.0, 3);
    for (std::size_t i = 1; i < sounds.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(sounds[i] - sounds[i - 1]), 1920, 2);
    }
}

TEST(Segmenter, RepeatsParameterSetsInOpenGopSegments) {
    const TempDir directory;
    ClipSpec spec = four_seconds();
    spec.video_options = "preset=veryfast:x264-params=open-gop=1:bf=3:keyint=30:min-keyint=30:scenecut=0";
    ASSERT_TRUE(make_clip(directory.file("open.mp4"), spec).has_value());
    const auto segments = segments_of(directory.file("open.mp4"));
    ASSERT_EQ(segments.size(), 4U);
    for (const Segment& segment : segments) {
        EXPECT_GE(look_at(segment.bytes).shots.size(), 26U) << segment.seq;
    }
}

TEST(Segmenter, LosesNoPictureOfAnOpenGopWhenPiecesOverlap) {
    const TempDir directory;
    ClipSpec spec = four_seconds();
    spec.video_options = "preset=veryfast:x264-params=open-gop=1:bf=3:keyint=30:min-keyint=30:scenecut=0";
    const std::string path = directory.file("open.mp4");
    ASSERT_TRUE(make_clip(path, spec).has_value());
    TranscoderSettings settings;
    settings.preset = "ultrafast";
    auto transcoder = FfmpegTranscoder::open(settings);
    const api::StopFlag stop{false};
    std::vector<std::int64_t> times;
    std::vector<std::int64_t> sounds;
    int clipped = 0;
    for (const Segment& segment : segments_of(path, {.target_ms = 1000, .overlap = true})) {
        api::TranscodeWork work;
        work.profiles.push_back({.name = "a", .width = 160, .height = 90});
        if (segment.clip_to_ms > 0) {
            ++clipped;
            work.clip = api::Clip{0, segment.clip_to_ms};
        }
        const auto output = (*transcoder)->transcode("s", work, segment.bytes, stop, nullptr);
        ASSERT_TRUE(output.has_value()) << output.error().message;
        const Look part = look_at(output->artifacts[0].bytes);
        std::ranges::transform(part.shots, std::back_inserter(times), &Shot::pts);
        std::ranges::copy(part.audio_pts, std::back_inserter(sounds));
    }
    EXPECT_GE(clipped, 2);
    ASSERT_EQ(times.size(), 120U);
    for (std::size_t i = 1; i < times.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(times[i] - times[i - 1]), 3000, 1) << i;
    }
    EXPECT_EQ(sounds.size(), look_at(file_bytes(path)).audio_pts.size());
    EXPECT_TRUE(std::ranges::is_sorted(sounds));
}

TEST(Segmenter, GoesOnWhenTheClockOfARecordingStartsAgain) {
    const TempDir directory;
    const Blob one = clip_bytes(four_seconds());
    const std::string path = directory.file("twice.ts");
    {
        std::ofstream file(path, std::ios::binary);
        file << one.text() << one.text();
    }
    std::int64_t end = -1;
    std::size_t pictures = 0;
    for (const Segment& segment : segments_of(path)) {
        const Look part = look_at(segment.bytes);
        pictures += part.shots.size();
        EXPECT_GT(part.shots.front().pts, end);
        end = part.shots.back().pts;
    }
    EXPECT_EQ(pictures, 240U);
    EXPECT_NEAR(static_cast<double>(end) / 90'000, 10, 0.1);  // it begins at 2 s
}

TEST(Segmenter, WaitsForRareKeyframes) {
    const TempDir directory;
    ClipSpec spec = small_clip();
    spec.width = 64;
    spec.height = 64;
    spec.fps_num = 5;
    spec.duration_ms = 50'000;
    spec.keyframe_ms = 25'000;
    spec.audio = false;
    spec.video_options = "preset=ultrafast:sc_threshold=0";
    ASSERT_TRUE(make_clip(directory.file("a.mp4"), spec).has_value());
    const auto segments = segments_of(directory.file("a.mp4"));
    ASSERT_EQ(segments.size(), 2U);
    EXPECT_EQ(segments[0].duration_ms, 25'000);
}

TEST(Segmenter, ReportsBadFiles) {
    const TempDir directory;
    EXPECT_EQ(Segmenter::open(directory.file("none.mp4")).error().code, Errc::kNotFound);
    ASSERT_TRUE(make_clip(directory.file("a.mp4"), small_clip()).has_value());
    const Blob good = file_bytes(directory.file("a.mp4"));
    const std::string path = directory.file("bad.mp4");
    for (const std::string& text :
         {std::string(), std::string(3000, 'x'), std::string(good.text().substr(0, 2000))}) {
        std::FILE* file = std::fopen(path.c_str(), "wb");
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
        EXPECT_EQ(Segmenter::open(path).error().code, Errc::kUnprocessable);
    }
    ClipSpec sound = small_clip();
    sound.video = false;
    ASSERT_TRUE(make_clip(directory.file("sound.mp4"), sound).has_value());
    EXPECT_THAT(
        Segmenter::open(directory.file("sound.mp4")).error().message,
        testing::HasSubstr("TranscoderInvalidVideo")
    );
}

TEST(Segmenter, RenditionsOfItsSegmentsMeetWithoutAGap) {
    const TempDir directory;
    ASSERT_TRUE(make_clip(directory.file("a.mp4"), four_seconds()).has_value());
    TranscoderSettings settings;
    settings.preset = "ultrafast";
    auto transcoder = FfmpegTranscoder::open(settings);
    api::TranscodeWork work;
    work.profiles.resize(2);
    work.profiles[0].name = "through";
    work.profiles[0].width = 160;
    work.profiles[0].h264_profile = media::H264Profile::kHigh;
    work.profiles[1] = work.profiles[0];
    work.profiles[1].name = "ntsc";
    work.profiles[1].fps_num = 24'000;
    work.profiles[1].fps_den = 1001;
    const api::StopFlag stop{false};
    std::vector<std::vector<std::int64_t>> times(2);
    for (const Segment& segment : segments_of(directory.file("a.mp4"))) {
        const auto output = (*transcoder)->transcode("s", work, segment.bytes, stop, nullptr);
        ASSERT_TRUE(output.has_value()) << output.error().message;
        for (std::size_t i = 0; i < 2; ++i) {
            for (const Shot& shot : look_at(output->artifacts[i].bytes).shots) {
                times[i].push_back(shot.pts);
            }
        }
    }
    ASSERT_EQ(times[0].size(), 120U);
    ASSERT_NEAR(static_cast<double>(times[1].size()), 96, 1);
    for (std::size_t i = 0; i < 2; ++i) {
        for (std::size_t k = 1; k < times[i].size(); ++k) {
            EXPECT_NEAR(static_cast<double>(times[i][k] - times[i][k - 1]), i == 0 ? 3000 : 3753.75, 1);
        }
    }
}

TEST(Probe, ReportsWhatIsInside) {
    ClipSpec spec = small_clip();
    spec.video_options = "preset=veryfast:bf=2";
    const auto info = probe(clip_bytes(spec));
    ASSERT_TRUE(info.has_value()) << info.error().message;
    EXPECT_EQ(info->container, "mpegts");
    EXPECT_EQ(info->frames, 30);
    EXPECT_EQ(info->keyframes, 1);
    EXPECT_TRUE(info->starts_with_keyframe);
    EXPECT_TRUE(info->has_b_frames);
    EXPECT_TRUE(info->has_audio());
    EXPECT_EQ(info->pixel_format, "yuv420p");
    EXPECT_NEAR(static_cast<double>(info->duration_ms), 1000, 40);
    EXPECT_THAT(info->codecs, testing::MatchesRegex("avc1\\.6400..,mp4a\\.40\\.2"));
    EXPECT_TRUE(is_supported_source("h264"));
    EXPECT_TRUE(is_supported_source("flv1"));
    EXPECT_FALSE(is_supported_source("mimic"));
    EXPECT_FALSE(is_supported_source("nonsense"));
    EXPECT_EQ(probe(Blob()).error().code, Errc::kUnprocessable);
    EXPECT_EQ(probe(Blob::copy_of("hello world, this is text")).error().code, Errc::kUnprocessable);
}

TEST(Probe, SurvivesDamage) {
    const Blob good = clip_bytes(small_clip());
    for (std::size_t i = 0; i < 12; ++i) {
        Bytes bytes(good.view().begin(), good.view().end());
        for (std::size_t k = 300 + i * 7; k < bytes.size(); k += 97 + i) {
            bytes[k] = static_cast<std::uint8_t>(bytes[k] * 31 + i);
        }
        (void)probe(Blob(std::move(bytes)));
    }
}

}  // namespace
}  // namespace framegrid::media_ffmpeg
