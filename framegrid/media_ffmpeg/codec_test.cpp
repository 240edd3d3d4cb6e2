// Stills, mapped videos, quality, contact sheets and joining.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/contact_sheet.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/quality.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/media_ffmpeg/test_media.hpp>

namespace framegrid::media_ffmpeg {
namespace {

api::RgbImage gradient(int width, int height) {
    api::RgbImage image{width, height, {}};
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            image.pixels.push_back(static_cast<std::uint8_t>(x * 255 / width));
            image.pixels.push_back(static_cast<std::uint8_t>(y * 255 / height));
            image.pixels.push_back(static_cast<std::uint8_t>(128 + 100 * std::sin(x * 0.1)));
        }
    }
    return image;
}

// One picture written by FFmpeg's own encoder for the format.
Blob still(const std::string& encoder, const std::string& format, const std::string& name) {
    ClipSpec spec;
    spec.width = 96;
    spec.height = 64;
    spec.duration_ms = 30;
    spec.audio = false;
    spec.video_encoder = encoder;
    spec.video_options = "";
    spec.pixel_format = format;
    return clip_bytes(spec, name);
}

TEST(MediaCodec, PngSurvivesARoundTrip) {
    FfmpegMediaCodec codec;
    const api::RgbImage image = gradient(61, 37);
    const auto png = codec.encode_image(image, api::ImageFormat::kPng, 100);
    ASSERT_TRUE(png.has_value()) << png.error().message;
    const auto again = codec.decode_image(*png, 1'000'000);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->width, 61);
    EXPECT_EQ(again->pixels, image.pixels);
}

TEST(MediaCodec, ReadsEveryStillFormatAlike) {
    FfmpegMediaCodec codec;
    const TempDir directory;
    struct Row {
        std::string encoder;
        std::string format;
        std::string file;
    };
    std::vector<api::RgbImage> images;
    for (const Row& row : std::vector<Row>{
             {"png", "rgb24", "a.png"},
             {"bmp", "bgr24", "a.bmp"},
             {"mjpeg", "yuvj444p", "a.jpg"},
             {"libwebp", "yuv420p", "a.webp"},
             {"gif", "rgb8", "a.gif"}
         }) {
        const auto image = codec.decode_image(still(row.encoder, row.format, row.file), 1'000'000);
        ASSERT_TRUE(image.has_value()) << row.file << ": " << image.error().message;
        EXPECT_EQ(image->width, 96) << row.file;
        EXPECT_EQ(image->height, 64) << row.file;
        images.push_back(*image);
    }
    EXPECT_EQ(images[0].pixels, images[1].pixels);
    EXPECT_GT(compare_images(images[0], images[2])->psnr_db, 20);
    EXPECT_GT(compare_images(images[0], images[3])->psnr_db, 15);
    EXPECT_GT(compare_images(images[0], images[4])->psnr_db, 12);
}

