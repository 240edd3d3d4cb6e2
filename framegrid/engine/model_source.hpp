// Port: the models that this process can run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

// A loaded model. While one of these lives, the model stays loaded.
class ModelLease {
  public:
    virtual ~ModelLease() = default;
    virtual api::ImageModel& model() = 0;
    virtual const ModelManifest& manifest() const = 0;
};

class ModelSource {
  public:
    virtual ~ModelSource() = default;
    // Loads the model if it is not loaded. kNotFound: no such model for that pipeline; kCapacity: no memory
    // for it now; kUnprocessable: its files are damaged or not a network.
    virtual Result<std::unique_ptr<ModelLease>> acquire(
        const std::string& pipeline, const std::string& model_id
    ) = 0;
    // Every model that acquire() knows, by id.
    virtual std::vector<ModelManifest> manifests() const = 0;
};

}  // namespace framegrid::engine
