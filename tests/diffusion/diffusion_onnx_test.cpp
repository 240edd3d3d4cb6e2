// Tiny networks in ONNX Runtime behind the pipelines: the pictures must be those of diffusers and PyTorch.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/diffusion/replay_for_test.hpp>
#include <framegrid/engine/interpolation.hpp>
#include <framegrid/infer_onnx/provider_for_test.hpp>

namespace framegrid::diffusion {
namespace {

using testing::RecordedNoise;
using testing::Recording;

class OnnxNetworks {
  public:
    OnnxNetworks() {
        auto runtime = infer_onnx::OnnxRuntime::open(infer_onnx::settings_for_test());
        EXPECT_TRUE(runtime) << runtime.error().message;
        runtime_ = std::move(*runtime);
    }
    api::TensorModel* get(const std::string& name) {
        auto& model = models_[name];
        if (model == nullptr) {
            const std::string bytes = testing::read_fixture("onnx/" + name + ".onnx");
            auto loaded = runtime_->load(name, as_bytes(bytes));
            EXPECT_TRUE(loaded) << loaded.error().message;
            model = std::move(*loaded);
        }
        return model.get();
    }

  private:
    std::unique_ptr<infer_onnx::OnnxRuntime> runtime_;
    std::map<std::string, std::unique_ptr<api::TensorModel>> models_;
};

Networks networks_for(OnnxNetworks& onnx, const std::string& name) {
    Networks out{.vae_decoder = onnx.get("vae_decoder"), .vae_encoder = onnx.get("vae_encoder")};
    if (name.starts_with("sdxl")) {
        out.text_encoder = onnx.get("text_encoder_xl");
        out.text_encoder_2 = onnx.get("text_encoder_xl_2");
        out.unet = onnx.get("unet_xl");
    } else if (name.starts_with("framegrid")) {
        out.text_encoder = onnx.get("text_encoder_32");
        out.unet = onnx.get("unet_framegrid_video");
    } else if (name.starts_with("flow")) {
        out.text_encoder = onnx.get("text_encoder_32");
        out.unet = onnx.get("unet_sd");
    } else {
        out.text_encoder = onnx.get("text_encoder");
        out.unet = onnx.get("unet_sd");
    }
    return out;
}

double run_case(OnnxNetworks& onnx, const std::string& name) {
    const Recording recording = Recording::load(name);
    const auto pipeline = Pipeline::load(recording.files(), networks_for(onnx, name));
    EXPECT_TRUE(pipeline) << name << ": " << pipeline.error().message;
    if (!pipeline) {
        return 1;
    }
    auto generation =
        (*pipeline)->start(recording.request(), std::make_unique<RecordedNoise>(recording)).value();
    const auto pictures = run_to_end(**pipeline, *generation);
    EXPECT_TRUE(pictures) << name << ": " << pictures.error().message;
    auto tensor = generation->decode_tensor().value();
    for (float& value : tensor.floats()) {
        value = std::clamp(value / 2 + 0.5F, 0.0F, 1.0F);
    }
    const auto& wanted = recording.tensor(recording.description.at("output"));
    EXPECT_EQ(tensor.shape, wanted.shape) << name;
    return testing::relative_error(tensor.floats(), wanted.floats());
}

TEST(diffusion_onnx, whole_pipelines_give_the_references_pictures) {
    OnnxNetworks onnx;
    std::printf("| run | largest error of a picture |\n|---|---|\n");
    for (const std::string name :
         {"sd15-pndm", "sd21-ddim-v-wide", "sd-turbo", "sd-ancestral", "sd-img2img-pndm", "sd-img2img-dpm",
          "sd-inpaint-euler", "sd-inpaint-ddim-part", "flow-txt2img", "flow-img2img", "flow-inpaint",
          "framegrid-t2v", "framegrid-i2v", "framegrid-i2v-first", "sdxl-euler", "sdxl-zeros", "sdxl-turbo",
          "sdxl-img2img", "sdxl-inpaint"}) {
        const double error = run_case(onnx, name);
        EXPECT_LT(error, 1e-3) << name;
        std::printf("| %s | %.1e |\n", name.c_str(), error);
    }
}

// As picture_fixture.py makes it; `turned`: upside down and inverted.
api::RgbImage formula(int width, int height, bool turned) {
    api::RgbImage out{.width = width, .height = height, .pixels = {}};
    for (int row = 0; row < height; ++row) {
        const int y = turned ? height - 1 - row : row;
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < 3; ++c) {
                const int value =
                    (x * 7 + y * 13 + c * 31 + (x * y) % 17 * 9 + (x / 19 + y / 23) % 2 * 100) % 256;
                out.pixels.push_back(static_cast<std::uint8_t>(turned ? 255 - value : value));
            }
        }
    }
    return out;
}

TEST(interpolation_onnx, frames_as_pytorch_makes_them) {
    OnnxNetworks onnx;
    const api::StopFlag stop{false};
    const auto cases = testing::json::parse(testing::read_fixture("interpolation.json"));
    for (const char* name : {"rife_like", "film_like"}) {
        auto interpolator = engine::Interpolator::make(*onnx.get(name), 4);
        ASSERT_TRUE(interpolator) << name << interpolator.error().message;
        for (const auto& c : cases.as_array()) {
            const int width = c.at("size").at(0).to_number<int>();
            const int height = c.at("size").at(1).to_number<int>();
            const auto frame = interpolator->between(
                formula(width, height, false), formula(width, height, true), c.at("time").to_number<double>(),
                stop
            );
            ASSERT_TRUE(frame) << name << frame.error().message;
            const auto& wanted = c.at("pixels").as_array();
            ASSERT_EQ(frame->pixels.size(), wanted.size());
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                ASSERT_NEAR(frame->pixels[i], wanted[i].to_number<int>(), 1) << name << " " << i;
            }
        }
    }
}

}  // namespace
}  // namespace framegrid::diffusion
