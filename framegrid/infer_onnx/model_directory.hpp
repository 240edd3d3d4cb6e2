// Private: the files of a model directory.
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

}  // namespace framegrid::infer_onnx
