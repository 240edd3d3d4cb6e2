#include <framegrid/diffusion/noise_source.hpp>
#include <framegrid/diffusion/toy_networks_for_test.hpp>

namespace framegrid::diffusion {
namespace {

using testing::ToyPipeline;

Request small_request(std::uint64_t seed = 1) {
    Request out;
    out.prompt = "a red boat";
    out.width = 8;
    out.height = 6;
    out.steps = 5;
    out.guidance = 3;
    out.seed = seed;
    return out;
}

api::RgbImage flat_picture(int width, int height, std::uint8_t value) {
    return {
        .width = width, .height = height, .pixels = Bytes(static_cast<std::size_t>(width * height * 3), value)
    };
}

Bytes run(const Pipeline& pipeline, Request request) {
    auto generation = pipeline.start(std::move(request));
    EXPECT_TRUE(generation) << generation.error().message;
    const auto pictures = run_to_end(pipeline, **generation);
    EXPECT_TRUE(pictures) << pictures.error().message;
    EXPECT_EQ(pictures->size(), 1U);
    return pictures->front().pixels;
}

TEST(noise, philox_gives_its_authors_numbers) {
    using Words = std::array<std::uint32_t, 4>;
    EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t kOnes = 0xffffffff;
    EXPECT_EQ(
        philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
        (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd})
    );
}

TEST(noise, is_normal_and_each_use_has_its_own) {
    SeededNoise noise(7);
    std::vector<float> a(20'000);
    noise.fill(NoiseUse::kStart, 0, a);
    double sum = 0;
    double squares = 0;
    for (const float value : a) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(sum / 20'000, 0, 0.02);
    EXPECT_NEAR(squares / 20'000, 1, 0.03);
    std::vector<float> part(10);
    noise.fill(NoiseUse::kStart, 0, part);
    EXPECT_TRUE(std::ranges::equal(part, std::span(a).first(10)));
    std::vector<float> other(10);
    for (const auto& [use, index, seed] :
         {std::tuple{NoiseUse::kStep, 0, 7}, std::tuple{NoiseUse::kStart, 1, 7},
          std::tuple{NoiseUse::kStart, 0, 8}}) {
        SeededNoise(static_cast<std::uint64_t>(seed)).fill(use, index, other);
        EXPECT_NE(other, part);
    }
}

TEST(generation, one_at_a_time_or_together_is_the_same) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    std::vector<std::unique_ptr<Generation>> running;
    std::vector<Bytes> alone;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        alone.push_back(run(**pipeline, small_request(seed)));
        running.push_back((*pipeline)->start(small_request(seed)).value());
        ASSERT_TRUE(running.back()->begin());
    }
    // One more of another size, with another number of steps and without guidance.
    Request other = small_request(9);
    other.width = 12;
    other.steps = 2;
    other.guidance = 1;
    const Bytes other_alone = run(**pipeline, other);
    running.push_back((*pipeline)->start(other).value());
    ASSERT_TRUE(running.back()->begin());
    toy.unet.calls = 0;
    while (true) {
        std::vector<StepInput> inputs;
        std::vector<Generation*> owners;
        for (const auto& generation : running) {
            if (!generation->done()) {
                inputs.push_back(generation->next());
                owners.push_back(generation.get());
            }
        }
        if (inputs.empty()) {
            break;
        }
        std::vector<const StepInput*> together;
        for (const StepInput& input : inputs) {
            together.push_back(&input);
        }
        const auto predictions = (*pipeline)->predict(together);
        ASSERT_TRUE(predictions) << predictions.error().message;
        for (std::size_t i = 0; i < owners.size(); ++i) {
            ASSERT_TRUE(owners[i]->advance((*predictions)[i]));
        }
    }
    EXPECT_EQ(toy.unet.calls, 5 + 2);  // three pictures of two rows share a call
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(running[i]->decode().value().front().pixels, alone[i]) << i;
    }
    EXPECT_EQ(running[3]->decode().value().front().pixels, other_alone);
    EXPECT_NE(alone[0], alone[1]);
}

TEST(generation, networks_that_take_fixed_rows) {
    ToyPipeline toy;
    const Bytes wanted = run(*toy.load().value(), small_request());
    for (const std::int64_t rows : {1, 2, 3}) {
        ToyPipeline fixed;
        for (auto* model : {&fixed.unet, &fixed.text}) {
            for (auto& info : model->in) {
                info.shape[0] = rows;
            }
        }
        fixed.decoder.in[0].shape[0] = 1;
        const auto pipeline = fixed.load();
        ASSERT_TRUE(pipeline) << pipeline.error().message;
        EXPECT_EQ(run(**pipeline, small_request()), wanted) << rows;
    }
    // The time as a whole number, without an axis, or with one of size 1.
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, {1}, {-1}}) {
        for (const bool is_float : {true, false}) {
            ToyPipeline other;
            other.unet.in[1] = {.name = "timestep", .is_float = is_float, .shape = shape};
            const auto pipeline = other.load();
            ASSERT_TRUE(pipeline) << pipeline.error().message;
            const Bytes got = run(**pipeline, small_request());
            EXPECT_TRUE(!is_float || got == wanted);
        }
    }
}

