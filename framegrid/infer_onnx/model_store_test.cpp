#include <framegrid/infer_onnx/model_store.hpp>

#include <array>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <framegrid/engine/sr_eval.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

const fs::path kShipped = FG_MODELS_DIR;

class ModelStoreTest : public ::testing::Test {
  protected:
    ModelStoreTest() {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        root_ = fs::path(::testing::TempDir()) / ("framegrid_models_" + std::string(info->name()));
        fs::remove_all(root_);
        fs::create_directories(root_);
    }
    ~ModelStoreTest() override { fs::remove_all(root_); }

    // A copy of a shipped model under another id.
    fs::path install(const std::string& name, const std::string& shipped = "sr-2x") {
        const fs::path place = root_ / "test" / name;
        fs::create_directories(place.parent_path());
        fs::copy(kShipped / "framegrid" / shipped, place, fs::copy_options::recursive);
        edit(place, "framegrid/" + shipped, "test/" + name);
        return place;
    }
    static void edit(const fs::path& place, const std::string& from, const std::string& to) {
        std::ifstream in(place / "model.toml");
        std::stringstream text;
        text << in.rdbuf();
        std::string toml = text.str();
        const auto at = toml.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        std::ofstream(place / "model.toml") << toml.replace(at, from.size(), to);
    }
    ModelStoreSettings settings() {
        ModelStoreSettings out;
        out.directories = {root_};
        out.onnx = {.threads = 1, .provider = "cpu"};
        out.now = [this] { return now_; };
        return out;
    }
    std::unique_ptr<ModelStore> open(ModelStoreSettings with) {
        auto store = ModelStore::open(std::move(with));
        EXPECT_TRUE(store) << store.error().message;
        return std::move(*store);
    }

    fs::path root_;
    TimePoint now_{};
};

TEST_F(ModelStoreTest, ShippedModelsBeatBicubicByHalfADecibel) {
    const auto store = open({.directories = {kShipped}, .onnx = {.threads = 2, .provider = "cpu"}});
    EXPECT_TRUE(store->problems().empty());
    const api::StopFlag stop = false;
    const auto report = engine::evaluate_sr(*store, {.side = 96, .seeds = 1, .model_id = {}}, stop);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->rows.size(), 2U);
    for (const auto& row : report->rows) {
        EXPECT_GE(row.delta(), 0.5) << row.model << " " << row.psnr_model << " against " << row.psnr_bicubic;
    }
}

TEST_F(ModelStoreTest, LoadsLazilyAndUnloadsTheLeastMissed) {
    for (const char* name : {"a", "b", "c"}) {
        install(name);
    }
    auto with = settings();
    const auto memory = open(with)->manifests().at(0).memory_bytes;
    with.memory_bytes = 2 * memory;
    const auto store = open(with);
    EXPECT_EQ(store->manifests().size(), 3U);
    EXPECT_EQ(store->loaded(), Names{});
    const auto touch = [&](const std::string& id) {
        now_ += std::chrono::seconds(1);
        const auto lease = store->acquire("upscale", id);
        ASSERT_TRUE(lease) << lease.error().message;
        EXPECT_EQ((*lease)->model().scale(), 2);
    };
    touch("test/a");
    touch("test/b");
    touch("test/a");
    touch("test/c");
    EXPECT_EQ(store->loaded(), (Names{"test/a", "test/c"}));
    {
        const auto one = store->acquire("upscale", "test/a");
        const auto two = store->acquire("upscale", "test/c");
        ASSERT_TRUE(one && two);
        EXPECT_EQ(store->acquire("upscale", "test/b").error().code, Errc::kCapacity);
    }
    touch("test/b");
    EXPECT_EQ(store->loaded(), (Names{"test/a", "test/b"})) << "c was wanted less often than a";
    const auto use = store->use();
    ASSERT_EQ(use.size(), 3U);
    EXPECT_EQ(
        (std::array{use[0].loads, use[1].loads, use[2].loads}), (std::array<std::uint64_t, 3>{1, 2, 1})
    );
    EXPECT_EQ(
        (std::array{use[0].evicted, use[1].evicted, use[2].evicted}), (std::array<std::uint64_t, 3>{0, 1, 1})
    );
    EXPECT_EQ(
        (std::array{use[0].bytes, use[1].bytes, use[2].bytes}),
        (std::array<std::int64_t, 3>{memory, memory, 0})
    );
    EXPECT_EQ(use[1].no_room, 1U);
    EXPECT_EQ(use[1].networks, 2U);
}