TEST(MediaCodec, RefusesWhatIsNotASmallEnoughPicture) {
    FfmpegMediaCodec codec;
    const Blob png = *codec.encode_image(gradient(40, 40), api::ImageFormat::kPng, 100);
    EXPECT_EQ(codec.decode_image(png, 1000).error().code, Errc::kTooLarge);
    EXPECT_EQ(codec.decode_image(png.slice(0, 100), 10'000).error().code, Errc::kUnprocessable);
    EXPECT_EQ(codec.decode_image(Blob::copy_of("plain text"), 10'000).error().code, Errc::kUnprocessable);
    EXPECT_EQ(codec.decode_image(Blob(), 10'000).error().code, Errc::kUnprocessable);
    std::string huge(png.text());
    huge[16] = 0;
    huge[17] = 1;  // 65576 pixels wide
    const auto refused = codec.decode_image(Blob::copy_of(huge), 1'000'000'000);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kTooLarge);
    EXPECT_EQ(
        codec.encode_image({4, 4, Bytes(5)}, api::ImageFormat::kPng, 100).error().code, Errc::kInvalidArgument
    );
    EXPECT_EQ(codec.encode_image({}, api::ImageFormat::kPng, 100).error().code, Errc::kInvalidArgument);
}

Result<api::RgbImage> doubled(const api::RgbImage& image) {
    return resize(image, {image.width * 2, image.height * 2});
}

TEST(MediaCodec, MapsVideosPictureByPicture) {
    FfmpegMediaCodec codec;
    const api::StopFlag stop{false};
    ClipSpec spec = small_clip();
    spec.width = 160;
    spec.height = 90;
    spec.duration_ms = 500;
    for (const std::string name : {"a.ts", "a.mp4"}) {
        const Blob source = clip_bytes(spec, name);
        const auto mapped = codec.map_video(source, 2, doubled, stop);
        ASSERT_TRUE(mapped.has_value()) << mapped.error().message;
        EXPECT_EQ(mapped->content_type, name == "a.ts" ? "video/mp2t" : "video/mp4");
        EXPECT_EQ(mapped->pixels.value, 320 * 180 * 15);
        const Look before = look_at(source);
        const Look after = look_at(mapped->bytes);
        ASSERT_EQ(after.shots.size(), 15U);
        EXPECT_EQ(after.shots[0].size, (media::Size{320, 180}));
        EXPECT_EQ(after.audio_pts.size(), before.audio_pts.size());
        for (std::size_t i = 0; i < 15; ++i) {
            EXPECT_NEAR(static_cast<double>(after.shots[i].pts), static_cast<double>(before.shots[i].pts), 1);
        }
        const auto quality = compare_videos(source, mapped->bytes, 4);
        ASSERT_TRUE(quality.has_value()) << quality.error().message;
        EXPECT_GT(quality->psnr_db, 28);
        EXPECT_EQ(quality->pictures, 4);
    }
}

TEST(MediaCodec, MapVideoPassesErrorsOn) {
    FfmpegMediaCodec codec;
    api::StopFlag stop{false};
    ClipSpec spec = small_clip();
    spec.duration_ms = 200;
    const Blob source = clip_bytes(spec);
    const auto broken = [](const api::RgbImage&) -> Result<api::RgbImage> {
        return fail(Errc::kCapacity, "full");
    };
    EXPECT_EQ(codec.map_video(source, 2, broken, stop).error().code, Errc::kCapacity);
    EXPECT_EQ(codec.map_video(source, 3, doubled, stop).error().code, Errc::kInternal);
    EXPECT_EQ(codec.map_video(source, 0, doubled, stop).error().code, Errc::kInvalidArgument);
    EXPECT_EQ(codec.map_video(Blob::copy_of("x"), 2, doubled, stop).error().code, Errc::kUnprocessable);
    stop = true;
    EXPECT_EQ(codec.map_video(source, 2, doubled, stop).error().code, Errc::kCancelled);
}

TEST(Quality, KnowsEqualFromDifferent) {
    const api::RgbImage image = gradient(64, 48);
    api::RgbImage off = image;
    for (std::uint8_t& value : off.pixels) {
        value = static_cast<std::uint8_t>(value ^ 4);
    }
    const auto same = compare_images(image, image);
    EXPECT_EQ(same->psnr_db, 100);
    EXPECT_NEAR(same->ssim, 1, 1e-9);
    const auto different = compare_images(image, off);
    EXPECT_NEAR(different->psnr_db, 10 * std::log10(255.0 * 255.0 / 16), 0.01);
    EXPECT_LT(different->ssim, 1);
    EXPECT_FALSE(compare_images(image, gradient(64, 47)).has_value());
}

TEST(Quality, FindsPicturesByTime) {
    ClipSpec spec = small_clip();
    spec.source = "color=black";
    spec.audio = false;
    spec.video_filter = "drawbox=w=iw:h=ih:color=white:t=fill:enable='gte(t,0.5)'";
    const Blob clip = clip_bytes(spec);
    EXPECT_LT(picture_at(clip, 0)->pixels[0], 30);
    EXPECT_LT(picture_at(clip, 460)->pixels[0], 30);
    EXPECT_GT(picture_at(clip, 500)->pixels[0], 220);
    EXPECT_GT(picture_at(clip, 99'000)->pixels[0], 220);
    EXPECT_FALSE(picture_at(Blob::copy_of("x"), 0).has_value());
}

TEST(ContactSheet, LaysTilesOut) {
    SheetSettings settings;
    settings.tile_width = 100;
    const auto sheet = contact_sheet(
        {{"Before 180p", gradient(50, 40)}, {"After", gradient(200, 100)}, {"x", gradient(10, 10)}}, settings
    );
    ASSERT_TRUE(sheet.has_value()) << sheet.error().message;
    EXPECT_EQ(sheet->width, 12 + 2 * 112);
    EXPECT_EQ(sheet->pixels.size(), static_cast<std::size_t>(sheet->width * sheet->height * 3));
    EXPECT_GT(std::ranges::count(sheet->pixels, 236), 100);
    settings.pixelated = true;
    EXPECT_TRUE(contact_sheet({{"a", gradient(10, 10)}}, settings).has_value());
    EXPECT_FALSE(contact_sheet({}, settings).has_value());
    EXPECT_FALSE(contact_sheet({{"a", {}}}, settings).has_value());
}

NextPiece pieces_of(std::vector<Blob> pieces) {
    return [pieces = std::move(pieces), next = std::size_t{0}]() mutable -> Result<std::optional<Blob>> {
        return next < pieces.size() ? std::optional<Blob>(pieces[next++]) : std::nullopt;
    };
}

TEST(Assembler, JoinsSegmentsAgain) {
    const TempDir directory;
    ClipSpec spec = small_clip();
    spec.duration_ms = 3000;
    spec.video_options = "preset=veryfast:crf=30:bf=3";
    for (const std::string name : {"a.mp4", "a.mkv"}) {
        ASSERT_TRUE(make_clip(directory.file(name), spec).has_value());
        SegmenterSettings settings;
        settings.target_ms = 1000;
        auto segmenter = Segmenter::open(directory.file(name), settings);
        ASSERT_TRUE(segmenter.has_value());
        const auto made = write_mp4(directory.file("joined.mp4"), [&]() -> Result<std::optional<Blob>> {
            FG_TRY(segment, (*segmenter)->next());
            return segment ? std::optional<Blob>(segment->bytes) : std::nullopt;
        });
        ASSERT_TRUE(made.has_value()) << made.error().message;
        EXPECT_EQ(made->pieces, 3);
        EXPECT_EQ(made->pictures, 90);
        EXPECT_NEAR(static_cast<double>(made->duration_ms), 3000, 50);
        const Blob joined = file_bytes(directory.file("joined.mp4"));
        EXPECT_EQ(static_cast<std::int64_t>(joined.size()), made->bytes);
        EXPECT_LT(joined.text().find("moov"), joined.text().find("mdat"));
        const Look before = look_at(file_bytes(directory.file(name)));
        const Look after = look_at(joined);
        ASSERT_EQ(after.shots.size(), 90U);
        EXPECT_EQ(after.audio_pts.size(), before.audio_pts.size());
        for (std::size_t i = 1; i < 90; ++i) {
            EXPECT_NEAR(static_cast<double>(after.shots[i].pts - after.shots[i - 1].pts), 3000, 100);
        }
    }
}

TEST(Assembler, MovesPiecesThatStartAnew) {
    const TempDir directory;
    ClipSpec spec = small_clip();
    spec.audio = false;
    const Blob piece = clip_bytes(spec, "a.mp4");
    const auto made = write_mp4(directory.file("joined.mp4"), pieces_of({piece, piece, piece}));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    const Look look = look_at(file_bytes(directory.file("joined.mp4")));
    ASSERT_EQ(look.shots.size(), 90U);
    EXPECT_EQ(look.shots[89].pts, 89 * 3000);
}

TEST(Assembler, ReportsWhatIsWrong) {
    const TempDir directory;
    const Blob piece = clip_bytes(small_clip());
    const std::string path = directory.file("joined.mp4");
    EXPECT_EQ(write_mp4(path, pieces_of({})).error().code, Errc::kUnprocessable);
    EXPECT_EQ(write_mp4(path, pieces_of({piece, Blob::copy_of("x")})).error().code, Errc::kUnprocessable);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(write_mp4(directory.file("no/such/folder.mp4"), pieces_of({piece})).has_value());
    if (std::filesystem::is_character_file("/dev/full")) {
        const auto full = write_mp4("/dev/full", pieces_of({piece}));
        ASSERT_FALSE(full.has_value());
        EXPECT_EQ(full.error().code, Errc::kIo);
        EXPECT_TRUE(std::filesystem::exists("/dev/full"));
    }
}

}  // namespace
}  // namespace framegrid::media_ffmpeg
