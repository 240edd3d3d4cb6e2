#include <framegrid/engine/work_runner.hpp>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>
#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid::engine {
namespace {

using testing::FakeModels;
using testing::make_manifest;
using testing::make_noise;
using testing::NearestModel;
using testing::repeat_pixels;

class FakeTranscoder : public api::Transcoder {
  public:
    // clang-format off
    Result<api::WorkOutput> transcode(
        const std::string& session_id, const api::TranscodeWork& work, const Blob& segment,
        const api::StopFlag&, const api::ArtifactSink& early
    ) override {
        // clang-format on
        api::WorkOutput out;
        out.decoded = {static_cast<std::int64_t>(segment.size())};
        out.artifacts.push_back(
            {.name = session_id, .content_type = "", .bytes = {}, .pixels = {work.duration_ms}, .seed = {}}
        );
        if (early) {
            early(0, out.artifacts[0]);
        }
        return out;
    }
    void end_session(const std::string& session_id) override { ended.push_back(session_id); }
    std::vector<std::string> ended;
};

class FakeCodec : public api::MediaCodec {
  public:
    Result<api::RgbImage> decode_image(const Blob& file, std::int64_t pixels_max) override {
        if (!file.text().starts_with("image")) {
            return fail(Errc::kUnprocessable, "not a picture", "image");
        }
        if (std::int64_t{picture.width} * picture.height > pixels_max) {
            return fail(Errc::kTooLarge, "picture too large", "image");
        }
        return picture;
    }
    Result<Blob> encode_image(const api::RgbImage& image, api::ImageFormat format, int) override {
        encoded = image;
        return Blob::copy_of(format == api::ImageFormat::kPng ? "png" : "other");
    }
    Result<api::RgbImage> resize(const api::RgbImage&, media::Size size) override {
        return make_noise(size.width, size.height);
    }
    // clang-format off
    Result<api::Artifact> encode_video(
        std::span<const api::RgbImage> frames, int fps, api::VideoFormat, const api::StopFlag&
    ) override {
        // clang-format on
        frames_encoded = frames.size();
        fps_encoded = fps;
        return api::Artifact{"video.mp4", "video/mp4", Blob::copy_of("mp4"), {}, {}};
    }
    // clang-format off
    Result<api::Artifact> retime_video(
        const Blob&, const api::Retiming& wanted, const api::Between& between, const api::StopFlag&
    ) override {
        // clang-format on
        retiming = wanted;
        FG_TRY(middle, between(picture, picture, 0.5));
        encoded = middle;
        return api::Artifact{"video.mp4", "video/mp4", Blob::copy_of("mp4"), {}, {}};
    }
    // clang-format off
    Result<api::Artifact> map_video(
        const Blob&, int scale, const std::function<Result<api::RgbImage>(const api::RgbImage&)>& map,
        const api::StopFlag&
    ) override {
        // clang-format on
        api::Artifact out{
            .name = "video.mp4", .content_type = "video/mp4", .bytes = {}, .pixels = {}, .seed = {}
        };
        for (int i = 0; i < 3; ++i) {
            FG_TRY(frame, map(picture));
            EXPECT_EQ(frame.width, picture.width * scale);
            out.pixels = out.pixels + Pixels{std::int64_t{frame.width} * frame.height};
        }
        return out;
    }
    api::RgbImage picture = make_noise(20, 10);
    api::RgbImage encoded;
    api::Retiming retiming;
    std::size_t frames_encoded = 0;
    int fps_encoded = 0;
};

class WorkRunnerTest : public ::testing::Test {
  protected:
    WorkRunnerTest() {
        models.add(make_manifest("framegrid/sr-2x", 2), two);
        models.add(make_manifest("framegrid/sr-4x", 4), four);
    }
    Result<api::WorkOutput> run_ai(
        std::string pipeline, std::string model, std::string parameters, std::string_view input = "image"
    ) {
        const api::Work work{
            .session_id = "s",
            .kind = api::AiWork{std::move(pipeline), std::move(model), std::move(parameters)},
            .input = Blob::copy_of(input),
            .input_content_type = "application/x-lie"
        };
        return runner.run(work, {stop, events});
    }

