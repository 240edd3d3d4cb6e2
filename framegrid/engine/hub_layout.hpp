// Model directories as people have them, without a manifest of ours: exports of model hubs, single ONNX
// files.
#pragma once

#include <string>
#include <vector>

#include <framegrid/api/tensor_model.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

// A file that a directory was found to have.
struct FoundFile {
    std::string path;  // relative, '/' between parts
    std::int64_t bytes = 0;
};

// Whether a pipeline reads this file of a diffusers export: networks, weights beside them, configurations,
// vocabularies; not other formats of the weights, pictures or notes.
bool is_pipeline_file(std::string_view path);

// The manifest that such a directory would have; digests are empty. `model_index` holds the bytes of
// model_index.json of a diffusers export, which names its pipeline. Files that no pipeline uses (other
// formats of the weights, pictures, notes) are left out. kUnsupported: a pipeline that does not run here;
// kUnprocessable: a broken index, or networks missing.
Result<ModelManifest> describe_diffusers(
    const std::string& id, std::string_view model_index, const std::vector<FoundFile>& files
);

// The file that a directory (or a repository) without model_index.json runs: its only ONNX file, or
// model.onnx, or onnx/model.onnx. kNotFound: there is none; kUnsupported: several, and none of them is called
// so.
Result<std::string> choose_network(const std::vector<std::string>& paths);

// Whether a file belongs to the network `network`: weights beside it, and the configurations of a hub's
// export (config.json, preprocessor_config.json).
bool is_beside(std::string_view network, std::string_view path);

// One network in one file, and what a hub's export has beside it.
struct SingleNetwork {
    FoundFile file;
    std::vector<FoundFile> weights;  // that the file reads its weights from
    std::vector<api::TensorInfo> inputs;
    std::vector<api::TensorInfo> outputs;
    std::string config{};        // bytes of config.json; empty: there is none
    std::string preprocessor{};  // bytes of preprocessor_config.json
};

// The manifest that such a network would have, told apart by its tensors: a picture in and a picture out
// enlarges, two pictures, with or without a time, interpolate. By how much it enlarges is said by
// config.json, or by sizes that the network takes and gives, or guessed by its name ("x4", "4x"); a guess is
// to be measured (image_network.hpp). kUnsupported, naming the tensors: neither; kUnprocessable: a broken
// configuration.
Result<ModelManifest> describe_single(const std::string& id, const SingleNetwork& network);

// What a name says about by how much a network enlarges ("RealESRGAN_x4plus": 4); 0: nothing.
int scale_of_name(std::string_view name);

}  // namespace framegrid::engine
