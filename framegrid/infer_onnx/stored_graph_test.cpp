#include <framegrid/infer_onnx/stored_graph.hpp>

#include <fstream>

#include <gtest/gtest.h>

#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/infer_onnx/noise_for_test.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

const fs::path kShipped = FG_MODELS_DIR;

class StoredGraphTest : public ::testing::Test {
  protected:
    StoredGraphTest() {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        root_ = fs::path(::testing::TempDir()) / ("framegrid_stored_" + std::string(info->name()));
        fs::remove_all(root_);
        for (const char* name : {"scenes", "sr-4x"}) {
            fs::create_directories(root_ / "framegrid");
            fs::copy(kShipped / "framegrid" / name, root_ / "framegrid" / name, fs::copy_options::recursive);
        }
    }
    ~StoredGraphTest() override { fs::remove_all(root_); }

    std::unique_ptr<ModelStore> open() {
        ModelStoreSettings settings;
        settings.directories = {root_};
        const auto sink = [this](LogLevel, std::string_view line) { lines_.emplace_back(line); };
        settings.onnx = {.threads = 2, .provider = "cpu", .log = Logger(sink, LogLevel::kWarn)};
        auto store = ModelStore::open(std::move(settings));
        EXPECT_TRUE(store) << store.error().message;
        return std::move(*store);
    }

    // What the networks of a picture answer, one after the other.
    std::vector<float> draw() {
        const auto store = open();
        const auto lease = store->acquire("text-to-image", "framegrid/scenes");
        std::vector<float> all;
        for (const char* name : {"text_encoder", "unet", "vae_decoder"}) {
            const auto network = lease ? (*lease)->network(name) : fail(Error(lease.error()));
            EXPECT_TRUE(network) << network.error().message;
            std::vector<api::Tensor> tensors;
            std::vector<api::NamedTensor> inputs;
            for (const auto& info : (*network)->inputs()) {
                tensors.push_back(tensor_for(info));
            }
            for (std::size_t i = 0; i < tensors.size(); ++i) {
                inputs.push_back({(*network)->inputs()[i].name, &tensors[i]});
            }
            const auto outputs = (*network)->run(inputs);
            EXPECT_TRUE(outputs) << outputs.error().message;
            const auto& floats = outputs->front().floats();
            all.insert(all.end(), floats.begin(), floats.end());
        }
        return all;
    }

    fs::path root_;
    std::vector<std::string> lines_;

  private:
    // Of the given shape, two rows, sides of 16 and 77 words where it leaves them open.
    static api::Tensor tensor_for(const api::TensorInfo& info) {
        api::Tensor tensor;
        std::size_t size = 1;
        for (std::size_t i = 0; i < info.shape.size(); ++i) {
            const bool words = info.shape.size() < 4;
            tensor.shape.push_back(info.shape[i] >= 0 ? info.shape[i] : i == 0 ? 2 : words ? 77 : 16);
            size *= static_cast<std::size_t>(tensor.shape.back());
        }
        if (info.is_float) {
            tensor.values = noise(size, 7);
        } else {
            tensor.values = std::vector<std::int64_t>(size, 3);
        }
        return tensor;
    }
};

TEST_F(StoredGraphTest, ResultsAreTheSameToTheLastBit) {
    const auto plain = draw();
    const auto stored = open()->store_graphs("framegrid/scenes");
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_EQ(*stored, 5) << "two encoders, the denoiser, the decoder, and the classifier beside them";
    EXPECT_EQ(open()->store_graphs("framegrid/scenes").value_or(-1), 0) << "they are there";
    // The networks themselves are not read any more.
    fs::remove(root_ / "framegrid/scenes/unet/model.onnx");
    const auto again = draw();
    ASSERT_FALSE(plain.empty());
    EXPECT_EQ(plain, again);
    EXPECT_EQ(lines_, std::vector<std::string>{});
}

TEST_F(StoredGraphTest, NetworksThatAreExpectedAreLoadedSideBySide) {
    const std::vector<std::string> names{"text_encoder", "text_encoder_2", "unet", "vae_decoder"};
    const auto loaded = [&names](ModelStore& store) {
        const auto lease = store.acquire("text-to-image", "framegrid/scenes");
        EXPECT_TRUE(lease);
        (*lease)->expect_networks(names);
        (*lease)->expect_networks(names);
        return store.use().at(0).networks;
    };
    EXPECT_EQ(loaded(*open()), 0U) << "their files would all be in memory at once";
    ASSERT_TRUE(open()->store_graphs("framegrid/scenes"));
    const auto store = open();
    EXPECT_EQ(loaded(*store), 3U) << "there is no second text encoder";
    const auto lease = store->acquire("text-to-image", "framegrid/scenes");
    EXPECT_TRUE((*lease)->network("unet"));
    EXPECT_FALSE((*lease)->network("text_encoder_2"));
    EXPECT_EQ(store->use().at(0).networks, 3U);
}