TEST(generation, at_most_so_many_rows_per_call) {
    ToyPipeline toy;
    const auto wide = toy.load();
    const auto narrow = toy.load({.rows_max = 1, .decode_chunk = 1});
    EXPECT_EQ(run(**wide, small_request()), run(**narrow, small_request()));
}

TEST(generation, without_guidance_one_row) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    Request request = small_request();
    request.guidance = 1;
    auto generation = (*pipeline)->start(request).value();
    ASSERT_TRUE(generation->begin());
    EXPECT_EQ(generation->next().rows, 1);
    request.guidance = 1.5;
    generation = (*pipeline)->start(request).value();
    ASSERT_TRUE(generation->begin());
    EXPECT_EQ(generation->next().rows, 2);
}

TEST(generation, reports_progress_and_stops) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    auto generation = (*pipeline)->start(small_request()).value();
    std::vector<int> seen;
    const auto result = run_to_end(**pipeline, *generation, [&](int done, int total) {
        seen.push_back(done);
        EXPECT_EQ(total, 5);
        const auto preview = generation->preview();
        EXPECT_TRUE(preview && preview->width == 8 && preview->height == 6);
        return done < 3;
    });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kCancelled);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
}

TEST(generation, previews_are_small) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    Request request = small_request();
    request.width = 600;
    request.height = 20;
    request.steps = 1;
    auto generation = (*pipeline)->start(request).value();
    ASSERT_TRUE(generation->begin());
    const auto preview = generation->preview();
    ASSERT_TRUE(preview) << preview.error().message;
    EXPECT_LE(preview->width, 80);
    EXPECT_GT(preview->height, 0);
    toy.decoder.in[0].shape = {1, 2, 10, 300};
    const auto fixed = toy.load();
    generation = (*fixed)->start(request).value();
    ASSERT_TRUE(generation->begin());
    EXPECT_EQ(generation->preview()->width, 600);
}

TEST(generation, picture_to_picture) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    Request request = small_request();
    request.image = flat_picture(8, 6, 200);
    request.strength = 0.4;
    auto generation = (*pipeline)->start(request).value();
    ASSERT_TRUE(generation->begin());
    EXPECT_EQ(generation->steps_total(), 2);
    // Without a size the picture's, down to a multiple of the factor.
    request.image = flat_picture(13, 7, 200);
    request.width = request.height = 0;
    generation = (*pipeline)->start(request).value();
    EXPECT_EQ(generation->request().width, 12);
    EXPECT_EQ(generation->request().height, 6);
    request.strength = 0.1;
    generation = (*pipeline)->start(request).value();
    EXPECT_EQ(generation->begin().error().field, "strength");
    // An encoder that gives latents instead of a distribution.
    toy.encoder.out = {{"latent_sample", true, {-1, 2, -1, -1}}};
    toy.encoder.answer = [](const auto& in) {
        const auto& x = *in.at("sample");
        return std::vector{make_floats({1, 2, x.shape[2] / 2, x.shape[3] / 2}, 0.5F)};
    };
    request.strength = 1;
    EXPECT_EQ(run(*toy.load().value(), request).size(), 12U * 6 * 3);
    // And one that gives something else.
    toy.encoder.answer = [](const auto& in) {
        const auto& x = *in.at("sample");
        return std::vector{make_floats({1, 3, x.shape[2] / 2, x.shape[3] / 2})};
    };
    const auto broken = toy.load().value();
    EXPECT_EQ(broken->start(request).value()->begin().error().code, Errc::kUnprocessable);
}

TEST(generation, the_kept_part_of_an_inpainted_picture_stays) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    Request request = small_request();
    request.image = flat_picture(8, 6, 230);
    request.mask = flat_picture(8, 6, 0);
    for (int y = 0; y < 6; ++y) {
        for (int x = 0; x < 12; ++x) {
            request.mask->pixels[static_cast<std::size_t>(y * 24 + x)] = 255;  // the left half
        }
    }
    request.strength = 1;
    const Bytes pixels = run(**pipeline, request);
    int changed = 0;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        if (i % 24 >= 12) {
            EXPECT_NEAR(pixels[i], 230, 1) << i;
        } else {
            changed += std::abs(pixels[i] - 230) > 3 ? 1 : 0;
        }
    }
    EXPECT_GT(changed, 20);
}

