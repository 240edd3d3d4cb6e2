// Model directories on disk: what they hold, checking it, and putting new ones in place.
#pragma once

#include <filesystem>

#include <framegrid/engine/manifest.hpp>

namespace framegrid::infer_onnx {

// Links are followed: who may write there decides what runs anyway. Large files are mapped, not read.
class ModelDirectory : public engine::FileReader {
  public:
    explicit ModelDirectory(std::filesystem::path directory) : directory_(std::move(directory)) {}
    Result<Blob> read(const std::string& path, std::int64_t bytes_max) override;

  private:
    std::filesystem::path directory_;
};

// What changes whenever a file does, in text: where it is, its size, and when it was written to or otherwise
// touched, which nobody can set back. Empty: no file.
std::string file_state(const std::filesystem::path& path);

// Whether a directory without a manifest is in a layout that is known.
bool looks_like_model(const std::filesystem::path& directory);

// Its manifest, or what it would be (engine/hub_layout.hpp) under the id `id`.
Result<engine::ModelManifest> describe_directory(
    const std::filesystem::path& directory, const std::string& id
);

// Fills in sizes and digests that the manifest does not state: what is there now counts from now on. Reads
// every such file.
Result<void> pin_files(const std::filesystem::path& directory, engine::ModelManifest& manifest);

// Reads every file and compares it with the manifest. The first that differs: kUnprocessable or kNotFound.
Result<void> verify_files(const std::filesystem::path& directory, const engine::ModelManifest& manifest);

// Puts the model in `source` in place as root/<id>, with a manifest that states every digest. `keep`:
// `source` is somebody's own directory, or their ONNX file; what belongs to the model is copied (hard-linked
// where that works). Else the directory is moved. kInvalidArgument: a bad id, or one that is taken.
Result<engine::ModelManifest> install_model(
    const std::filesystem::path& source, const std::filesystem::path& root, const std::string& id, bool keep
);

// Where an installation of `id` grows, beside the finished ones. Not created.
std::filesystem::path incomplete_directory(const std::filesystem::path& root, const std::string& id);

}  // namespace framegrid::infer_onnx