    NearestModel two{2};
    NearestModel four{4};
    FakeModels models;
    FakeTranscoder transcoder;
    FakeCodec codec;
    ManualClock clock;
    WorkRunner runner{transcoder, codec, models, [this] { return clock.now(); }};
    api::StopFlag stop = false;
    api::WorkEvents events;
};

// An ISO media file's first box, as media::looks_like_video knows it.
constexpr std::string_view kMp4(
    "\0\0\0\x18"
    "ftypisom\0\0\0\0isommp42",
    24
);

TEST_F(WorkRunnerTest, TranscodeGoesToTheTranscoder) {
    const api::Work work{
        .session_id = "stream",
        .kind = api::TranscodeWork{},
        .input = Blob::copy_of("12345"),
        .input_content_type = ""
    };
    std::string told;
    events.artifact = [&](std::size_t, const api::Artifact& artifact) { told = artifact.name; };
    const auto out = runner.run(work, {stop, events});
    ASSERT_TRUE(out);
    EXPECT_EQ(out->artifacts.at(0).name, "stream");
    EXPECT_EQ(told, "stream");
    EXPECT_EQ(out->decoded.value, 5);
    runner.end_session("stream");
    EXPECT_EQ(transcoder.ended, std::vector<std::string>{"stream"});
}

TEST_F(WorkRunnerTest, PictureIsUpscaledToPng) {
    const auto out = run_ai("upscale", "framegrid/sr-4x", R"({"seed":9})");
    ASSERT_TRUE(out) << out.error().message;
    ASSERT_EQ(out->artifacts.size(), 1U);
    EXPECT_EQ(out->artifacts[0].content_type, "image/png");
    EXPECT_EQ(out->artifacts[0].bytes.text(), "png");
    EXPECT_EQ(out->artifacts[0].seed, 9);
    EXPECT_EQ(out->artifacts[0].pixels.value, 80 * 40);
    EXPECT_EQ(out->decoded.value, 200);
    EXPECT_EQ(codec.encoded.pixels, repeat_pixels(codec.picture, 4).pixels);
}

TEST_F(WorkRunnerTest, ModelComesFromTheJobTheParametersOrTheDefault) {
    ASSERT_TRUE(run_ai("upscale", "", ""));
    EXPECT_EQ(codec.encoded.width, 40);
    ASSERT_TRUE(run_ai("upscale", "", R"({"model_id":"framegrid/sr-4x"})"));
    EXPECT_EQ(codec.encoded.width, 80);
    const auto both = run_ai("upscale", "framegrid/sr-2x", R"({"model_id":"framegrid/sr-4x"})");
    ASSERT_FALSE(both);
    EXPECT_EQ(both.error().field, "model_id");
}

TEST_F(WorkRunnerTest, VideoIsMappedFrameByFrame) {
    const auto out = run_ai("upscale", "framegrid/sr-2x", "", kMp4);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->artifacts[0].content_type, "video/mp4");
    EXPECT_EQ(out->artifacts[0].seed, 0);
    EXPECT_EQ(out->decoded.value, 3 * 200);
    EXPECT_EQ(out->artifacts[0].pixels.value, 3 * 800);
}

TEST_F(WorkRunnerTest, UnknownNamesAreNotFound) {
    const auto pipeline = run_ai("text-to-poem", "x", "");
    ASSERT_FALSE(pipeline);
    EXPECT_EQ(pipeline.error().code, Errc::kNotFound);
    EXPECT_NE(pipeline.error().message.find("text-to-poem"), std::string::npos);
    const auto model = run_ai("upscale", "nobody/nothing", "");
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, Errc::kNotFound);
    EXPECT_NE(model.error().message.find("nobody/nothing"), std::string::npos);
}

TEST_F(WorkRunnerTest, BadInputIsRejected) {
    EXPECT_EQ(run_ai("upscale", "", R"({"seed":[]})").error().field, "seed");
    EXPECT_EQ(run_ai("upscale", "", "", "").error().field, "image");
    EXPECT_EQ(run_ai("upscale", "", "", "garbage").error().code, Errc::kUnprocessable);
    WorkRunner small(
        transcoder, codec, models, [this] { return clock.now(); },
        {.input_pixels_max = 1000, .output_pixels_max = 799}
    );
    const api::Work work{
        .session_id = "",
        .kind = api::AiWork{"upscale", "", ""},
        .input = Blob::copy_of("image"),
        .input_content_type = ""
    };
    EXPECT_EQ(small.run(work, {stop, events}).error().code, Errc::kTooLarge);
}

TEST_F(WorkRunnerTest, StopsBeforeAndDuring) {
    two.on_infer = [&] { stop = true; };
    codec.picture = make_noise(200, 100);
    EXPECT_EQ(run_ai("upscale", "", "").error().code, Errc::kCancelled);
    EXPECT_EQ(two.calls, 1);
    EXPECT_EQ(run_ai("upscale", "", "").error().code, Errc::kCancelled);
    EXPECT_EQ(two.calls, 1);
}

}  // namespace
}  // namespace framegrid::engine
