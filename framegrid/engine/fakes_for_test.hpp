// Fake ports for the engine's tests: nearest-neighbour networks, an in-memory model source, a recording
// codec.
#pragma once

#include <map>

#include <framegrid/engine/model_source.hpp>

namespace framegrid::engine::testing {

// Repeats every pixel `scale` times; optionally misbehaves.
class NearestModel : public api::ImageModel {
  public:
    explicit NearestModel(int scale) : scale_(scale) {}
    int scale() const override { return scale_; }
    Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) override {
        ++calls;
        tiles_seen += count;
        floats_max = std::max(floats_max, tiles.size());
        if (on_infer) {
            on_infer();
        }
        if (error) {
            return fail(*error);
        }
        if (short_result) {
            return std::vector<float>(7);
        }
        const auto s = static_cast<std::size_t>(scale_);
        const auto w = static_cast<std::size_t>(tile_width);
        const auto rows = static_cast<std::size_t>(tile_height) * 3 * static_cast<std::size_t>(count);
        std::vector<float> out(tiles.size() * s * s);
        for (std::size_t y = 0; y < rows * s; ++y) {
            for (std::size_t x = 0; x < w * s; ++x) {
                out[y * w * s + x] = tiles[y / s * w + x / s];
            }
        }
        return out;
    }

    int calls = 0;
    int tiles_seen = 0;
    std::size_t floats_max = 0;
    bool short_result = false;
    std::optional<Error> error;
    std::function<void()> on_infer;

  private:
    int scale_;
};

inline ModelManifest make_manifest(std::string id, int scale) {
    ModelManifest manifest;
    manifest.id = std::move(id);
    manifest.pipelines = {"upscale"};
    manifest.memory_bytes = 1000;
    manifest.image = {.scale = scale, .tile = 24, .overlap = 4, .batch = 3};
    return manifest;
}

class FakeLease : public ModelLease {
  public:
    FakeLease(api::ImageModel& model, const ModelManifest& manifest) : model_(model), manifest_(manifest) {}
    api::ImageModel& model() override { return model_; }
    const ModelManifest& manifest() const override { return manifest_; }
    const std::string& digest() const override { return digest_; }
    Result<api::TensorModel*> network(const std::string& name) override {
        return fail(Errc::kNotFound, "no network " + name);
    }
    Result<Blob> file(const std::string& path) override { return fail(Errc::kNotFound, "no file " + path); }
    std::any& memo() override { return memo_; }

  private:
    api::ImageModel& model_;
    const ModelManifest& manifest_;
    std::string digest_ = "0123";
    std::any memo_;
};

class FakeModels : public ModelSource {
  public:
    void add(ModelManifest manifest, api::ImageModel& model) {
        order_.push_back(manifest);
        models_.emplace(order_.back().id, std::pair{std::move(manifest), &model});
    }
    Result<std::unique_ptr<ModelLease>> acquire(const std::string& pipeline, const std::string& model_id)
        override {
        const auto it = models_.find(model_id);
        if (it == models_.end() || !it->second.first.serves(pipeline)) {
            return fail(Errc::kNotFound, "unknown model " + model_id, "model_id");
        }
        return std::make_unique<FakeLease>(*it->second.second, it->second.first);
    }
    std::vector<ModelManifest> manifests() const override { return order_; }

  private:
    std::map<std::string, std::pair<ModelManifest, api::ImageModel*>> models_;
    std::vector<ModelManifest> order_;
};

inline api::RgbImage make_noise(int width, int height) {
    api::RgbImage image{.width = width, .height = height, .pixels = {}};
    std::uint32_t state = 12345;
    for (int i = 0; i < width * height * 3; ++i) {
        state = state * 1664525U + 1013904223U;
        image.pixels.push_back(static_cast<std::uint8_t>(state >> 24U));
    }
    return image;
}

inline api::RgbImage repeat_pixels(const api::RgbImage& image, int scale) {
    api::RgbImage out{.width = image.width * scale, .height = image.height * scale, .pixels = {}};
    for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x) {
            for (int c = 0; c < 3; ++c) {
                out.pixels.push_back(
                    image.pixels[static_cast<std::size_t>((y / scale * image.width + x / scale) * 3 + c)]
                );
            }
        }
    }
    return out;
}

}  // namespace framegrid::engine::testing
