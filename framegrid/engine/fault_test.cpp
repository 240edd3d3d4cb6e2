// Every call that a job makes of a port fails once, in each way that it can: the job must end with an error
// that says so, nothing may be held afterwards, and the next job must get what it always gets.
#include <framegrid/engine/work_runner.hpp>

#include <new>

#include <gtest/gtest.h>

#include <framegrid/diffusion/toy_networks_for_test.hpp>
#include <framegrid/engine/fakes_for_test.hpp>
#include <framegrid/engine/no_transcoder.hpp>

namespace framegrid::engine {
namespace {

using diffusion::testing::ToyModel;
using diffusion::testing::ToyPipeline;

enum class Way { kNone, kError, kNoMemory, kStop };

// Counts the calls, and lets one of them fail.
class Faults {
  public:
    void arm(int at, Way way) {
        calls = 0;
        at_ = at;
        way_ = way;
        stop = false;
    }
    Result<void> call(const char* what) {
        if (++calls != at_) {
            return {};
        }
        last = what;
        switch (way_) {
            case Way::kNoMemory:
                throw std::bad_alloc();
            case Way::kStop:
                stop = true;
                return {};
            case Way::kError:
                return fail(Errc::kUnavailable, std::string("injected in ") + what);
            case Way::kNone:
                break;
        }
        return {};
    }

    api::StopFlag stop = false;
    int calls = 0;
    std::string last;

  private:
    int at_ = 0;
    Way way_ = Way::kNone;
};

class FaultyModel final : public api::TensorModel {
  public:
    FaultyModel(api::TensorModel& model, Faults& faults) : model_(model), faults_(faults) {}
    const std::vector<api::TensorInfo>& inputs() const override { return model_.inputs(); }
    const std::vector<api::TensorInfo>& outputs() const override { return model_.outputs(); }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override {
        FG_CHECK(faults_.call("a network"));
        return model_.run(inputs);
    }

  private:
    api::TensorModel& model_;
    Faults& faults_;
};

class FaultyImageModel final : public api::ImageModel {
  public:
    explicit FaultyImageModel(Faults& faults) : faults_(faults) {}
    int scale() const override { return model_.scale(); }
    Result<std::vector<float>> infer(const std::vector<float>& tiles, int count, int height, int width)
        override {
        FG_CHECK(faults_.call("super-resolution"));
        return model_.infer(tiles, count, height, width);
    }

  private:
    testing::NearestModel model_{2};
    Faults& faults_;
};

// The mean of two pictures.
ToyModel make_blender() {
    return ToyModel(
        {{"img0", true, {1, 3, -1, -1}}, {"img1", true, {1, 3, -1, -1}}}, {{"output", true, {1, 3, -1, -1}}},
        [](const ToyModel::Inputs& in) {
            api::Tensor out = *in.at("img0");
            for (std::size_t i = 0; i < out.floats().size(); ++i) {
                out.floats()[i] = (out.floats()[i] + in.at("img1")->floats()[i]) / 2;
            }
            return std::vector{out};
        }
    );
}

// Three models: pictures of text, super-resolution, interpolation. Fresh parts for every job, as if each were
// the first.
class FaultyModels : public ModelSource {
  public:
    explicit FaultyModels(Faults& faults) : faults_(faults) {
        upscale_.pipelines = {"upscale"};
        interpolate_ = testing::make_manifest("interpolate", 1);
        interpolate_.pipelines = {"frame-interpolation"};
        diffuse_ = testing::make_manifest("diffuse", 1);
        diffuse_.pipelines = {"text-to-image", "image-to-image"};
    }

