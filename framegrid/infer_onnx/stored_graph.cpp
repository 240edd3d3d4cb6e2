#include <framegrid/infer_onnx/stored_graph.hpp>

#include <algorithm>
#include <array>
#include <fstream>

#if defined(__x86_64__)
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/onnx_graph/simplify.hpp>

namespace framegrid::infer_onnx {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDigests = "digests";
constexpr std::int64_t kDigestsBytesMax = 4096;
constexpr const char* kNotSimplified = "graph.onnx.before";
constexpr std::size_t kKeyDigits = 16;
constexpr std::array<const char*, 2> kFiles{kStoredGraph, kStoredWeights};

// Kernels are chosen by what the processor can do, and so is the order of the weights.
std::string processor() {
    std::string out;
#if defined(__x86_64__)
    for (const auto& [leaf, sub_leaf] : {std::pair{1U, 0U}, {7U, 0U}, {7U, 1U}}) {
        unsigned a = 0;
        unsigned b = 0;
        unsigned c = 0;
        unsigned d = 0;
        ::__get_cpuid_count(leaf, sub_leaf, &a, &b, &c, &d);
        if (leaf == 1) {
            b = 0;  // which of the processors this is
        }
        for (const unsigned part : {a, b, c, d}) {
            out += std::to_string(part) + ".";
        }
    }
#else
    out = std::to_string(::getauxval(AT_HWCAP)) + "." + std::to_string(::getauxval(AT_HWCAP2));
#endif
    return out;
}

std::string key_of(const std::string& text) {
    return crypto::hex(crypto::sha256(as_bytes(text))).substr(0, kKeyDigits);
}

// Absent: kStoredWeights of a network that has nothing large enough.
Result<std::string> digest_of(const fs::path& place, const char* name) {
    auto bytes = ModelDirectory(place).read(name, engine::kModelFileBytesMax);
    if (!bytes) {
        return bytes.error().code == Errc::kNotFound ? Result<std::string>("none")
                                                     : fail(std::move(bytes.error()));
    }
    return crypto::hex(crypto::sha256(bytes->view()));
}

Result<std::string> digests_of(const fs::path& place) {
    std::string out;
    for (const char* name : kFiles) {
        FG_TRY(digest, digest_of(place, name));
        out += digest + " " + name + "\n";
    }
    return out;
}

}  // namespace

std::string processor_environment(const std::string& library) {
    return key_of("framegrid graph 2\n" + library + "\n" + processor());
}

fs::path stored_graph_place(
    const engine::ModelManifest& manifest, const std::string& path, const std::string& environment
) {
    // Weights may lie in other files of the network's directory.
    const auto folder = fs::path(path).parent_path();
    std::vector<std::string> lines;
    for (const auto& file : manifest.files) {
        if (fs::path(file.path).parent_path() == folder) {
            lines.push_back(file.sha256 + " " + file.path + "\n");
        }
    }
    std::ranges::sort(lines);
    std::string source = path + "\n";
    for (const auto& line : lines) {
        source += line;
    }
    std::string name = path;
    std::ranges::replace(name, '/', '.');
    return fs::path(".optimized") / name / (key_of(source) + "-" + environment);
}

bool has_stored_graph(const fs::path& place) {
    std::error_code ignored;
    return fs::exists(place / kDigests, ignored);
}

std::string stored_graph_state(const fs::path& place) {
    std::string out = file_state(place / kDigests);
    for (const char* name : kFiles) {
        out += " " + file_state(place / name);
    }
    return out;
}

Result<void> verify_stored_graph(const fs::path& place) {
    FG_TRY(stated, ModelDirectory(place).read(kDigests, kDigestsBytesMax));
    FG_TRY(found, digests_of(place));
    if (stated.text() != found) {
        return fail(Errc::kUnprocessable, place.string() + " was changed since it was stored");
    }
    return {};
}

Result<void> simplify_stored_graph(const fs::path& growing) {
    FG_TRY(graph, ModelDirectory(growing).read(kStoredGraph, engine::kModelFileBytesMax));
    FG_TRY(simplified, onnx_graph::simplify(graph.view()));
    std::error_code error;
    fs::rename(growing / kStoredGraph, growing / kNotSimplified, error);
    std::ofstream file(growing / kStoredGraph, std::ios::binary | std::ios::trunc);
    file << simplified.onnx;
    file.close();
    if (error || !file) {
        return fail(Errc::kIo, "cannot write " + (growing / kStoredGraph).string());
    }
    return {};
}

Result<void> undo_simplified_graph(const fs::path& growing) {
    std::error_code error;
    fs::rename(growing / kNotSimplified, growing / kStoredGraph, error);
    if (error) {
        return fail(Errc::kIo, "cannot write " + (growing / kStoredGraph).string() + ": " + error.message());
    }
    return {};
}

Result<void> keep_stored_graph(const fs::path& growing, const fs::path& place) {
    FG_TRY(digests, digests_of(growing));
    std::ofstream file(growing / kDigests, std::ios::binary | std::ios::trunc);
    file << digests;
    file.close();
    if (!file) {
        return fail(Errc::kIo, "cannot write " + (growing / kDigests).string());
    }
    std::error_code error;
    fs::remove(growing / kNotSimplified, error);
    fs::create_directories(place.parent_path(), error);
    // Machines of other kinds may share the directory: only what is of another state of the network is old.
    const std::string source = place.filename().string().substr(0, kKeyDigits);
    std::vector<fs::path> old{place};
    for (const auto& entry : fs::directory_iterator(place.parent_path(), error)) {
        if (!entry.path().filename().string().starts_with(source)) {
            old.push_back(entry.path());
        }
    }
    for (const auto& path : old) {
        fs::remove_all(path, error);
    }
    fs::rename(growing, place, error);
    if (error) {
        return fail(Errc::kIo, "cannot put " + place.string() + " in place: " + error.message());
    }
    return {};
}

}  // namespace framegrid::infer_onnx
