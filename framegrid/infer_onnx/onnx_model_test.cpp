#include <framegrid/infer_onnx/onnx_model.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include <framegrid/engine/image_network.hpp>
#include <framegrid/engine/upscale.hpp>

namespace framegrid::infer_onnx {
namespace {

Bytes read_all(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return to_bytes(text);
}

struct Shipped {
    engine::ModelManifest manifest;
    Bytes onnx;
};

Shipped shipped(const std::string& name) {
    const auto directory = std::filesystem::path(FG_MODELS_DIR) / "framegrid" / name;
    auto manifest = engine::parse_manifest(as_text(read_all(directory / "model.toml")));
    EXPECT_TRUE(manifest) << name;
    return {std::move(*manifest), read_all(directory / "model.onnx")};
}

std::unique_ptr<OnnxRuntime> open_cpu(int threads = 1) {
    auto runtime = OnnxRuntime::open({.threads = threads, .provider = "cpu"});
    EXPECT_TRUE(runtime);
    return std::move(*runtime);
}

Result<std::unique_ptr<api::ImageModel>> load_image_model(
    OnnxRuntime& runtime, const engine::ModelManifest& manifest, BytesView onnx
) {
    FG_TRY(network, runtime.load("model", onnx));
    return engine::make_image_model(manifest, std::move(network));
}

api::RgbImage make_ramp(int width, int height) {
    api::RgbImage image{.width = width, .height = height, .pixels = {}};
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (const int v : {x * 5, y * 7, (x / 5 + y / 4) % 2 * 200}) {
                image.pixels.push_back(static_cast<std::uint8_t>(v));
            }
        }
    }
    return image;
}

TEST(OnnxModel, ShippedModelsInferTheRightSizes) {
    const auto runtime = open_cpu();
    for (const auto& [name, scale] : {std::pair{"sr-2x", 2}, {"sr-4x", 4}}) {
        const auto ship = shipped(name);
        auto model = load_image_model(*runtime, ship.manifest, ship.onnx);
        ASSERT_TRUE(model) << model.error().message;
        EXPECT_EQ((*model)->scale(), scale);
        const std::vector<float> grey(2 * 3 * 20 * 30, 0.5F);
        const auto out = (*model)->infer(grey, 2, 20, 30);
        ASSERT_TRUE(out) << out.error().message;
        ASSERT_EQ(out->size(), grey.size() * static_cast<std::size_t>(scale * scale));
        // Away from the zero-padded border a flat picture stays flat.
        const std::size_t width = 30 * static_cast<std::size_t>(scale);
        EXPECT_NEAR((*out)[10 * static_cast<std::size_t>(scale) * width + width / 2], 0.5F, 0.02F);
        EXPECT_FALSE((*model)->infer(grey, 1, 20, 30));
        EXPECT_FALSE((*model)->infer({}, 0, 0, 0));
    }
}

