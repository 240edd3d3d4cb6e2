#include <framegrid/media_ffmpeg/operations.hpp>

#include <fstream>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <framegrid/media_ffmpeg/likeness.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/rgb_video.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/media_ffmpeg/still_image.hpp>
#include <framegrid/media_ffmpeg/test_media.hpp>

namespace framegrid::media_ffmpeg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const api::StopFlag kGoOn{false};

// A video of one colour a scene, 10 pictures a second.
Blob colours(const std::vector<std::pair<std::uint8_t, int>>& scenes) {
    std::vector<api::RgbImage> frames;
    for (const auto& [grey, count] : scenes) {
        for (int i = 0; i < count; ++i) {
            api::RgbImage image{64, 48, Bytes(64 * 48 * 3, grey)};
            frames.push_back(std::move(image));
        }
    }
    auto made = FfmpegMediaCodec().encode_video(frames, 10, api::VideoFormat::kMp4, kGoOn);
    EXPECT_TRUE(made);
    return made ? made->bytes : Blob();
}

ClipSpec four_seconds() {
    ClipSpec spec = small_clip();
    spec.duration_ms = 4000;
    spec.video_options = "preset=veryfast:crf=30:bf=3";
    return spec;
}

TEST(Operations, WhatIsSplitAndJoinedIsAsItWas) {
    for (const char* name : {"clip.ts", "clip.mp4"}) {
        const Blob clip = clip_bytes(four_seconds(), name);
        const auto parts = split(clip, 1'000, false, kGoOn);
        ASSERT_TRUE(parts) << parts.error().message;
        EXPECT_EQ(parts->size(), 4U);
        std::vector<Blob> segments;
        for (const auto& part : *parts) {
            EXPECT_EQ(part.content_type, "video/mp2t");
            segments.push_back(part.bytes);
        }
        const auto joined = join(segments, api::VideoFormat::kMp4, kGoOn);
        ASSERT_TRUE(joined) << joined.error().message;
        const auto before = look_at(clip);
        const auto after = look_at(joined->bytes);
        EXPECT_TRUE(after.dts_rises);
        ASSERT_EQ(after.shots.size(), before.shots.size());
        EXPECT_EQ(after.audio_pts.size(), before.audio_pts.size());
        for (std::size_t i = 0; i < after.shots.size(); ++i) {
            EXPECT_NEAR(
                static_cast<double>(after.shots[i].pts - after.shots[0].pts),
                static_cast<double>(before.shots[i].pts - before.shots[0].pts), 90
            );
        }
        for (std::size_t i = 1; i < after.audio_pts.size(); ++i) {
            EXPECT_NEAR(
                static_cast<double>(after.audio_pts[i] - after.audio_pts[0]),
                static_cast<double>(before.audio_pts[i] - before.audio_pts[0]), 180
            );
        }
        const auto info = probe(joined->bytes);
        ASSERT_TRUE(info);
        EXPECT_NEAR(static_cast<double>(info->duration_ms), 4000, 50);
    }
}

TEST(Operations, ShortClipsOfTheirOwnFollowEachOther) {
    const Blob clip = colours({{0, 1}, {200, 2}});  // 300 ms, from 0 on
    const auto joined = join({clip, clip, clip}, api::VideoFormat::kMp4, kGoOn);
    ASSERT_TRUE(joined) << joined.error().message;
    const auto shots = look_at(joined->bytes).shots;
    ASSERT_EQ(shots.size(), 9U);
    for (std::size_t i = 1; i < shots.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(shots[i].pts - shots[i - 1].pts), 9'000, 90);
    }
}

TEST(Operations, OnlyAlikeSegmentsAreJoined) {
    ClipSpec large = small_clip();
    large.width = 640;
    large.height = 360;
    const auto joined = join({clip_bytes(small_clip()), clip_bytes(large)}, api::VideoFormat::kMp4, kGoOn);
    ASSERT_FALSE(joined);
    EXPECT_THAT(joined.error().message, HasSubstr("segment 2"));
    ClipSpec other_sound = small_clip();
    other_sound.audio_rate = 32'000;
    const auto heard =
        join({clip_bytes(small_clip()), clip_bytes(other_sound)}, api::VideoFormat::kMp4, kGoOn);
    ASSERT_FALSE(heard);
    EXPECT_THAT(heard.error().message, HasSubstr("segment 2 has sound of another codec, rate"));
    const auto damaged = join({Blob::copy_of("nothing")}, api::VideoFormat::kMp4, kGoOn);
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, Errc::kUnprocessable);
    const auto webm = join({clip_bytes(small_clip())}, api::VideoFormat::kWebm, kGoOn);
    ASSERT_FALSE(webm);
    EXPECT_EQ(webm.error().code, Errc::kUnsupported);
    EXPECT_EQ(join({}, api::VideoFormat::kMp4, kGoOn).error().code, Errc::kUnprocessable);
}

