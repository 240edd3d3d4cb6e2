// Tiny networks in ONNX Runtime behind the pipelines: the pictures must be those of diffusers and PyTorch.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/diffusion/replay_for_test.hpp>
#include <framegrid/infer_onnx/onnx_model.hpp>

namespace framegrid::diffusion {
namespace {

using testing::RecordedNoise;
using testing::Recording;

class OnnxNetworks {
  public:
    OnnxNetworks() {
        auto runtime = infer_onnx::OnnxRuntime::open({.threads = 1, .provider = "cpu"});
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

}  // namespace
}  // namespace framegrid::diffusion