    class Lease : public ModelLease {
      public:
        Lease(FaultyModels& source, const ModelManifest& manifest) : source_(source), manifest_(manifest) {
            ++source_.leases;
        }
        ~Lease() override { --source_.leases; }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        const ModelManifest& manifest() const override { return manifest_; }
        const std::string& digest() const override { return source_.digest_; }
        api::ImageModel& model() override { return source_.image_; }
        Result<api::TensorModel*> network(const std::string& name) override {
            FG_CHECK(source_.faults_.call("loading a network"));
            if (name == kOnlyNetwork) {
                return &source_.blender_;
            }
            const std::map<std::string, api::TensorModel*> networks = {
                {"text_encoder", &source_.text_},
                {"unet", &source_.unet_},
                {"vae_decoder", &source_.decoder_},
                {"vae_encoder", &source_.encoder_}
            };
            const auto found = networks.find(name);
            return found != networks.end() ? Result<api::TensorModel*>(found->second)
                                           : fail(Errc::kNotFound, "no network " + name);
        }
        Result<Blob> file(const std::string& path) override {
            FG_CHECK(source_.faults_.call("reading a file"));
            const auto found = source_.toy_.files.find(path);
            return found != source_.toy_.files.end() ? Result<Blob>(found->second)
                                                     : fail(Errc::kNotFound, "no file " + path);
        }
        std::any& memo() override { return memo_; }

      private:
        FaultyModels& source_;
        const ModelManifest& manifest_;
        std::any memo_;
    };

    Result<std::unique_ptr<ModelLease>> acquire(const std::string& pipeline, const std::string&) override {
        FG_CHECK(faults_.call("loading a model"));
        const ModelManifest& manifest = pipeline == "upscale"               ? upscale_
                                        : pipeline == "frame-interpolation" ? interpolate_
                                                                            : diffuse_;
        return std::make_unique<Lease>(*this, manifest);
    }
    std::vector<ModelManifest> manifests() const override { return {}; }

    int leases = 0;

  private:
    Faults& faults_;
    std::string digest_ = "0123";
    ToyPipeline toy_;
    ToyModel blend_ = make_blender();
    FaultyImageModel image_{faults_};
    FaultyModel blender_{blend_, faults_};
    FaultyModel text_{toy_.text, faults_};
    FaultyModel unet_{toy_.unet, faults_};
    FaultyModel decoder_{toy_.decoder, faults_};
    FaultyModel encoder_{toy_.encoder, faults_};
    ModelManifest upscale_ = testing::make_manifest("upscale", 2);
    ModelManifest interpolate_;
    ModelManifest diffuse_;
};

using PictureMap = std::function<Result<api::RgbImage>(const api::RgbImage&)>;

class FaultyCodec : public api::MediaCodec {
  public:
    explicit FaultyCodec(Faults& faults) : faults_(faults) {}
    Result<api::RgbImage> decode_image(const Blob&, std::int64_t) override {
        FG_CHECK(faults_.call("decoding"));
        return testing::make_noise(64, 40);
    }
    Result<Blob> encode_image(const api::RgbImage& image, api::ImageFormat, int) override {
        FG_CHECK(faults_.call("encoding"));
        return Blob(image.pixels);
    }
    Result<api::RgbImage> resize(const api::RgbImage&, media::Size size) override {
        FG_CHECK(faults_.call("resizing"));
        return testing::make_noise(size.width, size.height);
    }
    Result<api::Artifact>
    encode_video(std::span<const api::RgbImage>, int, api::VideoFormat, const api::StopFlag&) override {
        return fail(Errc::kUnsupported, "no video here");
    }
    Result<api::Artifact>
    retime_video(const Blob&, const api::Retiming&, const api::Between& between, const api::StopFlag&)
        override {
        return each_frame([&](const api::RgbImage& frame) { return between(frame, frame, 0.5); });
    }
    Result<api::Artifact> map_video(const Blob&, int, const PictureMap& map, const api::StopFlag&) override {
        return each_frame(map);
    }

