#include <framegrid/diffusion/toy_networks_for_test.hpp>

namespace framegrid::diffusion {
namespace {

using testing::ToyPipeline;

void expect_error(ToyPipeline& toy, Errc code, std::string_view field) {
    const auto pipeline = toy.load();
    ASSERT_FALSE(pipeline) << field;
    EXPECT_EQ(pipeline.error().code, code) << pipeline.error().message;
    EXPECT_EQ(pipeline.error().field, field) << pipeline.error().message;
}

TEST(pipeline_load, files_are_checked) {
    const struct {
        const char* path;
        const char* content;  // null: missing
        Errc code;
        const char* field;
    } cases[] = {
        {"model_index.json", nullptr, Errc::kNotFound, "model_index.json"},
        {"model_index.json", "[1]", Errc::kInvalidArgument, "model_index.json"},
        {"model_index.json", "{}", Errc::kUnsupported, "model_index.json: _class_name"},
        {"model_index.json", R"({"_class_name":"FluxPipeline"})", Errc::kUnsupported,
         "model_index.json: _class_name"},
        {"model_index.json",
         R"({"_class_name":"StableDiffusionXLImg2ImgPipeline","requires_aesthetics_score":true})",
         Errc::kUnsupported, "model_index.json: requires_aesthetics_score"},
        {"unet/config.json", nullptr, Errc::kNotFound, "unet/config.json"},
        {"unet/config.json", R"({"in_channels":-3})", Errc::kInvalidArgument, "unet/config.json: in_channels"
        },
        {"unet/config.json", R"({"in_channels":3,"out_channels":2})", Errc::kUnsupported,
         "unet/config.json: in_channels"},
        {"unet/config.json", R"({"in_channels":2,"out_channels":4})", Errc::kUnsupported,
         "unet/config.json: out_channels"},
        {"unet/config.json", R"({"sample_size":[1,2,3]})", Errc::kInvalidArgument,
         "unet/config.json: sample_size"},
        {"vae_decoder/config.json", nullptr, Errc::kNotFound, "vae/config.json"},
        {"vae_decoder/config.json", R"({"scaling_factor":0})", Errc::kInvalidArgument,
         "vae_decoder/config.json: scaling_factor"},
        {"vae_decoder/config.json", R"({"block_out_channels":[1,1,1,1,1,1,1,1]})", Errc::kInvalidArgument,
         "vae_decoder/config.json: block_out_channels"},
        {"vae_decoder/config.json", R"({"shift_factor":0.1})", Errc::kUnsupported,
         "vae_decoder/config.json: shift_factor"},
        {"scheduler/scheduler_config.json", nullptr, Errc::kNotFound, "scheduler/scheduler_config.json"},
        {"scheduler/scheduler_config.json", "{}", Errc::kInvalidArgument,
         "scheduler/scheduler_config.json: _class_name"},
        {"tokenizer/vocab.json", nullptr, Errc::kNotFound, "tokenizer/vocab.json"},
        {"tokenizer/merges.txt", "v\nx", Errc::kInvalidArgument, "tokenizer/merges.txt"},
    };
    for (const auto& c : cases) {
        ToyPipeline toy;
        toy.files.erase(c.path);
        if (c.content != nullptr) {
            toy.files[c.path] = Blob::copy_of(std::string_view(c.content));
        }
        expect_error(toy, c.code, c.field);
    }
}

TEST(pipeline_load, networks_are_checked) {
    const std::vector<std::pair<std::string, std::function<void(ToyPipeline&)>>> cases{
        {"unet: sample", [](ToyPipeline& t) { t.unet.in[0].shape[1] = 4; }},
        {"unet: sample", [](ToyPipeline& t) { t.unet.in[0].shape = {-1, 2, -1, -1, -1}; }},
        {"unet: sample", [](ToyPipeline& t) { t.unet.in[0].is_float = false; }},
        {"unet: sample", [](ToyPipeline& t) { t.unet.in[0].shape[0] = 1'000'000'000; }},
        {"unet: sample", [](ToyPipeline& t) { t.unet.in[0].name = "x"; }},
        {"unet: timestep", [](ToyPipeline& t) { t.unet.in[1].shape = {-1, 1}; }},
        {"unet: controlnet", [](ToyPipeline& t) { t.unet.in.push_back({"controlnet", true, {-1}}); }},
        {"unet: timestep_cond", [](ToyPipeline& t) { t.unet.in.push_back({"timestep_cond", true, {-1, 8}}); }
        },
        {"unet: outputs", [](ToyPipeline& t) { t.unet.out.clear(); }},
        {"vae_decoder: latent_sample", [](ToyPipeline& t) { t.decoder.in[0].shape[1] = 3; }},
        {"vae_decoder: sample", [](ToyPipeline& t) { t.decoder.in.clear(); }},
        {"vae_encoder: sample", [](ToyPipeline& t) { t.encoder.in[0].shape[1] = 1; }},
        {"text_encoder: input_ids", [](ToyPipeline& t) { t.text.in[0].is_float = true; }},
        {"text_encoder: input_ids", [](ToyPipeline& t) { t.text.in[0].shape = {-1, 1'000'000}; }},
        {"text_encoder: position_ids",
         [](ToyPipeline& t) { t.text.in.push_back({"position_ids", false, {-1, -1}}); }},
    };
    for (const auto& [field, change] : cases) {
        ToyPipeline toy;
        change(toy);
        expect_error(toy, Errc::kUnsupported, field);
    }
}

TEST(pipeline_load, networks_may_be_missing) {
    ToyPipeline toy;
    EXPECT_EQ(Pipeline::load(toy.files, {}).error().field, "unet");
    EXPECT_EQ(
        Pipeline::load(toy.files, {.unet = &toy.unet, .vae_decoder = &toy.decoder}).error().field,
        "text_encoder"
    );
    const auto pipeline = Pipeline::load(
        toy.files, {.text_encoder = &toy.text, .unet = &toy.unet, .vae_decoder = &toy.decoder}
    );
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    Request request;
    request.image = api::RgbImage{.width = 2, .height = 2, .pixels = Bytes(12)};
    EXPECT_EQ((*pipeline)->start(request).error().code, Errc::kUnsupported);
    toy.files["model_index.json"] = Blob::copy_of(R"({"_class_name":"StableVideoDiffusionPipeline"})");
    toy.files["unet/config.json"] = Blob::copy_of(R"({"in_channels":4,"out_channels":2})");
    toy.unet.in[0].shape = {-1, -1, 4, -1, -1};
    toy.unet.in.push_back({"added_time_ids", true, {-1, 3}});
    EXPECT_EQ(
        Pipeline::load(toy.files, {.unet = &toy.unet, .vae_decoder = &toy.decoder}).error().field,
        "image_encoder"
    );
}

TEST(pipeline_load, every_file_is_listed) {
    const auto paths = pipeline_file_paths();
    ToyPipeline toy;
    for (const auto& [path, content] : toy.files) {
        EXPECT_NE(std::ranges::find(paths, path), paths.end()) << path;
    }
    EXPECT_NE(std::ranges::find(paths, "tokenizer_2/merges.txt"), paths.end());
}

}  // namespace
}  // namespace framegrid::diffusion
