#include <framegrid/infer_onnx/model_store.hpp>

#include <chrono>
#include <thread>

#include <malloc.h>
#include <unistd.h>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/image_network.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/onnx_file.hpp>
#include <framegrid/infer_onnx/stored_graph.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kModelsMax = 1000;

// Names of the sub-directories, sorted, so that every run sees the same order.
std::vector<std::string> sub_directories(const fs::path& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
        std::error_code ignored;
        const std::string name = it->path().filename().string();
        if (!name.starts_with('.') && it->is_directory(ignored)) {  // hidden: downloads that are not finished
            names.push_back(name);
        }
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace

struct ModelStore::Loaded {
    std::unique_ptr<api::ImageModel> image;
    std::map<std::string, std::unique_ptr<api::TensorModel>> networks;  // loaded so far
    std::map<std::string, Blob> files;                                  // read so far
    std::string digest;
    std::any memo;
};

class ModelStore::Lease : public engine::ModelLease {
  public:
    Lease(ModelStore& store, const Known& known) : store_(store), known_(known), loaded_(known.loaded) {}
    ~Lease() override {
        loaded_.reset();
        store_.release(known_.manifest.id);
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    const engine::ModelManifest& manifest() const override { return known_.manifest; }
    const std::string& digest() const override { return loaded_->digest; }
    api::ImageModel& model() override {
        FG_ASSERT(loaded_->image != nullptr);
        return *loaded_->image;
    }
    Result<api::TensorModel*> network(const std::string& name) override {
        return store_.network(known_, *loaded_, name);
    }
    void expect_networks(const std::vector<std::string>& names) override {
        store_.load_side_by_side(known_, *loaded_, names);
    }
    Result<Blob> file(const std::string& path) override {
        const auto at = loaded_->files.find(path);
        if (at != loaded_->files.end()) {
            return at->second;
        }
        ModelDirectory files(known_.directory);
        FG_TRY(bytes, engine::read_model_file(known_.manifest, path, files));
        loaded_->files.emplace(path, bytes);
        return bytes;
    }
    std::any& memo() override { return loaded_->memo; }

  private:
    ModelStore& store_;
    const Known& known_;
    std::shared_ptr<Loaded> loaded_;
};

bool VerifiedFiles::is(const fs::path& path, const std::string& state) const {
    const std::lock_guard lock(mutex_);
    const auto at = states_.find(path.string());
    return at != states_.end() && !state.empty() && at->second == state;
}

void VerifiedFiles::set(const fs::path& path, std::string state) {
    const std::lock_guard lock(mutex_);
    states_[path.string()] = std::move(state);
}

ModelStore::ModelStore(ModelStoreSettings settings)
    : settings_(std::move(settings)), residency_(settings_.memory_bytes) {}

ModelStore::~ModelStore() = default;

Result<std::unique_ptr<ModelStore>> ModelStore::open(ModelStoreSettings settings) {
    if (!settings.now) {
        settings.now = host::steady_now;
    }
    FG_CHECK(OnnxRuntime::check(settings.onnx));
    std::unique_ptr<ModelStore> store(new ModelStore(std::move(settings)));
    for (const fs::path& directory : store->settings_.directories) {
        std::error_code error;
        if (!fs::is_directory(directory, error)) {
            return fail(
                Errc::kNotFound, "model directory " + printable(directory.string()) + " does not exist"
            );
        }
        store->scan(directory);
    }
    return store;
}

void ModelStore::scan(const fs::path& directory) {
    for (const auto& organisation : sub_directories(directory)) {
        for (const auto& name : sub_directories(directory / organisation)) {
            const fs::path id = fs::path(organisation) / name;
            const fs::path place = directory / id;
            std::error_code error;
            if (fs::exists(place / "model.toml", error) || looks_like_model(place)) {
                add(place, id.string());
            }
        }
    }
}

void ModelStore::add(const fs::path& directory, const std::string& id) {
    const auto problem = [&](Error error) {
        if (problems_.size() < kModelsMax) {
            problems_.push_back({directory, std::move(error)});
        }
    };
    if (models_.contains(id)) {
        return problem(make_error(Errc::kInvalidArgument, "another directory has the model " + printable(id))
        );
    }
    if (models_.size() >= kModelsMax) {
        return problem(make_error(Errc::kTooLarge, "over " + std::to_string(kModelsMax) + " models"));
    }
    auto manifest = describe_directory(directory, id);
    if (!manifest) {
        return problem(std::move(manifest.error()));
    }
    if (manifest->id != id) {
        return problem(make_error(
            Errc::kInvalidArgument,
            "model manifest: id is " + manifest->id + ", the directory says " + printable(id), "id"
        ));
    }
    models_.emplace(id, Known{.manifest = std::move(*manifest), .directory = directory, .loaded = nullptr});
}

Result<void> ModelStore::open_runtime() {
    if (!runtime_) {
        FG_TRY(runtime, OnnxRuntime::open(settings_.onnx));
        runtime_ = std::move(runtime);
    }
    return {};
}

Result<Blob> ModelStore::read_checked(const Known& known, const std::string& path) {
    ModelDirectory files(known.directory);
    const fs::path place = known.directory / path;
    const auto listed = std::ranges::find(known.manifest.files, path, &engine::ModelFile::path);
    std::string state = file_state(place);
    if (listed != known.manifest.files.end() && !state.empty()) {
        state += listed->sha256;
        if (verified_.is(place, state)) {
            return files.read(path, engine::kModelFileBytesMax);
        }
    }
    FG_TRY(bytes, engine::read_model_file(known.manifest, path, files));
    if (file_state(place) + listed->sha256 == state) {
        verified_.set(place, std::move(state));
    }
    return bytes;
}

// Its bytes and, if it has weights in other files, those are checked too: they must be files of this model,
// beside their network, as ONNX Runtime would read any path.
Result<ModelStore::Source> ModelStore::read_source(const Known& known, const std::string& path) {
    const std::string what = "model " + known.manifest.id + ": " + path;
    FG_TRY(bytes, read_checked(known, path));
    auto summary = scan_onnx(bytes.view());
    if (!summary) {
        return fail(std::move(summary.error()).with_context(what));
    }
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
    for (const auto& location : summary->external) {
        auto weights = read_checked(known, folder + location);
        if (!weights) {
            return fail(Error(std::move(weights.error())).with_context(what + " has weights elsewhere"));
        }
    }
    return Source{std::move(bytes), !summary->external.empty()};
}

// Null: there is none that can be used.
std::unique_ptr<api::TensorModel> ModelStore::open_stored(const Known& known, const std::string& path) {
    if (runtime_->graph_environment().empty()) {
        return nullptr;
    }
    const fs::path place =
        known.directory / stored_graph_place(known.manifest, path, runtime_->graph_environment());
    if (!has_stored_graph(place)) {
        return nullptr;
    }
    const std::string state = stored_graph_state(place);
    const bool unchanged = verified_.is(place, state);
    // Reading the weights for their digest takes as long as making the session, which reads few of them.
    Result<void> good;
    std::jthread verifying([&place, &good, unchanged] {
        good = unchanged ? Result<void>() : verify_stored_graph(place);
    });
    auto network = runtime_->load_stored_graph("model " + known.manifest.id + ": " + path, place);
    verifying.join();
    verified_.set(place, good && stored_graph_state(place) == state ? state : std::string());
    if (good && network) {
        return std::move(*network);
    }
    settings_.onnx.log.warn(
        "infer.stored_graph_ignored",
        {{"model", known.manifest.id}, {"why", good ? network.error().message : good.error().message}}
    );
    return nullptr;
}

Result<std::unique_ptr<api::TensorModel>> ModelStore::open_network(
    const Known& known, const std::string& path
) {
    if (auto stored = open_stored(known, path)) {
        return stored;
    }
    FG_TRY(source, read_source(known, path));
    const std::string what = "model " + known.manifest.id + ": " + path;
    return source.has_weights_elsewhere ? runtime_->load_file(what, (known.directory / path).string())
                                        : runtime_->load(what, source.bytes.view());
}

Result<bool> ModelStore::store_graph(const Known& known, const std::string& path) {
    const fs::path place =
        known.directory / stored_graph_place(known.manifest, path, runtime_->graph_environment());
    if (has_stored_graph(place) && verify_stored_graph(place)) {
        return false;
    }
    FG_TRY(source, read_source(known, path));
    const fs::path growing = known.directory / ".optimized" / (".growing-" + std::to_string(::getpid()));
    std::error_code error;
    fs::remove_all(growing, error);
    fs::create_directories(growing, error);
    if (error) {
        return fail(Errc::kIo, "cannot write to " + known.directory.string() + ": " + error.message());
    }
    const auto done = grow_graph(known, path, growing, place);
    fs::remove_all(growing, error);
    if (!done) {
        return fail(Error(done.error()));
    }
    return true;
}

Result<void> ModelStore::grow_graph(
    const Known& known, const std::string& path, const fs::path& growing, const fs::path& place
) {
    const std::string what = "model " + known.manifest.id + ": " + path;
    FG_CHECK(runtime_->store_graph(what, (known.directory / path).string(), growing));
    FG_CHECK(simplify_stored_graph(growing));
    auto readable = runtime_->load_stored_graph(what, growing);
    if (!readable) {
        settings_.onnx.log.warn(
            "infer.simplified_refused", {{"network", what}, {"error", readable.error().message}}
        );
        FG_CHECK(undo_simplified_graph(growing));
        readable = runtime_->load_stored_graph(what, growing);
    }
    if (!readable) {
        return fail(Error(readable.error()));
    }
    return keep_stored_graph(growing, place);
}

Result<int> ModelStore::store_graphs(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto at = models_.find(id);
    if (at == models_.end()) {
        return fail(Errc::kNotFound, "no model " + printable(id), "id");
    }
    FG_CHECK(open_runtime());
    if (runtime_->graph_environment().empty()) {
        return fail(
            Errc::kUnsupported, "graphs for " + runtime_->provider() + " cannot be stored", "provider"
        );
    }
    Known& known = at->second;
    FG_CHECK(pin_files(known.directory, known.manifest));
    int stored = 0;
    for (const auto& file : known.manifest.files) {
        if (file.path.ends_with(".onnx")) {
            FG_TRY(made, store_graph(known, file.path));
            stored += made ? 1 : 0;
        }
    }
    return stored;
}

Result<std::unique_ptr<api::TensorModel>> ModelStore::load_network(
    const Known& known, const std::string& path
) {
    const TimePoint began = settings_.now();
    FG_TRY(network, open_network(known, path));
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(settings_.now() - began);
    note(known.manifest.id, [&](api::ModelUse& use) {
        ++use.networks;
        use.networks_ms += took.count();
    });
    return network;
}

template <class Change>
void ModelStore::note(const std::string& id, Change change) {
    const std::lock_guard lock(counting_);
    auto& use = uses_[id];
    use.id = id;
    change(use);
}

std::vector<api::ModelUse> ModelStore::use() const {
    const std::lock_guard lock(counting_);
    std::vector<api::ModelUse> out;
    for (const auto& [id, use] : uses_) {
        out.push_back(use);
    }
    return out;
}

// Relative to the model's directory.
Result<std::string> ModelStore::path_of(const Known& known, const std::string& name) {
    const auto& files = known.manifest.files;
    if (known.manifest.layout == engine::ModelLayout::kDiffusers) {
        const bool beside = std::ranges::find(files, name + ".onnx", &engine::ModelFile::path) != files.end();
        return name + (beside ? ".onnx" : "/model.onnx");
    }
    if (name != engine::kOnlyNetwork) {
        return fail(Errc::kNotFound, "model " + known.manifest.id + " has no network " + printable(name));
    }
    return known.manifest.file;
}

Result<api::TensorModel*> ModelStore::network(const Known& known, Loaded& loaded, const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (const auto at = loaded.networks.find(name); at != loaded.networks.end()) {
        return at->second.get();
    }
    FG_TRY(path, path_of(known, name));
    FG_TRY(network, load_network(known, path));
    return loaded.networks.emplace(name, std::move(network)).first->second.get();
}

// Only from stored graphs, whose weights are mapped: files that are read would all be in memory at once.
void ModelStore::load_side_by_side(
    const Known& known, Loaded& loaded, const std::vector<std::string>& names
) {
    const std::lock_guard lock(mutex_);
    if (runtime_->graph_environment().empty()) {
        return;
    }
    struct Load {
        std::string name;
        std::string path;
        std::unique_ptr<api::TensorModel> network{};
    };
    std::vector<Load> loads;
    for (const auto& name : names) {
        auto path = path_of(known, name);
        if (!path || loaded.networks.contains(name)) {
            continue;
        }
        const auto place = stored_graph_place(known.manifest, *path, runtime_->graph_environment());
        if (has_stored_graph(known.directory / place)) {
            loads.push_back({name, std::move(*path)});
        }
    }
    {
        std::vector<std::jthread> threads;
        threads.reserve(loads.size());
        for (auto& load : loads) {
            threads.emplace_back([this, &known, &load] {
                if (auto network = load_network(known, load.path)) {
                    load.network = std::move(*network);
                }
            });
        }
    }
    for (auto& load : loads) {
        if (load.network) {
            loaded.networks.emplace(load.name, std::move(load.network));
        }
    }
}

Result<std::shared_ptr<ModelStore::Loaded>> ModelStore::load_files(Known& known) {
    FG_CHECK(pin_files(known.directory, known.manifest));
    auto loaded = std::make_shared<Loaded>();
    loaded->digest = engine::model_digest(known.manifest);
    if (known.manifest.layout == engine::ModelLayout::kImage) {
        FG_TRY(network, load_network(known, known.manifest.file));
        FG_CHECK(engine::fit_manifest(known.manifest, *network));
        FG_TRY(image, engine::make_image_model(known.manifest, std::move(network)));
        loaded->image = std::move(image);
    }
    return loaded;
}

Result<void> ModelStore::load(Known& known) {
    const TimePoint began = settings_.now();
    FG_CHECK(open_runtime());
    const auto& manifest = known.manifest;
    const bool warm = std::ranges::find(settings_.warm, manifest.id) != settings_.warm.end();
    auto victims = residency_.admit(manifest.id, manifest.memory_bytes, warm, settings_.now());
    if (!victims) {
        note(manifest.id, [](api::ModelUse& use) { ++use.no_room; });
        return fail(std::move(victims.error()));
    }
    unload(*victims, &api::ModelUse::evicted);
    auto loaded = load_files(known);
    if (!loaded) {
        residency_.forget(manifest.id);
        note(manifest.id, [](api::ModelUse& use) { ++use.load_failures; });
        return fail(std::move(loaded.error()));
    }
    known.loaded = std::move(*loaded);
    residency_.loaded_in(manifest.id, settings_.now() - began);
    note(manifest.id, [&](api::ModelUse& use) {
        ++use.loads;
        use.bytes = manifest.memory_bytes;
    });
    return {};
}

Result<std::unique_ptr<engine::ModelLease>> ModelStore::acquire(
    const std::string& pipeline, const std::string& model_id
) {
    const std::lock_guard lock(mutex_);
    const auto it = models_.find(model_id);
    if (it == models_.end() || !it->second.manifest.serves(pipeline)) {
        return fail(
            Errc::kNotFound, "no model " + printable(model_id) + " for the pipeline " + printable(pipeline),
            "model_id"
        );
    }
    if (!residency_.acquire(model_id, settings_.now())) {
        FG_CHECK(load(it->second));
    }
    unload(residency_.expire(settings_.now(), settings_.idle), &api::ModelUse::idled);
    return std::make_unique<Lease>(*this, it->second);
}

void ModelStore::unload(const std::vector<std::string>& ids, std::uint64_t api::ModelUse::* cause) {
    for (const auto& id : ids) {
        models_.at(id).loaded.reset();
        note(id, [&](api::ModelUse& use) {
            ++(use.*cause);
            use.bytes = 0;
        });
    }
    if (!ids.empty()) {
        ::malloc_trim(0);  // else the pieces of one network's memory stay between those of the next
    }
}

void ModelStore::release(const std::string& id) {
    const std::lock_guard lock(mutex_);
    residency_.release(id, settings_.now());
}

std::vector<engine::ModelManifest> ModelStore::manifests() const {
    const std::lock_guard lock(mutex_);  // loading a model completes its manifest
    std::vector<engine::ModelManifest> out;
    for (const auto& [id, known] : models_) {
        out.push_back(known.manifest);
    }
    return out;
}

const fs::path& ModelStore::directory_of(const std::string& id) const {
    return models_.at(id).directory;
}

Result<void> ModelStore::prepare() {
    const std::lock_guard lock(mutex_);
    return open_runtime();
}

Result<void> ModelStore::warm_up() {
    Result<void> first;
    for (const auto& id : settings_.warm) {
        const auto known = models_.find(id);
        const std::string pipeline = known == models_.end() ? "" : known->second.manifest.pipelines.front();
        auto lease = acquire(pipeline, id);
        if (!lease && first) {
            first = fail(std::move(lease.error()));
        }
    }
    return first;
}

std::string ModelStore::device() const {
    const std::lock_guard lock(mutex_);
    return runtime_ ? runtime_->provider() : std::string();
}

std::vector<std::string> ModelStore::loaded() const {
    const std::lock_guard lock(mutex_);
    return residency_.loaded();
}

}  // namespace framegrid::infer_onnx
