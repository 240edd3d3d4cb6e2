// Directories as hubs and exporters lay them out, without a manifest of ours: the store must recognise them,
// and our pictures must be those of the reference implementations (tests/fixtures/hub/make.py).
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <framegrid/diffusion/relative_error_for_test.hpp>
#include <framegrid/engine/interpolation.hpp>
#include <framegrid/engine/tiling.hpp>
#include <framegrid/engine/upscale.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/infer_onnx/provider_for_test.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = FG_HUB_FIXTURES;
constexpr double kErrorMax = 1e-3;

struct Case {
    std::string family;
    std::string model;
    media::Size size;  // of the picture that goes in
    int scale = 1;
    double time = 0;
    std::vector<float> wanted{};  // 3 planes of size * scale
};

std::string read_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    const auto list = boost::json::parse(read_text(kFixtures / "cases.json"));
    for (const auto& entry : list.as_array()) {
        const auto& object = entry.as_object();
        Case one{
            std::string(object.at("family").as_string()),
            std::string(object.at("model").as_string()),
            {object.at("size").at(0).to_number<int>(), object.at("size").at(1).to_number<int>()}
        };
        if (const auto* scale = object.if_contains("scale")) {
            one.scale = scale->to_number<int>();
        }
        if (const auto* time = object.if_contains("time")) {
            one.time = time->to_number<double>();
        }
        const auto bytes = read_text(kFixtures / "references" / std::string(object.at("file").as_string()));
        one.wanted.resize(bytes.size() / sizeof(float));
        std::memcpy(one.wanted.data(), bytes.data(), one.wanted.size() * sizeof(float));
        cases.push_back(std::move(one));
    }
    return cases;
}

// As make.py makes it; `turned`: upside down and inverted.
api::RgbImage formula(media::Size size, bool turned = false) {
    api::RgbImage out{.width = size.width, .height = size.height, .pixels = {}};
    for (int row = 0; row < size.height; ++row) {
        const int y = turned ? size.height - 1 - row : row;
        for (int x = 0; x < size.width; ++x) {
            for (int c = 0; c < 3; ++c) {
                const int value =
                    (x * 7 + y * 13 + c * 31 + (x * y) % 17 * 9 + (x / 19 + y / 23) % 2 * 100) % 256;
                out.pixels.push_back(static_cast<std::uint8_t>(turned ? 255 - value : value));
            }
        }
    }
    return out;
}

// The same picture in bytes: one step more or less where rounding goes the other way.
void expect_bytes(const api::RgbImage& got, const Case& wanted) {
    const std::size_t plane = wanted.wanted.size() / 3;
    ASSERT_EQ(got.pixels.size(), 3 * plane) << wanted.model;
    for (std::size_t i = 0; i < got.pixels.size(); ++i) {
        const float value = wanted.wanted[i % 3 * plane + i / 3];
        const double byte = std::round(std::clamp(static_cast<double>(value), 0.0, 1.0) * 255);
        ASSERT_NEAR(got.pixels[i], byte, 1) << wanted.model << " " << i;
    }
}

// What an enlarging network gives, kept before it becomes bytes.
class KeepingModel final : public api::ImageModel {
  public:
    explicit KeepingModel(api::ImageModel& inner) : inner_(inner) {}
    int scale() const override { return inner_.scale(); }
    Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) override {
        EXPECT_EQ(count, 1);
        FG_TRY(out, inner_.infer(tiles, count, tile_height, tile_width));
        kept.push_back(out);
        return out;
    }

    std::vector<std::vector<float>> kept;

  private:
    api::ImageModel& inner_;
};

// The cores of the kept tiles side by side, as paste_tile() puts bytes.
std::vector<float> assemble(const engine::TilePlan& plan, const KeepingModel& model, media::Size size) {
    const int scale = model.scale();
    const int width = size.width * scale;
    const int height = size.height * scale;
    std::vector<float> out(engine::Window{.size = {width, height}}.plane() * 3);
    for (std::size_t i = 0; i < plan.tiles.size(); ++i) {
        const auto& tile = plan.tiles[i];
        const engine::Window window = plan.window(tile);
        const auto at = [](int x, int y, int c, int w, int h) {
            return static_cast<std::size_t>((c * h + y) * w + x);
        };
        for (int c = 0; c < 3; ++c) {
            for (int y = tile.y * scale; y < std::min(height, (tile.y + plan.core_height) * scale); ++y) {
                for (int x = tile.x * scale; x < std::min(width, (tile.x + plan.core_width) * scale); ++x) {
                    out[at(x, y, c, width, height)] = model.kept.at(i)[at(
                        x - window.left * scale, y - window.top * scale, c, plan.tile.width * scale,
                        plan.tile.height * scale
                    )];
                }
            }
        }
    }
    return out;
}