TEST_F(ModelStoreTest, WarmModelsStayAndIdleOnesGo) {
    install("warm");
    install("idle");
    auto with = settings();
    with.warm = {"test/warm"};
    const auto store = open(with);
    ASSERT_TRUE(store->warm_up());
    ASSERT_TRUE(store->acquire("upscale", "test/idle"));
    now_ += std::chrono::hours(1);
    ASSERT_TRUE(store->acquire("upscale", "test/warm"));
    EXPECT_EQ(store->loaded(), Names{"test/warm"});
    EXPECT_EQ(store->use().at(0).idled, 1U);
    EXPECT_EQ(store->use().at(0).bytes, 0);
    with.warm = {"test/nowhere"};
    EXPECT_EQ(open(with)->warm_up().error().code, Errc::kNotFound);
}

TEST_F(ModelStoreTest, DamagedFilesAreRefusedAndDoNotCountAsLoaded) {
    const auto place = install("damaged");
    {
        std::fstream file(place / "model.onnx", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(500);
        file.put('\x7f');
        file.put('\x7f');
    }
    const auto missing = install("missing");
    fs::remove(missing / "model.onnx");
    const auto store = open(settings());
    const auto refused = store->acquire("upscale", "test/damaged");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kUnprocessable);
    EXPECT_NE(refused.error().message.find("SHA-256"), std::string::npos) << refused.error().message;
    EXPECT_EQ(store->use().at(0).load_failures, 1U);
    EXPECT_EQ(store->use().at(0).loads, 0U);
    EXPECT_EQ(store->acquire("upscale", "test/missing").error().code, Errc::kNotFound);
    EXPECT_EQ(store->loaded(), Names{});
}

TEST_F(ModelStoreTest, ASingleNetworkIsRecognisedAndPinned) {
    const fs::path place = root_ / "acme/esrgan_x2";
    fs::create_directories(place);
    fs::copy(kShipped / "framegrid/sr-2x/model.onnx", place / "net.onnx");
    const auto store = open(settings());
    ASSERT_EQ(store->manifests().size(), 1U);
    EXPECT_EQ(store->manifests()[0].pipelines, Names{"upscale"});
    EXPECT_EQ(store->manifests()[0].image.scale, 2) << "from the name";
    {
        const auto lease = store->acquire("upscale", "acme/esrgan_x2");
        ASSERT_TRUE(lease) << lease.error().message;
        EXPECT_EQ((*lease)->digest().size(), 64U);
        EXPECT_TRUE((*lease)->model().infer(std::vector<float>(3 * 8 * 8), 1, 8, 8));
    }
    std::ofstream(place / "net.onnx", std::ios::app) << "x";
    now_ += std::chrono::hours(1);
    ASSERT_TRUE(store->acquire("upscale", "acme/esrgan_x2")) << "still loaded";
    now_ += std::chrono::hours(1);
    const auto again = open(settings());
    EXPECT_TRUE(again->manifests().empty());
    EXPECT_EQ(again->problems().size(), 1U) << "no ONNX file any more";
}

