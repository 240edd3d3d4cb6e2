// Networks from picture to picture (super-resolution) as hubs have them: which tensors they take, and what
// only running them tells.
#pragma once

#include <memory>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

// A network that takes tiles of one size only gets tiles of that size, with as much context as fits.
void fit_tile(const api::TensorInfo& input, ImageSpec& spec);

// Completes what `manifest` says about its network with what the network declares, and, where that is a guess
// (ImageSpec::is_guess), runs it on small grey pictures to see by how much it enlarges and what sides must
// divide by. kUnprocessable, naming the tensor: not the network that the manifest describes, or one that does
// not enlarge by a whole number up to kImageScaleMax.
Result<void> fit_manifest(ModelManifest& manifest, api::TensorModel& network);

// The network as `manifest` describes it; checked as fit_manifest() does, but not run.
Result<std::unique_ptr<api::ImageModel>> make_image_model(
    const ModelManifest& manifest, std::unique_ptr<api::TensorModel> network
);

}  // namespace framegrid::engine