TEST(generation, requests_are_checked) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    const std::vector<std::pair<std::string, std::function<void(Request&)>>> cases{
        {"width", [](Request& r) { r.width = 5'000; }},
        {"width", [](Request& r) { r.width = -8; }},
        {"height", [](Request& r) { r.height = 4098; }},
        {"num_inference_steps", [](Request& r) { r.steps = 0; }},
        {"num_inference_steps", [](Request& r) { r.steps = 1'000'000; }},
        {"guidance_scale", [](Request& r) { r.guidance = NAN; }},
        {"guidance_scale", [](Request& r) { r.guidance = 1e9; }},
        {"strength", [](Request& r) { r.strength = 0; }},
        {"strength", [](Request& r) { r.strength = 1.01; }},
        {"num_frames", [](Request& r) { r.frames = 1'000; }},
        {"fps", [](Request& r) { r.fps = 0; }},
        {"image", [](Request& r) { r.image = api::RgbImage{.width = 3, .height = 3, .pixels = {}}; }},
        {"image", [](Request& r) { r.mask = flat_picture(2, 2, 0); }},
        {"mask_image", [](Request& r) { r.mask = api::RgbImage{}; }},
    };
    for (const auto& [field, change] : cases) {
        Request request = small_request();
        change(request);
        const auto result = (*pipeline)->start(request);
        ASSERT_FALSE(result) << field;
        EXPECT_EQ(result.error().field, field) << result.error().message;
        EXPECT_EQ(result.error().code, Errc::kInvalidArgument);
    }
    Request request = small_request();
    request.prompt = "\xff";
    EXPECT_EQ((*pipeline)->start(request).value()->begin().error().field, "prompt");
    request = small_request();
    request.width = request.height = 0;
    EXPECT_EQ((*pipeline)->start(request).value()->request().width, 8);
}

TEST(generation, sides_are_what_the_network_can_halve) {
    ToyPipeline toy;
    toy.files["unet/config.json"] =
        Blob::copy_of(R"({"in_channels":2,"out_channels":2,"sample_size":8,"block_out_channels":[4,8,8]})");
    const auto pipeline = toy.load();
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    EXPECT_EQ((*pipeline)->config().side_step(), 8);
    for (const auto& [asked, made] : {std::pair{1, 8}, {11, 8}, {12, 16}, {16, 16}, {0, 16}, {4096, 4096}}) {
        Request request = small_request();
        request.width = asked;
        request.height = 8;
        EXPECT_EQ((*pipeline)->start(request).value()->request().width, made) << asked;
    }
}

TEST(generation, some_networks_take_one_size) {
    ToyPipeline toy;
    toy.unet.in[0].shape = {-1, 2, 3, 4};
    const auto pipeline = toy.load();
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    EXPECT_TRUE((*pipeline)->start(small_request()));
    Request request = small_request();
    request.width = 10;
    const auto result = (*pipeline)->start(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().field, "width");
    EXPECT_NE(result.error().message.find("must be 8 with this model"), std::string::npos);
}

TEST(generation, answers_of_networks_are_checked) {
    ToyPipeline toy;
    const auto pipeline = toy.load();
    toy.unet.answer = [](const auto&) { return std::vector{make_floats({2, 2, 3, 3})}; };
    auto generation = (*pipeline)->start(small_request()).value();
    auto result = run_to_end(**pipeline, *generation);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kUnprocessable);
    EXPECT_NE(
        result.error().message.find("out_sample is [2, 2, 3, 3], expected [2, 2, 3, 4]"), std::string::npos
    ) << result.error().message;
    toy.unet.answer = [](const auto&) { return std::vector<api::Tensor>{}; };
    generation = (*pipeline)->start(small_request()).value();
    EXPECT_EQ(run_to_end(**pipeline, *generation).error().code, Errc::kUnprocessable);
    toy.unet.error = make_error(Errc::kCapacity, "no memory");
    generation = (*pipeline)->start(small_request()).value();
    EXPECT_EQ(run_to_end(**pipeline, *generation).error().code, Errc::kCapacity);
    generation = (*pipeline)->start(small_request()).value();
    ASSERT_TRUE(generation->begin());
    EXPECT_EQ(generation->advance(make_floats({1, 2})).error().field, "unet");
}

}  // namespace
}  // namespace framegrid::diffusion
