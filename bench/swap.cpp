// How long does it take to put one large model in the place of another?
//   swap [SWAPS [LAYERS]]
// Two models with random weights of 64 MiB for each of LAYERS matrices, made in a temporary directory and
// read once, so that they lie in the page cache; memory for one of them. Measures the time until the network
// can be called, and until it has answered once, for networks as they come, as stored by `framegrid model
// optimize`, and those with weights that are only mapped (worker --map-weights). Exit status 1 when the 99th
// percentile of the last one's loads is over 50 ms.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/model_store.hpp>

namespace {

using namespace framegrid;
namespace fs = std::filesystem;

constexpr int kSide = 4096;
constexpr double kLoadMsMax = 50;

// The wire format of protocol buffers, as much of it as an ONNX file needs.
std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) {
        out += static_cast<char>(value | 0x80);
    }
    return out + static_cast<char>(value);
}
std::string number(int field, std::uint64_t value) {
    return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string& value) {
    return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}

// A tensor of floats [1, kSide] as input or output.
std::string value_info(const std::string& name) {
    const std::string shape = bytes(1, number(1, 1)) + bytes(1, number(1, kSide));
    return bytes(1, name) + bytes(2, bytes(1, number(1, 1) + bytes(2, shape)));
}

std::string entry(const std::string& key, const std::string& value) {
    return bytes(13, bytes(1, key) + bytes(2, value));
}

// y = x W0 W1 ..., with the weights in the file "weights".
std::string make_network(int layers) {
    constexpr std::int64_t kBytes = std::int64_t{kSide} * kSide * 4;
    std::string graph;
    for (int i = 0; i < layers; ++i) {
        const std::string weights = "w" + std::to_string(i);
        const std::string from = i == 0 ? "x" : "t" + std::to_string(i - 1);
        const std::string to = i == layers - 1 ? "y" : "t" + std::to_string(i);
        graph += bytes(1, bytes(1, from) + bytes(1, weights) + bytes(2, to) + bytes(4, "MatMul"));
        graph += bytes(
            5, number(1, kSide) + number(1, kSide) + number(2, 1) + bytes(8, weights) +
                   entry("location", "weights") + entry("offset", std::to_string(i * kBytes)) +
                   entry("length", std::to_string(kBytes)) + number(14, 1)
        );
    }
    graph += bytes(2, "g") + bytes(11, value_info("x")) + bytes(12, value_info("y"));
    return number(1, 8) + bytes(7, graph) + bytes(8, number(2, 17));
}

void write_weights(const fs::path& path, int layers, std::uint64_t seed) {
    std::ofstream file(path, std::ios::binary);
    std::vector<float> row(std::size_t{kSide} * 256);
    for (int i = 0; i < layers * kSide / 256; ++i) {
        for (float& value : row) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            value = (static_cast<float>(seed >> 40) / static_cast<float>(1 << 24) - 0.5F) / 32;
        }
        file.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * 4));
    }
}

Result<void> make_model(const fs::path& root, const std::string& id, int layers, std::uint64_t seed) {
    const fs::path place = root / id;
    fs::create_directories(place);
    std::ofstream(place / "model.onnx", std::ios::binary) << make_network(layers);
    write_weights(place / "weights", layers, seed);
    engine::ModelManifest manifest;
    manifest.id = id;
    manifest.pipelines = {"frame-interpolation"};  // the one whose networks may look like this
    manifest.layout = engine::ModelLayout::kInterpolation;
    manifest.description = "random";
    manifest.licence = "CC0-1.0";
    manifest.memory_bytes = std::int64_t{1} << 30;
    manifest.format = "onnx";
    manifest.file = "model.onnx";
    manifest.files = {{"model.onnx", 0, ""}, {"weights", 0, ""}};
    FG_CHECK(infer_onnx::pin_files(place, manifest));
    std::ofstream(place / "model.toml") << engine::format_manifest(manifest);
    return {};
}

double ms_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