// The same video as VP9 in MP4, as a transcode step makes it.
TEST(Operations, WebmTakesVp9AndMakesOpusOfItsSound) {
    const auto refused = join({clip_bytes(small_clip())}, api::VideoFormat::kWebm, kGoOn);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("pipeline transcode"));
    EXPECT_THAT(refused.error().message, HasSubstr("\"encoder\": \"VP9\""));
    ClipSpec spec = small_clip();
    spec.video_encoder = "libvpx-vp9";
    spec.video_options = "deadline=realtime:cpu-used=8";
    const Blob piece = clip_bytes(spec, "clip.mp4");
    const auto joined = join({piece, piece}, api::VideoFormat::kWebm, kGoOn);
    ASSERT_TRUE(joined) << joined.error().message;
    EXPECT_EQ(joined->content_type, "video/webm");
    const auto info = probe(joined->bytes);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->video_codec, "vp9");
    EXPECT_EQ(info->audio_codec, "opus");
    EXPECT_NEAR(static_cast<double>(info->duration_ms), 2000, 50);
    const auto look = look_at(joined->bytes);
    EXPECT_EQ(look.shots.size(), 60U);
    // Two seconds of sound, in packets of 20 ms.
    EXPECT_NEAR(static_cast<double>(look.audio_pts.size()), 100, 5);
}

