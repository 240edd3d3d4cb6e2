// Model directories as people have them, without a manifest of ours: exports of model hubs, single ONNX
// files.
#pragma once

#include <string>
#include <vector>

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

// The same for one network in one file, told apart by its inputs: a picture and nothing else enlarges; two
// pictures, with or without a time, interpolate. `scale`: by how much an enlarging network was seen to
// enlarge.
Result<ModelManifest> describe_single(
    const std::string& id, const FoundFile& network, const std::vector<std::string>& inputs,
    const std::vector<std::string>& outputs, int scale
);

}  // namespace framegrid::engine
