// The model directories of this machine, and the models that are loaded now.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <framegrid/api/model_use.hpp>
#include <framegrid/engine/model_source.hpp>
#include <framegrid/engine/residency.hpp>
#include <framegrid/infer_onnx/onnx_model.hpp>

namespace framegrid::infer_onnx {

struct ModelStoreSettings {
    // Searched in order for <organisation>/<name>/, with a model.toml or in a layout that is known; the first
    // directory that has an id wins.
    std::vector<std::filesystem::path> directories{};
    std::int64_t memory_bytes = std::int64_t{4}
                                << 30;         // limit over all loaded models, as their manifests state
    std::vector<std::string> warm{};           // ids that stay loaded once loaded
    Duration idle = std::chrono::minutes(10);  // unused for so long: unloaded at the next opportunity
    OnnxSettings onnx{};
    std::function<TimePoint()> now{};  // absent: the machine's monotonic clock
};

// A model directory that is not usable, and why.
struct ModelProblem {
    std::filesystem::path directory;
    Error error;
};

// Thread-safe. A lease must not outlive its store, and its model may be used by one thread at a time; two
// leases of one model share it.
// The state that a file (or a stored graph's directory) had when it was compared with its digest: reading a
// large one for that takes longer than mapping it again. At most one for each file of a model. Thread-safe.
class VerifiedFiles {
  public:
    // Whether it was whole in that state. An empty state never was.
    bool is(const std::filesystem::path& path, const std::string& state) const;
    void set(const std::filesystem::path& path, std::string state);

  private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string> states_;
};

class ModelStore : public engine::ModelSource {
  public:
    // Reads the manifests (no network is loaded yet). Broken model directories are skipped and listed in
    // problems(). kNotFound: a directory of the settings does not exist.
    static Result<std::unique_ptr<ModelStore>> open(ModelStoreSettings settings);
    ~ModelStore() override;

    Result<std::unique_ptr<engine::ModelLease>> acquire(
        const std::string& pipeline, const std::string& model_id
    ) override;
    std::vector<engine::ModelManifest> manifests() const override;

    // Loads ONNX Runtime now and not with the first model. Errors as OnnxRuntime::open().
    Result<void> prepare();
    // Loads the models of settings.warm. The first failure is returned; the others are loaded all the same.
    Result<void> warm_up();
    // Where a known model's files are; asserted to be known.
    const std::filesystem::path& directory_of(const std::string& id) const;
    const std::vector<ModelProblem>& problems() const { return problems_; }
    std::vector<std::string> loaded() const;  // ids, by name
    // What networks run on, an execution provider; empty until one was loaded.
    std::string device() const;
    // What was done with each model that was ever wanted, by id. Does not wait while one is being loaded.
    std::vector<api::ModelUse> use() const;

    // Optimises the model's networks and keeps the result in its directory, where later loads find it
    // (stored_graph.hpp); those that are there and whole stay. Returns how many were made. Blocking, and not
    // for a process that was told not to write. kIo: the directory cannot be written to; kUnsupported: not
    // with this provider.
    Result<int> store_graphs(const std::string& id);

  private:
    class Lease;
    struct Loaded;
    struct Known {
        engine::ModelManifest manifest;
        std::filesystem::path directory;
        std::shared_ptr<Loaded> loaded;  // null: not loaded
    };

    explicit ModelStore(ModelStoreSettings settings);
    void scan(const std::filesystem::path& directory);
    void add(const std::filesystem::path& directory, const std::string& id);
    Result<void> load(Known& known);
    Result<std::shared_ptr<Loaded>> load_files(Known& known);
    struct Source {
        Blob bytes;
        bool has_weights_elsewhere = false;
    };
    Result<Blob> read_checked(const Known& known, const std::string& path);
    Result<Source> read_source(const Known& known, const std::string& path);
    std::unique_ptr<api::TensorModel> open_stored(const Known& known, const std::string& path);
    Result<std::unique_ptr<api::TensorModel>> open_network(const Known& known, const std::string& path);
    Result<std::unique_ptr<api::TensorModel>> load_network(const Known& known, const std::string& path);
    template <class Change>
    void note(const std::string& id, Change change);
    Result<bool> store_graph(const Known& known, const std::string& path);
    // In the empty directory `growing`, which becomes `place`.
    Result<void> grow_graph(
        const Known& known, const std::string& path, const std::filesystem::path& growing,
        const std::filesystem::path& place
    );
    static Result<std::string> path_of(const Known& known, const std::string& name);
    Result<api::TensorModel*> network(const Known& known, Loaded& loaded, const std::string& name);
    void load_side_by_side(const Known& known, Loaded& loaded, const std::vector<std::string>& names);
    Result<void> open_runtime();
    void unload(const std::vector<std::string>& ids, std::uint64_t api::ModelUse::* cause);
    void release(const std::string& id);

    ModelStoreSettings settings_;
    std::vector<ModelProblem> problems_;
    mutable std::mutex mutex_;
    std::unique_ptr<OnnxRuntime> runtime_;  // null until a model is loaded; outlives models_
    std::map<std::string, Known> models_;   // the keys never change after open()
    engine::Residency residency_;
    VerifiedFiles verified_;
    mutable std::mutex counting_;  // taken last
    std::map<std::string, api::ModelUse> uses_;
};

}  // namespace framegrid::infer_onnx