  private:
    Result<api::Artifact> each_frame(const PictureMap& map) {
        Bytes bytes;
        for (int i = 0; i < 3; ++i) {
            FG_CHECK(faults_.call("decoding a frame"));
            FG_TRY(frame, map(testing::make_noise(24, 16)));
            FG_CHECK(faults_.call("encoding a frame"));
            bytes.insert(bytes.end(), frame.pixels.begin(), frame.pixels.end());
        }
        return api::Artifact{"video.mp4", "video/mp4", Blob(std::move(bytes)), {}, {}};
    }

    Faults& faults_;
};

constexpr std::string_view kMp4(
    "\0\0\0\x18"
    "ftypisom\0\0\0\0isommp42",
    24
);

struct Case {
    const char* name;
    const char* pipeline;
    const char* parameters;
    std::string_view input;
};

class FaultTest : public ::testing::TestWithParam<Case> {
  protected:
    // As an executor runs a job: what it throws is the executor's affair.
    Result<Bytes> run() {
        api::Work work;
        api::AiWork ai{GetParam().pipeline, "model", GetParam().parameters, true, 1};
        work.kind = std::move(ai);
        work.input = Blob::copy_of(GetParam().input);
        api::WorkEvents events;
        events.progress = [](const api::Progress&) {};
        try {
            FG_TRY(output, runner_.run(work, {faults_.stop, events}));
            Bytes all;
            for (const auto& artifact : output.artifacts) {
                all.insert(all.end(), artifact.bytes.view().begin(), artifact.bytes.view().end());
            }
            return all;
        } catch (const std::bad_alloc&) {
            return fail(Errc::kUnavailable, "injected: no memory");
        }
    }
    void expect_nothing_held() {
        const WorkLoad load = runner_.load();
        EXPECT_EQ(load.jobs, 0U);
        EXPECT_EQ(load.waiting, 0U);
        EXPECT_EQ(load.memory_bytes, 0);
        EXPECT_EQ(models_.leases, 0);
    }

    Faults faults_;
    FaultyModels models_{faults_};
    FaultyCodec codec_{faults_};
    NoTranscoder transcoder_;
    std::int64_t ticks_ = 0;
    WorkRunner runner_{transcoder_, codec_, models_, [this] { return TimePoint(Duration(++ticks_)); }};
};

TEST_P(FaultTest, EveryCallMayFailOnce) {
    faults_.arm(0, Way::kNone);
    const auto good = run();
    ASSERT_TRUE(good) << good.error().message;
    const int calls = faults_.calls;
    ASSERT_GT(calls, 3);
    int survived = 0;
    for (const Way way : {Way::kError, Way::kNoMemory, Way::kStop}) {
        for (int at = 1; at <= calls; ++at) {
            faults_.arm(at, way);
            const auto bad = run();
            const std::string where = faults_.last + ", call " + std::to_string(at);
            if (bad) {
                ++survived;  // a preview, or the stop came after all had been done
                EXPECT_EQ(*bad, *good) << where;
            } else if (way == Way::kStop) {
                EXPECT_EQ(bad.error().code, Errc::kCancelled) << where << ": " << bad.error().message;
            } else {
                EXPECT_NE(bad.error().message.find("injected"), std::string::npos) << bad.error().message;
            }
            expect_nothing_held();
            faults_.arm(0, Way::kNone);
            EXPECT_EQ(run(), *good) << "after " << where;
        }
    }
    EXPECT_LT(survived, calls) << "most of the calls matter";
}

INSTANTIATE_TEST_SUITE_P(
    All, FaultTest,
    ::testing::Values(
        Case{
            "text", "text-to-image",
            R"({"prompt":"a ball","num_inference_steps":4,"num_images_per_prompt":2,"width":64,"height":32})",
            ""
        },
        Case{
            "picture", "image-to-image", R"({"prompt":"a ball","num_inference_steps":4,"strength":0.5})",
            "image"
        },
        Case{"upscale", "upscale", "", "image"}, Case{"video", "upscale", "", kMp4},
        Case{"interpolation", "frame-interpolation", "", kMp4}
    ),
    [](const auto& test) { return std::string(test.param.name); }
);

}  // namespace
}  // namespace framegrid::engine
