#include <framegrid/engine/manifest.hpp>

#include <algorithm>
#include <limits>
#include <optional>

// Compiled in here, because the distribution's library is built with exceptions.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::engine {
namespace {

constexpr std::size_t kFilesMax = 64;
constexpr std::size_t kShapeMax = 8;
constexpr std::int64_t kMemoryBytesMax = std::int64_t{1} << 42;

bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool is_name_part(std::string_view part) {
    return !part.empty() && part.front() != '.' && std::ranges::all_of(part, is_name_char);
}

// Relative, without "..", hidden parts, back-slashes, drive letters or control characters.
bool is_safe_path(std::string_view path) {
    if (path.empty() || path.size() > 255) {
        return false;
    }
    while (true) {
        const auto slash = path.find('/');
        if (!is_name_part(path.substr(0, slash))) {
            return false;
        }
        if (slash == std::string_view::npos) {
            return true;
        }
        path.remove_prefix(slash + 1);
    }
}

bool is_sha256_hex(std::string_view text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Reads typed keys of one table; errors name the full path of the key.
class Section {
  public:
    Section(const toml::table& table, std::string path) : table_(table), path_(std::move(path)) {}

    std::string name_of(std::string_view key) const {
        return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
    }
    std::unexpected<Error> wrong(std::string_view key, std::string_view what) const {
        const std::string name = name_of(key);
        return fail(Errc::kInvalidArgument, "model manifest: " + name + " " + std::string(what), name);
    }

    Result<std::string> text(std::string_view key, std::size_t size_max, bool required = true) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) {
            return required ? Result<std::string>(wrong(key, "is missing")) : std::string{};
        }
        const auto* value = node->as_string();
        if (value == nullptr) {
            return wrong(key, "must be a string");
        }
        if (value->get().size() > size_max) {
            return wrong(key, "is too long");
        }
        if (required && value->get().empty()) {
            return wrong(key, "is empty");
        }
        return value->get();
    }

    // `fallback` absent: the key is required.
    Result<std::int64_t> integer(
        std::string_view key, std::int64_t min, std::int64_t max, std::optional<std::int64_t> fallback = {}
    ) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) {
            return fallback ? Result<std::int64_t>(*fallback) : wrong(key, "is missing");
        }
        const auto* value = node->as_integer();
        if (value == nullptr) {
            return wrong(key, "must be an integer");
        }
        if (value->get() < min || value->get() > max) {
            return wrong(key, "must be " + std::to_string(min) + " to " + std::to_string(max));
        }
        return value->get();
    }

    Result<Section> table(std::string_view key) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) {
            return wrong(key, "is missing");
        }
        if (node->as_table() == nullptr) {
            return wrong(key, "must be a table");
        }
        return Section(*node->as_table(), name_of(key));
    }

    Result<const toml::array*> array(std::string_view key, std::size_t size_max) const {
        const toml::node* node = table_.get(key);
        if (node == nullptr) {
            return wrong(key, "is missing");
        }
        const auto* value = node->as_array();
        if (value == nullptr) {
            return wrong(key, "must be an array");
        }
        if (value->empty() || value->size() > size_max) {
            return wrong(key, "must have 1 to " + std::to_string(size_max) + " entries");
        }
        return value;
    }

  private:
    const toml::table& table_;
    std::string path_;
};

Result<ModelFile> parse_file(const Section& section) {
    ModelFile file;
    FG_TRY(path, section.text("path", 255));
    if (!is_safe_path(path)) {
        return section.wrong("path", "must be a plain path inside the model's directory");
    }
    file.path = std::move(path);
    FG_TRY(bytes, section.integer("bytes", 0, kModelFileBytesMax, 0));
    file.bytes = bytes;
    FG_TRY(sha256, section.text("sha256", 64));
    if (!is_sha256_hex(sha256)) {
        return section.wrong("sha256", "must be 64 lower-case hexadecimal digits");
    }
    file.sha256 = std::move(sha256);
    return file;
}

Result<std::vector<ModelFile>> parse_files(const Section& root) {
    FG_TRY(array, root.array("files", kFilesMax));
    std::vector<ModelFile> files;
    for (std::size_t i = 0; i < array->size(); ++i) {
        const std::string name = "files[" + std::to_string(i) + "]";
        const toml::table* table = array->get(i)->as_table();
        if (table == nullptr) {
            return root.wrong(name, "must be a table");
        }
        FG_TRY(file, parse_file(Section(*table, name)));
        if (std::ranges::any_of(files, [&](const ModelFile& f) { return f.path == file.path; })) {
            return root.wrong(name + ".path", "is listed twice");
        }
        files.push_back(std::move(file));
    }
    return files;
}

