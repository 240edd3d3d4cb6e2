#include <framegrid/diffusion/pipeline.hpp>

#include <cstdio>

#include <framegrid/diffusion/replay_for_test.hpp>

namespace framegrid::diffusion {
namespace {

using testing::RecordedNoise;
using testing::Recording;
using testing::ReplayNetworks;

constexpr double kOutputTolerance = 1e-3;

class Recorded : public ::testing::TestWithParam<const char*> {};

// The networks answer from the recording, so each step starts from the reference's own answer; what is
// compared are the inputs of every call (1e-4) and the picture (1e-3).
TEST_P(Recorded, follows_the_reference) {
    const Recording recording = Recording::load(GetParam());
    const ReplayNetworks replay(recording);
    PipelineSettings settings;
    if (const auto* chunk = recording.description.at("request").as_object().if_contains("decode_chunk")) {
        settings.decode_chunk = chunk->to_number<std::int64_t>();
    }
    const auto pipeline = Pipeline::load(recording.files(), replay.networks(), settings);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    auto generation = (*pipeline)->start(recording.request(), std::make_unique<RecordedNoise>(recording));
    ASSERT_TRUE(generation) << generation.error().message;
    const auto begun = (*generation)->begin();
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_EQ((*generation)->steps_done(), 0);
    while (!(*generation)->done()) {
        const auto prediction = (*pipeline)->predict((*generation)->next());
        ASSERT_TRUE(prediction) << prediction.error().message;
        const auto advanced = (*generation)->advance(*prediction);
        ASSERT_TRUE(advanced) << advanced.error().message;
    }
    EXPECT_EQ((*generation)->steps_done(), (*generation)->steps_total());
    auto pictures = (*generation)->decode_tensor();
    ASSERT_TRUE(pictures) << pictures.error().message;
    for (float& value : pictures->floats()) {
        value = std::clamp(value / 2 + 0.5F, 0.0F, 1.0F);
    }
    const auto& wanted = recording.tensor(recording.description.at("output"));
    EXPECT_EQ(pictures->shape, wanted.shape);
    const double error = testing::relative_error(pictures->floats(), wanted.floats());
    EXPECT_LT(error, kOutputTolerance);
    EXPECT_EQ(replay.get("unet")->rows_seen(), replay.get("unet")->rows_recorded());
    std::printf("| %s | %.1e | %.1e |\n", GetParam(), replay.worst(), error);
}

INSTANTIATE_TEST_SUITE_P(
    pipeline, Recorded,
    ::testing::Values(
        "sd15-pndm", "sd21-ddim-v-wide", "sd-turbo", "sd-ancestral", "sd-lcm", "sd-img2img-pndm",
        "sd-img2img-dpm", "sd-inpaint-euler", "sd-inpaint-ddim-part", "sd-inpaint9-ddim", "sd-inpaint9-part",
        "flow-txt2img", "flow-img2img", "flow-inpaint", "framegrid-t2v", "framegrid-i2v",
        "framegrid-i2v-first", "sdxl-euler", "sdxl-zeros", "sdxl-turbo", "sdxl-img2img", "sdxl-inpaint", "svd"
    ),
    [](const auto& test) {
        std::string name = test.param;
        std::ranges::replace(name, '-', '_');
        return name;
    }
);

}  // namespace
}  // namespace framegrid::diffusion
