// Every network of the fixtures and of the models that are shipped: what is left of it when onnx_graph has
// simplified it must answer the same, to the last bit, whatever the sizes are.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <variant>

#include <gtest/gtest.h>

#include <framegrid/infer_onnx/noise_for_test.hpp>
#include <framegrid/infer_onnx/onnx_model.hpp>
#include <framegrid/infer_onnx/stored_graph.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

// What a network leaves open: rows, the sides of pictures, words.
struct Sizes {
    std::int64_t rows = 1;
    std::int64_t side = 1;
    std::int64_t words = 1;
};

// An enlarging network's picture whose channels were exported as open, too.
bool is_open(const std::vector<std::int64_t>& shape) {
    return shape.size() == 4 && std::ranges::all_of(shape, [](std::int64_t size) { return size < 0; });
}

api::Tensor tensor_for(const api::TensorInfo& info, const Sizes& sizes) {
    api::Tensor tensor;
    std::size_t size = 1;
    const bool all_open = is_open(info.shape);
    for (std::size_t i = 0; i < info.shape.size(); ++i) {
        const std::int64_t open = i == 0                  ? sizes.rows
                                  : info.shape.size() < 4 ? sizes.words
                                  : all_open && i == 1    ? 3
                                                          : sizes.side;
        tensor.shape.push_back(info.shape[i] >= 0 ? info.shape[i] : open);
        size *= static_cast<std::size_t>(tensor.shape.back());
    }
    if (info.is_float) {
        tensor.values = noise(size, 7);
    } else {
        tensor.values = std::vector<std::int64_t>(size, 3);
    }
    return tensor;
}

Result<std::vector<api::Tensor>> answer(api::TensorModel& network, const Sizes& sizes) {
    std::vector<api::Tensor> tensors;
    std::vector<api::NamedTensor> inputs;
    for (const auto& info : network.inputs()) {
        tensors.push_back(tensor_for(info, sizes));
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        inputs.push_back({network.inputs()[i].name, &tensors[i]});
    }
    return network.run(inputs);
}

// Not their latents, which are an eighth of them: attention to those of this size takes gigabytes.
constexpr std::int64_t kLatentSideMax = 32;

bool takes_pictures(const api::TensorModel& network) {
    const auto& shape = network.inputs().front().shape;
    return shape.size() == 4 && (shape[1] == 3 || shape[3] == 3 || is_open(shape));
}

std::vector<fs::path> networks() {
    std::vector<fs::path> out;
    for (const char* root : {FG_DIFFUSION_FIXTURES, FG_HUB_FIXTURES, FG_MODELS_DIR}) {
        for (const auto& entry : fs::recursive_directory_iterator(root)) {
            if (entry.path().extension() == ".onnx" && entry.path().filename() != kStoredGraph) {
                out.push_back(entry.path());
            }
        }
    }
    std::ranges::sort(out);
    return out;
}

bool same_bits(const api::Tensor& a, const api::Tensor& b) {
    if (a.values.index() != b.values.index()) {
        return false;
    }
    return std::visit(
        [&b](const auto& values) {
            const auto& other = std::get<std::remove_cvref_t<decltype(values)>>(b.values);
            return values.size() == other.size() &&
                   std::memcmp(values.data(), other.data(), values.size() * sizeof(values[0])) == 0;
        },
        a.values
    );
}

// Of how many sizes both answered. A network may refuse some: then both must.
int compare(OnnxRuntime& runtime, const fs::path& path, const fs::path& place) {
    EXPECT_TRUE(runtime.store_graph(path, path, place)) << path;
    const auto before = runtime.load_stored_graph("before", place);
    EXPECT_TRUE(simplify_stored_graph(place)) << path;
    const auto after = runtime.load_stored_graph("after", place);
    EXPECT_TRUE(before && after) << path << ": " << (after ? "" : after.error().message);
    if (!before || !after) {
        return 0;
    }
    int answered = 0;
    for (const Sizes sizes : {Sizes{1, 32, 77}, {2, 16, 77}, {1, 1, 1}, {3, 8, 9}, {1, 64, 40}}) {
        if (sizes.side > kLatentSideMax && !takes_pictures(**before)) {
            continue;
        }
        const auto wanted = answer(**before, sizes);
        const auto got = answer(**after, sizes);
        EXPECT_EQ(wanted.has_value(), got.has_value())
            << path << " " << sizes.side << ": " << (got ? wanted.error().message : got.error().message);
        if (!wanted || !got) {
            continue;
        }
        ++answered;
        EXPECT_EQ(wanted->size(), got->size());
        for (std::size_t i = 0; i < wanted->size(); ++i) {
            EXPECT_EQ((*wanted)[i].shape, (*got)[i].shape) << path;
            EXPECT_TRUE(same_bits((*wanted)[i], (*got)[i])) << path << " " << sizes.side;
        }
    }
    return answered;
}

TEST(SimplifiedNetworksTest, AnswerTheSameToTheLastBit) {
    auto runtime = OnnxRuntime::open({.threads = 1, .provider = "cpu"});
    ASSERT_TRUE(runtime) << runtime.error().message;
    const fs::path place = fs::path(::testing::TempDir()) / "framegrid_simplified";
    const auto all = networks();
    ASSERT_GE(all.size(), 30U);
    for (const auto& path : all) {
        fs::remove_all(place);
        fs::create_directories(place);
        EXPECT_GT(compare(**runtime, path, place), 0) << path;
    }
    fs::remove_all(place);
}

}  // namespace
}  // namespace framegrid::infer_onnx