TEST_F(ModelStoreTest, AFileIsInstalledWithoutWhatLiesBesideIt) {
    const fs::path downloads = root_ / "downloads";
    fs::create_directories(downloads);
    fs::copy(kShipped / "framegrid/sr-4x/model.onnx", downloads / "my net.onnx");
    std::ofstream(downloads / "other.onnx") << "x";
    std::ofstream(downloads / "config.json") << "not ours";
    const fs::path models = root_ / "models";
    const auto installed = install_model(downloads / "my net.onnx", models, "acme/net", true);
    ASSERT_TRUE(installed) << installed.error().message;
    EXPECT_FALSE(fs::exists(models / "acme/net/config.json"));
    auto with = settings();
    with.directories = {models};
    const auto store = open(with);
    ASSERT_EQ(store->problems().size(), 0U) << store->problems()[0].error.message;
    const auto lease = store->acquire("upscale", "acme/net");
    ASSERT_TRUE(lease) << lease.error().message;
    EXPECT_EQ((*lease)->model().scale(), 4) << "measured: nothing said so";
    EXPECT_EQ((*lease)->manifest().image.multiple, 1);
}

TEST_F(ModelStoreTest, AGuessFromTheNameIsPutRight) {
    const fs::path place = root_ / "acme/esrgan_x2";
    fs::create_directories(place);
    fs::copy(kShipped / "framegrid/sr-4x/model.onnx", place / "model.onnx");
    const auto store = open(settings());
    EXPECT_EQ(store->manifests().at(0).image.scale, 2);
    const auto lease = store->acquire("upscale", "acme/esrgan_x2");
    ASSERT_TRUE(lease) << lease.error().message;
    EXPECT_EQ((*lease)->manifest().image.scale, 4);
    EXPECT_EQ(store->manifests().at(0).image.scale, 4);
}

// ONNX Runtime would read any file that a network names as the place of its weights.
TEST_F(ModelStoreTest, WeightsOutsideTheModelAreRefused) {
    const auto with_weights_at = [&](const std::string& location) {
        const auto field = [](char key, const std::string& bytes) {
            return std::string{key, static_cast<char>(bytes.size())} + bytes;
        };
        const std::string any = field(10, field(18, "n"));
        const std::string type =
            field(18, field(10, std::string("\x08\x01") + field(18, any + any + any + any)));
        const std::string entry = field(10, "location") + field(18, location);
        const std::string graph = field(42, field(66, "w") + field(106, entry)) +
                                  field(90, field(10, "x") + type) + field(98, field(10, "y") + type);
        const fs::path place = root_ / "acme/evil";
        fs::create_directories(place);
        std::ofstream(place / "net.onnx", std::ios::binary) << field(58, graph);
        const auto store = open(settings());
        EXPECT_EQ(store->manifests().size(), 1U);
        return store->acquire("upscale", "acme/evil").error();
    };
    std::ofstream(root_ / "secret") << "weights";
    for (const auto* location : {"../../secret", "/etc/hostname", "secret", "../evil/net.onnx"}) {
        const Error error = with_weights_at(location);
        EXPECT_EQ(error.code, Errc::kNotFound) << location;
        EXPECT_NE(error.message.find("weights elsewhere"), std::string::npos) << error.message;
    }
}

TEST_F(ModelStoreTest, BrokenDirectoriesAreListedNotFatal) {
    install("good");
    edit(install("typo"), "pipeline = \"upscale\"", "pipeline = 3");
    edit(install("liar"), "test/liar", "test/other");
    fs::create_directories(root_ / "test" / "empty");
    const auto store = open(settings());
    EXPECT_EQ(store->manifests().size(), 1U);
    ASSERT_EQ(store->problems().size(), 2U);
    EXPECT_EQ(store->problems()[0].error.field, "id");
    EXPECT_EQ(store->problems()[1].error.field, "pipeline");
    EXPECT_TRUE(store->acquire("upscale", "test/good"));
    EXPECT_EQ(store->acquire("upscale", "test/typo").error().code, Errc::kNotFound);
    EXPECT_EQ(store->acquire("captioning", "test/good").error().code, Errc::kNotFound);
    auto nowhere = settings();
    nowhere.directories.push_back(root_ / "nowhere");
    EXPECT_EQ(ModelStore::open(nowhere).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace framegrid::infer_onnx
