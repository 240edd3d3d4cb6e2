// Port: the models that this process can run.
#pragma once

#include <any>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

// The name of the only network of a model.
inline constexpr std::string_view kOnlyNetwork = "network";

// A loaded model. While one of these lives, the model stays loaded.
class ModelLease {
  public:
    virtual ~ModelLease() = default;
    virtual const ModelManifest& manifest() const = 0;
    // model_digest() of the files that were loaded.
    virtual const std::string& digest() const = 0;
    // The network of a model of layout kImage.
    virtual api::ImageModel& model() = 0;
    // One of several: "unet" for unet/model.onnx or unet.onnx; "network" is that of layout kInterpolation.
    // Loaded when it is first asked for, and belongs to the model. kNotFound: the model has none of that
    // name.
    virtual Result<api::TensorModel*> network(const std::string& name) = 0;
    // These will be asked for: they may be loaded side by side. What cannot be loaded is told by network().
    virtual void expect_networks(const std::vector<std::string>& /*names*/) {}
    // A file of the directory that is no network: configurations, vocabularies. kNotFound: it is not listed.
    virtual Result<Blob> file(const std::string& path) = 0;
    // What a pipeline keeps with the loaded model: its parsed configuration. Empty at first.
    virtual std::any& memo() = 0;
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