// What an interpolating network gives as its picture, in planes and without what was padded.
class KeepingNetwork final : public api::TensorModel {
  public:
    KeepingNetwork(api::TensorModel& inner, media::Size size) : inner_(inner), size_(size) {}
    const std::vector<api::TensorInfo>& inputs() const override { return inner_.inputs(); }
    const std::vector<api::TensorInfo>& outputs() const override { return inner_.outputs(); }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> given) override {
        FG_TRY(out, inner_.run(given));
        FG_TRY(tensors, engine::InterpolationTensors::find(inputs(), outputs()));
        const api::Tensor& picture = out[tensors.output];
        const bool last = tensors.channels_last;
        const std::int64_t width = picture.shape[last ? 2 : 3];
        const std::int64_t height = picture.shape[last ? 1 : 2];
        kept.clear();
        for (std::int64_t c = 0; c < 3; ++c) {
            for (std::int64_t y = 0; y < size_.height; ++y) {
                for (std::int64_t x = 0; x < size_.width; ++x) {
                    const auto at = last ? (y * width + x) * 3 + c : (c * height + y) * width + x;
                    kept.push_back(picture.floats()[static_cast<std::size_t>(at)]);
                }
            }
        }
        return out;
    }

    std::vector<float> kept;

  private:
    api::TensorModel& inner_;
    media::Size size_;
};

double enlarge(engine::ModelLease& lease, const Case& one) {
    const auto& spec = lease.manifest().image;
    EXPECT_EQ(spec.scale, one.scale) << one.model;
    KeepingModel model(lease.model());
    const api::StopFlag stop = false;
    const auto picture = formula(one.size);
    const auto out = engine::upscale(model, spec, picture, 1'000'000, stop);
    EXPECT_TRUE(out) << one.model << ": " << out.error().message;
    if (!out) {
        return INFINITY;
    }
    expect_bytes(*out, one);
    const auto plan = engine::plan_tiles(one.size.width, one.size.height, spec);
    return diffusion::testing::relative_error(assemble(plan, model, one.size), one.wanted);
}

double interpolate(engine::ModelLease& lease, const Case& one) {
    const auto network = lease.network(std::string(engine::kOnlyNetwork));
    EXPECT_TRUE(network) << one.model << ": " << network.error().message;
    if (!network) {
        return INFINITY;
    }
    KeepingNetwork keeping(**network, one.size);
    auto interpolator = engine::Interpolator::make(keeping, lease.manifest().multiple);
    EXPECT_TRUE(interpolator) << one.model << ": " << interpolator.error().message;
    const api::StopFlag stop = false;
    const auto out = interpolator->between(formula(one.size), formula(one.size, true), one.time, stop);
    EXPECT_TRUE(out) << one.model << ": " << out.error().message;
    if (!out) {
        return INFINITY;
    }
    expect_bytes(*out, one);
    return diffusion::testing::relative_error(keeping.kept, one.wanted);
}

std::unique_ptr<ModelStore> open_store(const fs::path& directory) {
    auto store = ModelStore::open({.directories = {directory}, .onnx = settings_for_test()});
    EXPECT_TRUE(store) << store.error().message;
    for (const auto& problem : (*store)->problems()) {
        ADD_FAILURE() << problem.directory << ": " << problem.error.message;
    }
    return std::move(*store);
}

double run_case(ModelStore& store, const Case& one) {
    const bool enlarges = one.time == 0;
    const auto lease = store.acquire(enlarges ? "upscale" : "frame-interpolation", one.model);
    EXPECT_TRUE(lease) << one.model << ": " << lease.error().message;
    if (!lease) {
        return INFINITY;
    }
    return enlarges ? enlarge(**lease, one) : interpolate(**lease, one);
}

TEST(HubModels, GiveTheReferencesPictures) {
    const auto store = open_store(kFixtures / "models");
    std::map<std::string, double> errors;
    for (const Case& one : read_cases()) {
        const double error = run_case(*store, one);
        EXPECT_LT(error, kErrorMax) << one.model;
        double& largest = errors[one.family + " | " + one.model];
        largest = std::max(largest, error);
    }
    std::printf("| family | fixture | largest relative error |\n|---|---|---|\n");
    for (const auto& [name, error] : errors) {
        std::printf("| %s | %.1e |\n", name.c_str(), error);
    }
}

// What was guessed is measured again after `framegrid model add`, and what was read stays.
TEST(HubModels, InstalledTheyGiveTheSame) {
    const fs::path root = fs::path(::testing::TempDir()) / "framegrid_hub_models";
    fs::remove_all(root);
    for (const auto& one : read_cases()) {
        if (!fs::exists(root / one.model)) {
            const auto installed = install_model(kFixtures / "models" / one.model, root, one.model, true);
            ASSERT_TRUE(installed) << one.model << ": " << installed.error().message;
            ASSERT_TRUE(fs::exists(root / one.model / "model.toml"));
        }
    }
    const auto store = open_store(root);
    for (const Case& one : read_cases()) {
        EXPECT_LT(run_case(*store, one), kErrorMax) << one.model;
    }
    fs::remove_all(root);
}

}  // namespace
}  // namespace framegrid::infer_onnx