TEST(Operations, CutsAreFoundAndTheirPicturesTaken) {
    const Blob video = colours({{0, 10}, {200, 5}, {90, 15}});
    const auto cuts = scene_cuts(video, 0.3, 64, kGoOn);
    ASSERT_TRUE(cuts) << cuts.error().message;
    EXPECT_THAT(*cuts, ElementsAre(0, 1000, 1500));
    EXPECT_THAT(*scene_cuts(video, 0.3, 2, kGoOn), ElementsAre(0, 1000));
    EXPECT_THAT(*scene_cuts(video, 1, 64, kGoOn), ElementsAre(0));
    const auto frames = frames_at(video, {0, 999, 1000, 1500, 90'000}, api::ImageFormat::kPng, kGoOn);
    ASSERT_TRUE(frames) << frames.error().message;
    ASSERT_EQ(frames->size(), 5U);
    std::vector<int> greys;
    for (const auto& frame : *frames) {
        const auto image = FfmpegMediaCodec().decode_image(frame.bytes, 1'000'000);
        ASSERT_TRUE(image);
        EXPECT_EQ(image->width, 64);
        greys.push_back((image->pixels[3000] + 5) / 10 * 10);
    }
    EXPECT_THAT(greys, ElementsAre(0, 0, 200, 90, 90));
}

TEST(Operations, PicturesStandOnOneSheet) {
    std::vector<Blob> pictures;
    for (int i = 0; i < 70; ++i) {
        const api::RgbImage image{40, 30, Bytes(40 * 30 * 3, static_cast<std::uint8_t>(i * 3))};
        pictures.push_back(*FfmpegMediaCodec().encode_image(image, api::ImageFormat::kPng, 90));
    }
    const auto sheet = picture_sheet(pictures, 20, 40, api::ImageFormat::kJpeg, kGoOn);
    ASSERT_TRUE(sheet) << sheet.error().message;
    EXPECT_EQ(sheet->content_type, "image/jpeg");
    const auto image = FfmpegMediaCodec().decode_image(sheet->bytes, 10'000'000);
    ASSERT_TRUE(image);
    EXPECT_GT(image->width, 20 * 40);
    EXPECT_GT(image->height, 4 * 30);
    pictures.push_back(Blob::copy_of("no picture"));
    EXPECT_FALSE(picture_sheet(pictures, 20, 40, api::ImageFormat::kPng, kGoOn));
}

TEST(Operations, RenditionsBecomeAFolderOfPlaylists) {
    ClipSpec small = four_seconds();
    small.width = 160;
    small.height = 90;
    const auto files = hls({clip_bytes(four_seconds(), "a.mp4"), clip_bytes(small)}, 2'000, kGoOn);
    ASSERT_TRUE(files) << files.error().message;
    std::vector<std::string> names;
    for (const auto& file : *files) {
        names.push_back(file.name);
    }
    EXPECT_THAT(
        names, ElementsAre(
                   "master.m3u8", "180p/segment-00000.ts", "180p/segment-00001.ts", "180p/index.m3u8",
                   "90p/segment-00000.ts", "90p/segment-00001.ts", "90p/index.m3u8"
               )
    );
    const std::string master((*files)[0].bytes.text());
    EXPECT_THAT(master, HasSubstr("RESOLUTION=320x180"));
    EXPECT_THAT(master, HasSubstr("CODECS=\"avc1."));
    EXPECT_THAT(master, HasSubstr("mp4a.40.2"));
    EXPECT_THAT(std::string((*files)[3].bytes.text()), HasSubstr("#EXT-X-ENDLIST"));
}

std::int64_t target_duration_of(std::string_view playlist) {
    constexpr std::string_view kTag = "#EXT-X-TARGETDURATION:";
    return std::stoll(std::string(playlist.substr(playlist.find(kTag) + kTag.size())));
}

TEST(Operations, PlaylistsSayHowLongSegmentsReallyAre) {
    ClipSpec spec = four_seconds();
    spec.keyframe_ms = 3000;
    const auto files = hls({clip_bytes(spec)}, 1'000, kGoOn);
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_EQ(files->size(), 4U);
    const auto playlist = (*files)[3].bytes.text();
    EXPECT_GE(target_duration_of(playlist), 3);
    EXPECT_THAT(std::string(playlist), HasSubstr("#EXTINF:3.000,"));
    EXPECT_THAT(std::string(playlist), HasSubstr("#EXT-X-INDEPENDENT-SEGMENTS"));
    EXPECT_THAT(std::string((*files)[0].bytes.text()), HasSubstr("#EXT-X-INDEPENDENT-SEGMENTS"));
}

TEST(Operations, OpenGroupsOfPicturesAreNotCalledIndependent) {
    ClipSpec spec = four_seconds();
    spec.video_options = "preset=veryfast:crf=30:bf=3:x264-params=open-gop=1";
    const auto files = hls({clip_bytes(spec)}, 1'000, kGoOn);
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_GT(files->size(), 4U);
    for (const auto& file : {files->front(), files->back()}) {
        EXPECT_THAT(std::string(file.bytes.text()), Not(HasSubstr("INDEPENDENT-SEGMENTS"))) << file.name;
    }
}

TEST(Operations, ALoopKeepsAFractionalFrameRate) {
    const std::vector<api::RgbImage> frames(30, {64, 48, Bytes(64 * 48 * 3, 90)});
    const auto video = encode_frames({}, frames, {30'000, 1'001}, api::VideoFormat::kMp4, kGoOn);
    ASSERT_TRUE(video) << video.error().message;
    const auto made = loop(video->bytes, true, kGoOn);
    ASSERT_TRUE(made) << made.error().message;
    const auto info = probe(made->bytes);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->frames, 58);
    EXPECT_EQ(info->fps_num, 30'000);
    EXPECT_EQ(info->fps_den, 1'001);
    EXPECT_NEAR(static_cast<double>(info->duration_ms), 58 * 1'001 / 30.0, 2);
}

// An MP4 whose edit list leaves out its first second, as editors make them: from the middle of a group of
// pictures.
Blob without_first_second(const Blob& clip) {
    auto input = Input::open(clip);
    EXPECT_TRUE(input);
    EXPECT_TRUE((*input)->find_streams(5'000'000, 5'000));
    const AVStream* video = (*input)->video();
    std::vector<Track> tracks(1);
    tracks[0].parameters = copy_parameters(*video->codecpar);
    tracks[0].time_base = video->time_base;
    tracks[0].frame_rate = video->avg_frame_rate;
    const std::int64_t second = av_rescale_q(1, {1, 1}, video->time_base);
    for (;;) {
        PacketPtr packet = make_packet();
        const auto more = (*input)->read(*packet);
        if (!more || !*more) {
            break;
        }
        if (packet->stream_index == video->index) {
            packet->pts -= second;
            packet->dts -= second;
            tracks[0].packets.push_back(std::move(packet));
        }
    }
    auto made = mux(OutputFormat::kMp4, tracks);
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : Blob();
}

TEST(Operations, WhatAnEditListLeavesOutIsNotCounted) {
    ClipSpec spec = four_seconds();
    spec.keyframe_ms = 4000;
    const Blob clip = clip_bytes(spec, "clip.mp4");
    const auto whole = probe(clip);
    ASSERT_TRUE(whole);
    const auto info = probe(without_first_second(clip));
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->frames, whole->frames - 30);
    EXPECT_NEAR(static_cast<double>(info->duration_ms), static_cast<double>(whole->duration_ms) - 1000, 2);
    EXPECT_TRUE(info->starts_with_keyframe);
    const TempDir folder;
    const auto path = folder.file("edited.mp4");
    std::ofstream(path, std::ios::binary) << without_first_second(clip).text();
    const auto segmenter = Segmenter::open(path);
    ASSERT_TRUE(segmenter);
    EXPECT_EQ((*segmenter)->info().frames, whole->frames - 30);
}

TEST(Operations, ALoopGoesThereAndBackWithoutDoublingItsEnds) {
    const Blob video = colours({{0, 1}, {100, 1}, {200, 1}, {250, 1}});
    const auto once = loop(video, false, kGoOn);
    ASSERT_TRUE(once) << once.error().message;
    EXPECT_EQ(once->content_type, "video/webm");
    EXPECT_EQ(look_at(once->bytes).shots.size(), 4U);
    const auto both = loop(video, true, kGoOn);
    ASSERT_TRUE(both);
    const auto shots = look_at(both->bytes).shots;
    ASSERT_EQ(shots.size(), 6U);
    EXPECT_NEAR(shots[4].luma_top, shots[2].luma_top, 6);
    EXPECT_NEAR(shots[5].luma_top, shots[1].luma_top, 6);
    EXPECT_GT(shots[3].luma_top, shots[2].luma_top);
    const Blob one = colours({{50, 1}});
    EXPECT_EQ(look_at(loop(one, true, kGoOn)->bytes).shots.size(), 1U);
}

TEST(Operations, DamagedFilesAndStopsAreErrors) {
    const Blob nothing = Blob::copy_of("this is no video at all, whatever its name says");
    EXPECT_FALSE(split(nothing, 1'000, false, kGoOn));
    EXPECT_FALSE(scene_cuts(nothing, 0.3, 10, kGoOn));
    EXPECT_FALSE(frames_at(nothing, {0}, api::ImageFormat::kPng, kGoOn));
    EXPECT_FALSE(hls({nothing}, 1'000, kGoOn));
    EXPECT_FALSE(loop(nothing, true, kGoOn));
    const api::StopFlag stop{true};
    const Blob clip = clip_bytes(small_clip());
    EXPECT_EQ(split(clip, 1'000, false, stop).error().code, Errc::kCancelled);
    EXPECT_EQ(join({clip}, api::VideoFormat::kMp4, stop).error().code, Errc::kCancelled);
    EXPECT_EQ(scene_cuts(clip, 0.3, 10, stop).error().code, Errc::kCancelled);
}

Result<Likeness> compared(const Blob& a, const Blob& b) {
    return compare_files(a, b, kGoOn);
}

TEST(Likeness, TwoEncodingsOfAVideoAreAlikeAndOtherVideosAreNot) {
    ClipSpec better = four_seconds();
    better.video_options = "preset=veryfast:crf=20:bf=0";
    const Blob clip = clip_bytes(four_seconds(), "clip.ts");
    const auto same = compared(clip, clip);
    ASSERT_TRUE(same) << same.error().message;
    EXPECT_EQ(same->difference, "");
    EXPECT_EQ(same->quality.psnr_db, 100);
    EXPECT_EQ(same->quality.pictures, 8);
    const auto alike = compared(clip, clip_bytes(better, "clip.ts"));
    ASSERT_TRUE(alike) << alike.error().message;
    EXPECT_EQ(alike->difference, "");
    EXPECT_GT(alike->quality.psnr_db, 30);
    EXPECT_LT(alike->quality.psnr_db, 60);
    ClipSpec shorter = four_seconds();
    shorter.duration_ms = 2000;
    EXPECT_THAT(compared(clip, clip_bytes(shorter, "clip.ts"))->difference, HasSubstr("pictures"));
    const Blob dark = colours({{30, 20}});
    const auto light = compared(dark, colours({{200, 20}}));
    EXPECT_EQ(light->difference, "");
    EXPECT_LT(light->quality.psnr_db, 10);
    const Blob cut = clip.slice(0, clip.size() / 4);
    EXPECT_NE(compared(clip, cut)->difference, "");
    EXPECT_NE(compared(cut, clip)->difference, "");
}

TEST(Likeness, PicturesAreComparedAsTheyAreShown) {
    const auto file = [](int width, std::uint8_t grey, api::ImageFormat format) {
        const api::RgbImage image{width, 48, Bytes(static_cast<std::size_t>(width) * 48 * 3, grey)};
        return encode_still_image(image, format, 90).value();
    };
    const Blob png = file(64, 100, api::ImageFormat::kPng);
    EXPECT_GT(compared(png, file(64, 100, api::ImageFormat::kJpeg))->quality.psnr_db, 50);
    EXPECT_LT(compared(png, file(64, 110, api::ImageFormat::kPng))->quality.psnr_db, 30);
    EXPECT_EQ(compared(png, file(32, 100, api::ImageFormat::kPng))->difference, "64x48 and 32x48");
    EXPECT_NE(compared(png, png.slice(0, 60))->difference, "");
    EXPECT_NE(compared(png, Blob::copy_of("text"))->difference, "");
    EXPECT_NE(compared(png, colours({{30, 20}}))->difference, "");
    EXPECT_EQ(compared(Blob::copy_of("text"), png).error().code, Errc::kUnprocessable);
}

}  // namespace
}  // namespace framegrid::media_ffmpeg