Result<TensorSpec> parse_tensor(const Section& section) {
    TensorSpec tensor;
    FG_TRY(name, section.text("name", 128));
    tensor.name = std::move(name);
    FG_TRY(type, section.text("type", 16));
    if (type != "float32") {
        return section.wrong("type", "must be \"float32\"");
    }
    tensor.type = std::move(type);
    FG_TRY(shape, section.array("shape", kShapeMax));
    for (std::size_t i = 0; i < shape->size(); ++i) {
        const toml::node& part = *shape->get(i);
        if (const auto* number = part.as_integer(); number != nullptr && number->get() > 0) {
            tensor.shape.push_back(std::to_string(number->get()));
        } else if (const auto* text = part.as_string();
                   text != nullptr && !text->get().empty() && text->get().size() <= 16) {
            tensor.shape.push_back(text->get());
        } else {
            return section.wrong(
                "shape[" + std::to_string(i) + "]", "must be a positive integer or a short name"
            );
        }
    }
    return tensor;
}

Result<ImageSpec> parse_image(const Section& section) {
    ImageSpec image;
    FG_TRY(scale, section.integer("scale", 1, 8));
    FG_TRY(tile, section.integer("tile", 16, 2048));
    FG_TRY(overlap, section.integer("overlap", 0, 256));
    FG_TRY(batch, section.integer("batch", 1, 64, 1));
    if (overlap * 2 >= tile) {
        return section.wrong("overlap", "must be less than half of tile");
    }
    image.scale = static_cast<int>(scale);
    image.tile = static_cast<int>(tile);
    image.overlap = static_cast<int>(overlap);
    image.batch = static_cast<int>(batch);
    return image;
}

Result<void> parse_network(const Section& root, ModelManifest& manifest) {
    FG_TRY(network, root.table("network"));
    FG_TRY(format, network.text("format", 16));
    if (format != "onnx") {
        return network.wrong("format", "must be \"onnx\"");
    }
    manifest.format = std::move(format);
    FG_TRY(file, network.text("file", 255));
    if (std::ranges::none_of(manifest.files, [&](const ModelFile& f) { return f.path == file; })) {
        return network.wrong("file", "is not listed under files");
    }
    manifest.file = std::move(file);
    FG_TRY(input_section, network.table("input"));
    FG_TRY(input, parse_tensor(input_section));
    manifest.input = std::move(input);
    FG_TRY(output_section, network.table("output"));
    FG_TRY(output, parse_tensor(output_section));
    manifest.output = std::move(output);
    return {};
}

Result<ModelManifest> parse_root(const Section& root) {
    ModelManifest manifest;
    FG_TRY(id, root.text("id", 128));
    if (!is_model_id(id)) {
        return root.wrong("id", "must be \"organisation/name\"");
    }
    manifest.id = std::move(id);
    FG_TRY(pipeline, root.text("pipeline", 64));
    if (!is_name_part(pipeline)) {
        return root.wrong("pipeline", "must be letters, digits, '.', '_' or '-'");
    }
    manifest.pipeline = std::move(pipeline);
    FG_TRY(version, root.integer("version", 1, std::numeric_limits<int>::max(), 1));
    manifest.version = static_cast<int>(version);
    FG_TRY(description, root.text("description", 1000, false));
    manifest.description = std::move(description);
    FG_TRY(licence, root.text("licence", 200));
    manifest.licence = std::move(licence);
    FG_TRY(memory_bytes, root.integer("memory_bytes", 1, kMemoryBytesMax));
    manifest.memory_bytes = memory_bytes;
    FG_TRY(files, parse_files(root));
    manifest.files = std::move(files);
    FG_CHECK(parse_network(root, manifest));
    FG_TRY(image_section, root.table("image"));
    FG_TRY(image, parse_image(image_section));
    manifest.image = image;
    return manifest;
}

}  // namespace

bool is_model_id(std::string_view id) {
    const auto slash = id.find('/');
    return id.size() <= 128 && slash != std::string_view::npos && is_name_part(id.substr(0, slash)) &&
           is_name_part(id.substr(slash + 1));
}

Result<ModelManifest> parse_manifest(std::string_view text) {
    if (text.size() > kManifestBytesMax) {
        return fail(Errc::kTooLarge, "model manifest: over " + std::to_string(kManifestBytesMax) + " bytes");
    }
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        const toml::parse_error& error = parsed.error();
        return fail(
            Errc::kInvalidArgument, "model manifest: line " + std::to_string(error.source().begin.line) +
                                        ": " + printable(error.description())
        );
    }
    return parse_root(Section(parsed.table(), ""));
}

Result<Blob> read_network(const ModelManifest& manifest, FileReader& files) {
    const auto file = std::ranges::find(manifest.files, manifest.file, &ModelFile::path);
    FG_ASSERT(file != manifest.files.end());
    const std::string what = "model " + manifest.id + ": " + file->path;
    auto bytes = files.read(file->path, file->bytes > 0 ? file->bytes : kModelFileBytesMax);
    if (!bytes) {
        return fail(std::move(bytes.error()).with_context("model " + manifest.id));
    }
    if (file->bytes > 0 && static_cast<std::int64_t>(bytes->size()) != file->bytes) {
        return fail(
            Errc::kUnprocessable, what + " has " + std::to_string(bytes->size()) +
                                      " bytes, the manifest says " + std::to_string(file->bytes)
        );
    }
    if (const auto digest = crypto::sha256(bytes->view()); crypto::hex(digest) != file->sha256) {
        return fail(Errc::kUnprocessable, what + " does not match the manifest's SHA-256");
    }
    return std::move(*bytes);
}

}  // namespace framegrid::engine