// The declared overlap covers the receptive field: how the picture is cut must not show.
TEST(OnnxModel, TilingDoesNotChangeTheResult) {
    const auto runtime = open_cpu();
    const auto ship = shipped("sr-2x");
    auto model = load_image_model(*runtime, ship.manifest, ship.onnx);
    ASSERT_TRUE(model) << model.error().message;
    const auto image = make_ramp(50, 41);
    const api::StopFlag stop = false;
    auto spec = ship.manifest.image;
    const auto whole = engine::upscale(**model, spec, image, 100'000, stop);
    spec.tile = 2 * spec.overlap + 13;
    spec.batch = 5;
    const auto tiled = engine::upscale(**model, spec, image, 100'000, stop);
    ASSERT_TRUE(whole && tiled);
    int different = 0;
    for (std::size_t i = 0; i < whole->pixels.size(); ++i) {
        const int d = std::abs(int{whole->pixels[i]} - int{tiled->pixels[i]});
        ASSERT_LE(d, 1) << i;  // sums in another order may round the other way
        different += d;
    }
    EXPECT_LT(different, 20);
}

TEST(OnnxModel, HostileNetworksAreErrors) {
    const auto runtime = open_cpu();
    const auto ship = shipped("sr-2x");
    const auto refused = [&](BytesView onnx) {
        const auto model = load_image_model(*runtime, ship.manifest, onnx);
        return !model && model.error().code == Errc::kUnprocessable;
    };
    EXPECT_TRUE(refused({}));
    EXPECT_TRUE(refused(as_bytes("not a network at all")));
    EXPECT_TRUE(refused(BytesView(ship.onnx).first(ship.onnx.size() / 2)));
    // Damaged in many places: either still a network, or an error; never a crash.
    std::uint32_t state = 7;
    for (int i = 0; i < 60; ++i) {
        Bytes damaged = ship.onnx;
        for (int k = 0; k < 8; ++k) {
            state = state * 1664525U + 1013904223U;
            // The graph's structure is at both ends; the weights between them are only numbers.
            const std::size_t at = state % 1500;
            damaged[k % 2 == 0 ? at : damaged.size() - 1 - at] ^=
                static_cast<std::uint8_t>(1U << (state >> 29U));
        }
        if (const auto model = load_image_model(*runtime, ship.manifest, damaged)) {
            (void)(*model)->infer(std::vector<float>(3 * 8 * 8), 1, 8, 8);
        }
    }
}

TEST(OnnxModel, NetworkMustFitItsManifest) {
    const auto runtime = open_cpu();
    auto ship = shipped("sr-2x");
    auto other = ship.manifest;
    other.input.name = "image";
    const auto named = load_image_model(*runtime, other, ship.onnx);
    ASSERT_FALSE(named);
    EXPECT_EQ(named.error().code, Errc::kUnprocessable);
    EXPECT_NE(named.error().message.find("image"), std::string::npos);
    other = ship.manifest;
    other.image.scale = 4;  // a lie that shows when it runs
    auto lying = load_image_model(*runtime, other, ship.onnx);
    ASSERT_TRUE(lying);
    EXPECT_FALSE((*lying)->infer(std::vector<float>(3 * 8 * 8), 1, 8, 8));
}

TEST(OnnxRuntime, SettingsAreChecked) {
    EXPECT_EQ(OnnxRuntime::open({.threads = 1, .provider = "abacus"}).error().field, "provider");
    EXPECT_EQ(OnnxRuntime::open({.threads = -1, .provider = "cpu"}).error().field, "threads");
    EXPECT_EQ(
        OnnxRuntime::open({.threads = 1, .provider = "cpu", .library = "/nowhere.so"}).error().field,
        "library"
    );
    EXPECT_EQ(
        OnnxRuntime::open({.threads = 1, .provider = "cpu", .library = "libm.so.6"}).error().field, "library"
    );
}

TEST(OnnxRuntime, TheProviderIsChosenAndSaidOnce) {
    std::vector<std::string> lines;
    const Logger log([&](LogLevel, std::string_view line) { lines.emplace_back(line); }, LogLevel::kInfo);
    const auto automatic = OnnxRuntime::open({.threads = 1, .provider = "auto", .log = log});
    ASSERT_TRUE(automatic);
    const std::string chosen = (*automatic)->provider();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("provider=" + chosen), std::string::npos) << lines[0];
    const auto cuda = OnnxRuntime::open({.threads = 1, .provider = "cuda"});
    if (chosen == "cpu") {
        EXPECT_NE(lines[0].find("cuda"), std::string::npos) << lines[0];
        ASSERT_FALSE(cuda);
        EXPECT_EQ(cuda.error().code, Errc::kUnsupported);
        EXPECT_NE(cuda.error().message.find("it has: cpu"), std::string::npos) << cuda.error().message;
    } else {
        EXPECT_TRUE(cuda);
    }
}

TEST(OnnxRuntime, PinnedThreadsComputeTheSame) {
    const auto ship = shipped("sr-2x");
    std::vector<std::vector<float>> results;
    for (const bool pin : {false, true}) {
        auto runtime = OnnxRuntime::open({.threads = 3, .pin_threads = pin, .provider = "cpu"});
        ASSERT_TRUE(runtime);
        auto model = load_image_model(**runtime, ship.manifest, ship.onnx);
        ASSERT_TRUE(model) << model.error().message;
        auto out = (*model)->infer(std::vector<float>(std::size_t{3} * 64 * 64, 0.25F), 1, 64, 64);
        ASSERT_TRUE(out) << out.error().message;
        results.push_back(std::move(*out));
    }
    EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace framegrid::infer_onnx
