#include <framegrid/infer_onnx/model_store.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/engine/hub_layout.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/onnx_file.hpp>

namespace framegrid::infer_onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kModelsMax = 1000;
constexpr std::size_t kFilesMax = 4096;  // that are looked at in a directory

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

// Every regular file, by its path inside the directory; two levels are all that layouts use.
std::vector<engine::FoundFile> list_files(const fs::path& directory) {
    std::vector<engine::FoundFile> found;
    std::error_code error;
    const auto options = fs::directory_options::follow_directory_symlink;
    fs::recursive_directory_iterator it(directory, options, error);
    for (const fs::recursive_directory_iterator end; !error && it != end && found.size() < kFilesMax;
         it.increment(error)) {
        std::error_code ignored;
        if (it.depth() >= 1) {
            it.disable_recursion_pending();
        }
        if (it->is_regular_file(ignored)) {
            found.push_back(
                {it->path().lexically_relative(directory).generic_string(),
                 static_cast<std::int64_t>(it->file_size(ignored))}
            );
        }
    }
    std::ranges::sort(found, {}, &engine::FoundFile::path);
    return found;
}

// The only ONNX file at the top of a directory, or nothing.
std::optional<engine::FoundFile> only_network(const std::vector<engine::FoundFile>& files) {
    std::optional<engine::FoundFile> only;
    for (const auto& file : files) {
        if (file.path.ends_with(".onnx") && file.path.find('/') == std::string::npos) {
            if (only) {
                return std::nullopt;
            }
            only = file;
        }
    }
    return only;
}

bool looks_like_model(const fs::path& directory) {
    std::error_code error;
    return fs::exists(directory / "model_index.json", error) ||
           only_network(list_files(directory)).has_value();
}

Result<engine::ModelManifest> read_manifest(const fs::path& directory) {
    FG_TRY(text, ModelDirectory(directory).read("model.toml", engine::kManifestBytesMax));
    return engine::parse_manifest(text.text());
}

// Networks that enlarge say by how much in their name, if at all ("RealESRGAN_x4plus").
int scale_of_name(std::string_view name) {
    for (const char digit : {'2', '3', '4', '8'}) {
        if (name.find(std::string("x") + digit) != std::string_view::npos ||
            name.find(std::string("X") + digit) != std::string_view::npos ||
            name.find(std::string(1, digit) + "x") != std::string_view::npos) {
            return digit - '0';
        }
    }
    return 4;
}

Result<engine::ModelManifest> recognize_model(const fs::path& directory, const std::string& id) {
    const auto files = list_files(directory);
    ModelDirectory reader(directory);
    if (const auto index = reader.read("model_index.json", engine::kManifestBytesMax)) {
        return engine::describe_diffusers(id, index->text(), files);
    }
    const auto network = only_network(files);
    if (!network) {
        return fail(Errc::kNotFound, "no model.toml, no model_index.json and no single ONNX file");
    }
    FG_TRY(bytes, reader.read(network->path, engine::kModelFileBytesMax));
    FG_TRY(summary, scan_onnx(bytes.view()));
    return engine::describe_single(
        id, *network, summary.inputs, summary.outputs, scale_of_name(id + "/" + network->path)
    );
}

TimePoint monotonic_now() {
    return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
    };
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
            const bool stated = fs::exists(place / "model.toml", error);
            if (stated || looks_like_model(place)) {
                add(place, organisation + "/" + name, stated);
            }
        }
    }
}

void ModelStore::add(const fs::path& directory, const std::string& id, bool stated) {
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
    auto manifest = stated ? read_manifest(directory) : recognize_model(directory, id);
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

// Weights in other files must be files of this model, beside their network: ONNX Runtime would read any path.
Result<std::unique_ptr<api::TensorModel>> ModelStore::open_network(
    const Known& known, const std::string& path
) {
    const auto& manifest = known.manifest;
    const std::string what = "model " + manifest.id + ": " + path;
    ModelDirectory files(known.directory);
    FG_TRY(bytes, engine::read_model_file(manifest, path, files));
    auto summary = scan_onnx(bytes.view());
    if (!summary) {
        return fail(std::move(summary.error()).with_context(what));
    }
    if (summary->external.empty()) {
        return runtime_->load(what, bytes.view());
    }
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
    for (const auto& location : summary->external) {
        auto weights = engine::read_model_file(manifest, folder + location, files);
        if (!weights) {
            return fail(Error(std::move(weights.error())).with_context(what + " has weights elsewhere"));
        }
    }
    return runtime_->load_file(what, (known.directory / path).string());
}

Result<api::TensorModel*> ModelStore::network(const Known& known, Loaded& loaded, const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (const auto at = loaded.networks.find(name); at != loaded.networks.end()) {
        return at->second.get();
    }
    const bool single = known.manifest.layout != engine::ModelLayout::kDiffusers;
    if (single && name != engine::kOnlyNetwork) {
        return fail(Errc::kNotFound, "model " + known.manifest.id + " has no network " + printable(name));
    }
    FG_TRY(network, open_network(known, single ? known.manifest.file : name + "/model.onnx"));
    return loaded.networks.emplace(name, std::move(network)).first->second.get();
}

// Digests of files that no manifest states: what is there now counts from now on.
Result<void> ModelStore::pin(Known& known) {
    ModelDirectory files(known.directory);
    for (auto& file : known.manifest.files) {
        if (file.sha256.empty()) {
            FG_TRY(bytes, files.read(file.path, engine::kModelFileBytesMax));
            file.bytes = static_cast<std::int64_t>(bytes.size());
            file.sha256 = crypto::hex(crypto::sha256(bytes.view()));
        }
    }
    return {};
}

Result<std::shared_ptr<ModelStore::Loaded>> ModelStore::load_files(Known& known) {
    FG_CHECK(pin(known));
    auto loaded = std::make_shared<Loaded>();
    loaded->digest = engine::model_digest(known.manifest);
    if (known.manifest.layout == engine::ModelLayout::kImage) {
        FG_TRY(network, open_network(known, known.manifest.file));
        FG_TRY(image, make_image_model(known.manifest, std::move(network)));
        loaded->image = std::move(image);
    }
    return loaded;
}

Result<void> ModelStore::load(Known& known) {
    FG_CHECK(open_runtime());
    const auto& manifest = known.manifest;
    const bool warm = std::ranges::find(settings_.warm, manifest.id) != settings_.warm.end();
    FG_TRY(victims, residency_.admit(manifest.id, manifest.memory_bytes, warm, settings_.now()));
    for (const auto& victim : victims) {
        models_.at(victim).loaded.reset();
    }
    auto loaded = load_files(known);
    if (!loaded) {
        residency_.forget(manifest.id);
        return fail(std::move(loaded.error()));
    }
    known.loaded = std::move(*loaded);
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
    for (const auto& idle : residency_.expire(settings_.now(), settings_.idle)) {
        models_.at(idle).loaded.reset();
    }
    return std::make_unique<Lease>(*this, it->second);
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
        const std::string pipeline = known == models_.end() ? "" : known->second.manifest.pipelines.front();
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