struct Times {
    std::vector<double> load_ms;
    std::vector<double> answer_ms;  // loading included
};

Result<Times> swap_models(const fs::path& root, int swaps, bool prepack) {
    infer_onnx::ModelStoreSettings settings;
    settings.directories = {root};
    settings.memory_bytes = (std::int64_t{1} << 30) + 1;
    settings.onnx.provider = "cpu";
    settings.onnx.prepack = prepack;
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    const api::Tensor input{{1, kSide}, std::vector<float>(kSide, 0.5F)};
    const api::NamedTensor named{"x", &input};
    Times times;
    for (int i = -2; i < swaps; ++i) {  // the first two compare the files with their digests
        const auto began = std::chrono::steady_clock::now();
        FG_TRY(lease, store->acquire("frame-interpolation", i % 2 == 0 ? "bench/a" : "bench/b"));
        FG_TRY(network, lease->network(std::string(engine::kOnlyNetwork)));
        const double loaded = ms_since(began);
        FG_TRY(answer, network->run({&named, 1}));
        (void)answer;
        if (i >= 0) {
            times.load_ms.push_back(loaded);
            times.answer_ms.push_back(ms_since(began));
        }
    }
    return times;
}

double percentile(std::vector<double> values, double share) {
    std::ranges::sort(values);
    return values[std::min(
        values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size()))
    )];
}

std::string figures(const std::string& name, const Times& times) {
    char out[256];
    std::snprintf(
        out, sizeof out,
        "\"%s\":{\"load_p50_ms\":%.1f,\"load_p99_ms\":%.1f,\"answer_p50_ms\":%.1f,\"answer_p99_ms\":%.1f}",
        name.c_str(), percentile(times.load_ms, 0.5), percentile(times.load_ms, 0.99),
        percentile(times.answer_ms, 0.5), percentile(times.answer_ms, 0.99)
    );
    return out;
}

Result<double> measure(const fs::path& root, int swaps, int layers) {
    FG_CHECK(make_model(root, "bench/a", layers, 0x9e3779b97f4a7c15));
    FG_CHECK(make_model(root, "bench/b", layers, 0xbf58476d1ce4e5b9));
    FG_TRY(plain, swap_models(root, std::max(1, swaps / 10), true));
    {
        infer_onnx::ModelStoreSettings settings;
        settings.directories = {root};
        settings.onnx.provider = "cpu";
        FG_TRY(store, infer_onnx::ModelStore::open(settings));
        for (const char* id : {"bench/a", "bench/b"}) {
            FG_TRY(stored, store->store_graphs(id));
            (void)stored;
        }
    }
    FG_TRY(stored, swap_models(root, std::max(1, swaps / 10), true));
    FG_TRY(mapped, swap_models(root, swaps, false));
    const double p99 = percentile(mapped.load_ms, 0.99);
    std::printf(
        "{\"bench\":\"swap\",\"model_mb\":%d,\"swaps\":%d,%s,%s,%s,\"bar\":\"mapped: load p99 <= 50 ms\","
        "\"passed\":%s}\n",
        layers * 64, swaps, figures("plain", plain).c_str(), figures("stored", stored).c_str(),
        figures("mapped", mapped).c_str(), p99 <= kLoadMsMax ? "true" : "false"
    );
    return p99;
}

}  // namespace

int main(int argc, char** argv) {
    std::string root = (fs::temp_directory_path() / "framegrid-swap-XXXXXX").string();
    if (::mkdtemp(root.data()) == nullptr) {
        std::perror("swap: no temporary directory");
        return 1;
    }
    const auto p99 = measure(root, argc > 1 ? std::atoi(argv[1]) : 50, argc > 2 ? std::atoi(argv[2]) : 16);
    std::error_code ignored;
    fs::remove_all(root, ignored);
    if (!p99) {
        std::fprintf(stderr, "%s\n", p99.error().message.c_str());
        return 1;
    }
    return *p99 <= kLoadMsMax ? 0 : 1;
}