TEST_F(StoredGraphTest, AChangedFileIsNotUsed) {
    const auto plain = draw();
    ASSERT_TRUE(open()->store_graphs("framegrid/scenes"));
    for (const auto& entry : fs::recursive_directory_iterator(root_ / "framegrid/scenes/.optimized")) {
        if (entry.path().filename() == kStoredWeights) {
            std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(4096);
            file.put('\x5a');
        }
    }
    EXPECT_EQ(plain, draw());
    ASSERT_EQ(lines_.size(), 3U);
    EXPECT_NE(lines_[0].find("was changed"), std::string::npos) << lines_[0];
    // Also while a process lives that found it whole before.
    EXPECT_EQ(open()->store_graphs("framegrid/scenes").value_or(-1), 5) << "made again";
    lines_.clear();
    EXPECT_EQ(plain, draw());
    EXPECT_EQ(lines_, std::vector<std::string>{});
}

// Loaded, unloaded and loaded again: files that did not change are not read for their digest, others are.
TEST_F(StoredGraphTest, AChangeBetweenTwoLoadsIsSeen) {
    ASSERT_TRUE(open()->store_graphs("framegrid/sr-4x"));
    ModelStoreSettings settings;
    settings.directories = {root_};
    TimePoint now{};
    settings.now = [&now] { return now; };
    const auto sink = [this](LogLevel, std::string_view line) { lines_.emplace_back(line); };
    settings.onnx = {.threads = 1, .provider = "cpu", .log = Logger(sink, LogLevel::kWarn)};
    const auto store = ModelStore::open(settings);
    ASSERT_TRUE(store);
    const auto reload = [&] {
        for (const auto& [pipeline, id] :
             {std::pair{"upscale", "framegrid/sr-4x"}, {"text-to-image", "framegrid/scenes"}}) {
            now += std::chrono::hours(1);
            EXPECT_TRUE((*store)->acquire(pipeline, id)) << id;
        }
        EXPECT_EQ((*store)->loaded(), std::vector<std::string>{"framegrid/scenes"});
        return lines_.size();
    };
    EXPECT_EQ(reload(), 0U);
    EXPECT_EQ(reload(), 0U);
    for (const auto& entry : fs::recursive_directory_iterator(root_ / "framegrid/sr-4x/.optimized")) {
        if (entry.path().filename() == kStoredGraph) {
            std::ofstream(entry.path(), std::ios::app) << "x";
        }
    }
    EXPECT_EQ(reload(), 1U);
    {
        std::fstream file(
            root_ / "framegrid/sr-4x/model.onnx", std::ios::in | std::ios::out | std::ios::binary
        );
        file.seekp(500);
        file.put('\x7f');
        file.put('\x7f');
    }
    EXPECT_EQ((*store)->acquire("upscale", "framegrid/sr-4x").error().code, Errc::kUnprocessable);
}

TEST_F(StoredGraphTest, AnotherStateOfTheModelHasAnotherPlace) {
    engine::ModelManifest manifest;
    manifest.files = {{"unet/model.onnx", 0, "a"}, {"unet/weights", 0, "b"}, {"vae/model.onnx", 0, "c"}};
    const auto place = stored_graph_place(manifest, "unet/model.onnx", "e");
    EXPECT_EQ(place, stored_graph_place(manifest, "unet/model.onnx", "e"));
    EXPECT_NE(place, stored_graph_place(manifest, "unet/model.onnx", "f"));
    auto other = manifest;
    other.files[2].sha256 = "x";
    EXPECT_EQ(place, stored_graph_place(other, "unet/model.onnx", "e"));
    other.files[1].sha256 = "x";
    EXPECT_NE(place, stored_graph_place(other, "unet/model.onnx", "e")) << "weights beside the network";
}

TEST_F(StoredGraphTest, AStoredGraphIsNoPartOfTheModel) {
    const auto before = open();
    ASSERT_TRUE(before->store_graphs("framegrid/sr-4x"));
    const auto after = open();
    EXPECT_EQ(after->manifests().size(), 2U);
    EXPECT_TRUE(after->problems().empty());
    EXPECT_EQ(
        before->acquire("upscale", "framegrid/sr-4x").value()->digest(),
        after->acquire("upscale", "framegrid/sr-4x").value()->digest()
    );
    EXPECT_EQ(after->store_graphs("framegrid/none").error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace framegrid::infer_onnx
