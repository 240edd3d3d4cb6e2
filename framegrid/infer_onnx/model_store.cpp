#include <framegrid/infer_onnx/model_store.hpp>

#include <fstream>

#include <framegrid/base/log.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kModelsMax = 1000;

// Files of one directory. Links are followed: who may write there decides what runs anyway.
class DirectoryReader : public engine::FileReader {
  public:
    explicit DirectoryReader(fs::path directory) : directory_(std::move(directory)) {}

    Result<Blob> read(const std::string& path, std::int64_t bytes_max) override {
        std::error_code error;
        const fs::path full = directory_ / path;
        if (!fs::is_regular_file(full, error)) {
            return fail(Errc::kNotFound, path + " is missing or not a file");
        }
        std::ifstream file(full, std::ios::binary | std::ios::ate);
        if (!file) {
            return fail(Errc::kIo, path + " cannot be opened");
        }
        const std::int64_t size = file.tellg();
        if (size > bytes_max) {
            return fail(Errc::kTooLarge, path + " has over " + std::to_string(bytes_max) + " bytes");
        }
        Bytes bytes(static_cast<std::size_t>(std::max<std::int64_t>(size, 0)));
        file.seekg(0);
        file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        if (file.gcount() != static_cast<std::streamsize>(bytes.size())) {
            return fail(Errc::kIo, path + " cannot be read");
        }
        return Blob(std::move(bytes));
    }

  private:
    fs::path directory_;
};

// Names of the sub-directories, sorted, so that every run sees the same order.
std::vector<std::string> sub_directories(const fs::path& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
        std::error_code ignored;
        if (it->is_directory(ignored)) {
            names.push_back(it->path().filename().string());
        }
    }
    std::ranges::sort(names);
    return names;
}

TimePoint monotonic_now() {
    return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
    };
}

}  // namespace

class ModelStore::Lease : public engine::ModelLease {
  public:
    Lease(ModelStore& store, const engine::ModelManifest& manifest, std::shared_ptr<api::ImageModel> model)
        : store_(store), manifest_(manifest), model_(std::move(model)) {}
    ~Lease() override {
        model_.reset();
        store_.release(manifest_.id);
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    api::ImageModel& model() override { return *model_; }
    const engine::ModelManifest& manifest() const override { return manifest_; }

  private:
    ModelStore& store_;
    const engine::ModelManifest& manifest_;
    std::shared_ptr<api::ImageModel> model_;
};

ModelStore::ModelStore(ModelStoreSettings settings)
    : settings_(std::move(settings)), residency_(settings_.memory_bytes) {}

ModelStore::~ModelStore() = default;

Result<std::unique_ptr<ModelStore>> ModelStore::open(ModelStoreSettings settings) {
    if (!settings.now) {
        settings.now = monotonic_now;
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
            const fs::path place = directory / organisation / name;
            std::error_code error;
            if (fs::exists(place / "model.toml", error)) {
                add(place, organisation + "/" + name);
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
    auto text = DirectoryReader(directory).read("model.toml", engine::kManifestBytesMax);
    if (!text) {
        return problem(std::move(text.error()));
    }
    auto manifest = engine::parse_manifest(text->text());
    if (!manifest) {
        return problem(std::move(manifest.error()));
    }
    if (manifest->id != id) {
        return problem(make_error(
            Errc::kInvalidArgument,
            "model manifest: id is " + manifest->id + ", the directory says " + printable(id), "id"
        ));
    }
    models_.emplace(id, Known{.manifest = std::move(*manifest), .directory = directory, .model = nullptr});
}

Result<void> ModelStore::open_runtime() {
    if (!runtime_) {
        FG_TRY(runtime, OnnxRuntime::open(settings_.onnx));
        runtime_ = std::move(runtime);
    }
    return {};
}

Result<void> ModelStore::load(Known& known) {
    FG_CHECK(open_runtime());
    const auto& manifest = known.manifest;
    const bool warm = std::ranges::find(settings_.warm, manifest.id) != settings_.warm.end();
    FG_TRY(victims, residency_.admit(manifest.id, manifest.memory_bytes, warm, settings_.now()));
    for (const auto& victim : victims) {
        models_.at(victim).model.reset();
    }
    auto loaded = [&]() -> Result<std::unique_ptr<api::ImageModel>> {
        DirectoryReader files(known.directory);
        FG_TRY(network, engine::read_network(manifest, files));
        return runtime_->load_image_model(manifest, network.view());
    }();
    if (!loaded) {
        residency_.forget(manifest.id);
        return fail(std::move(loaded.error()));
    }
    known.model = std::move(*loaded);
    return {};
}

Result<std::unique_ptr<engine::ModelLease>> ModelStore::acquire(
    const std::string& pipeline, const std::string& model_id
) {
    const std::lock_guard lock(mutex_);
    const auto it = models_.find(model_id);
    if (it == models_.end() || it->second.manifest.pipeline != pipeline) {
        return fail(
            Errc::kNotFound, "no model " + printable(model_id) + " for the pipeline " + printable(pipeline),
            "model_id"
        );
    }
    if (!residency_.acquire(model_id, settings_.now())) {
        FG_CHECK(load(it->second));
    }
    for (const auto& idle : residency_.expire(settings_.now(), settings_.idle)) {
        models_.at(idle).model.reset();
    }
    return std::make_unique<Lease>(*this, it->second.manifest, it->second.model);
}

void ModelStore::release(const std::string& id) {
    const std::lock_guard lock(mutex_);
    residency_.release(id, settings_.now());
}

std::vector<engine::ModelManifest> ModelStore::manifests() const {
    std::vector<engine::ModelManifest> out;
    for (const auto& [id, known] : models_) {
        out.push_back(known.manifest);
    }
    return out;
}

Result<void> ModelStore::warm_up() {
    Result<void> first;
    for (const auto& id : settings_.warm) {
        const auto known = models_.find(id);
        const std::string pipeline = known == models_.end() ? "" : known->second.manifest.pipeline;
        auto lease = acquire(pipeline, id);
        if (!lease && first) {
            first = fail(std::move(lease.error()));
        }
    }
    return first;
}

std::vector<std::string> ModelStore::loaded() const {
    const std::lock_guard lock(mutex_);
    return residency_.loaded();
}

}  // namespace framegrid::infer_onnx
