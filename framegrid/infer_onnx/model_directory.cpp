#include <framegrid/infer_onnx/model_directory.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/engine/hub_layout.hpp>
#include <framegrid/infer_onnx/onnx_file.hpp>

namespace framegrid::infer_onnx {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFilesMax = 4096;  // that are looked at in a directory

constexpr std::int64_t kMapFrom = 1 << 20;

struct Descriptor {
    int fd;
    explicit Descriptor(int value) : fd(value) {}
    ~Descriptor() {
        if (fd >= 0) {
            ::close(fd);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
};

Result<Blob> map_file(const std::string& path, int fd, std::size_t size) {
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        return fail(Errc::kIo, path + " cannot be mapped: " + std::strerror(errno));
    }
    std::shared_ptr<const void> owner(memory, [size](const void* at) {
        ::munmap(const_cast<void*>(at), size);
    });
    return Blob(std::move(owner), {static_cast<const std::uint8_t*>(memory), size});
}

Result<Blob> read_file(const std::string& path, int fd, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t at = 0; at < size;) {
        const ::ssize_t got = ::read(fd, bytes.data() + at, size - at);
        if (got <= 0) {
            return fail(Errc::kIo, path + " cannot be read");
        }
        at += static_cast<std::size_t>(got);
    }
    return Blob(std::move(bytes));
}

}  // namespace

Result<Blob> ModelDirectory::read(const std::string& path, std::int64_t bytes_max) {
    const Descriptor file(::open((directory_ / path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? fail(Errc::kNotFound, path + " is missing or not a file")
                   : fail(Errc::kIo, path + " cannot be opened: " + std::strerror(errno));
    }
    struct ::stat status{};
    if (::fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Errc::kNotFound, path + " is missing or not a file");
    }
    if (status.st_size > bytes_max) {
        return fail(Errc::kTooLarge, path + " has over " + std::to_string(bytes_max) + " bytes");
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    return status.st_size >= kMapFrom ? map_file(path, file.fd, size) : read_file(path, file.fd, size);
}

namespace {

// Every regular file that is not hidden, by its path inside the directory; two levels are all that layouts
// use.
std::vector<engine::FoundFile> list_files(const fs::path& directory) {
    std::vector<engine::FoundFile> found;
    std::error_code error;
    const auto options = fs::directory_options::follow_directory_symlink;
    fs::recursive_directory_iterator it(directory, options, error);
    for (const fs::recursive_directory_iterator end; !error && it != end && found.size() < kFilesMax;
         it.increment(error)) {
        std::error_code ignored;
        const bool hidden = it->path().filename().string().starts_with('.');
        if (it.depth() >= 1 || hidden) {
            it.disable_recursion_pending();
        }
        if (!hidden && it->is_regular_file(ignored)) {
            found.push_back(
                {it->path().lexically_relative(directory).generic_string(),
                 static_cast<std::int64_t>(it->file_size(ignored))}
            );
        }
    }
    std::ranges::sort(found, {}, &engine::FoundFile::path);
    return found;
}

Result<engine::ModelManifest> read_manifest(const fs::path& directory) {
    FG_TRY(text, ModelDirectory(directory).read("model.toml", engine::kManifestBytesMax));
    return engine::parse_manifest(text.text());
}

std::vector<std::string> paths_of(const std::vector<engine::FoundFile>& files) {
    std::vector<std::string> paths;
    for (const auto& file : files) {
        paths.push_back(file.path);
    }
    return paths;
}

// A small file, or nothing when there is none.
Result<std::string> read_config(ModelDirectory& reader, const std::string& path) {
    auto bytes = reader.read(path, engine::kManifestBytesMax);
    if (!bytes) {
        return bytes.error().code == Errc::kNotFound ? Result<std::string>{} : fail(std::move(bytes.error()));
    }
    return std::string(bytes->text());
}

// `path`: the network's file in `directory`, with the weights that it names.
Result<engine::SingleNetwork> read_network(
    const fs::path& directory, const std::string& path, const std::vector<engine::FoundFile>& files
) {
    ModelDirectory reader(directory);
    FG_TRY(bytes, reader.read(path, engine::kModelFileBytesMax));
    FG_TRY(summary, scan_onnx(bytes.view()));
    engine::SingleNetwork network{
        .file = {path, static_cast<std::int64_t>(bytes.size())},
        .weights = {},
        .inputs = std::move(summary.inputs),
        .outputs = std::move(summary.outputs)
    };
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    for (const auto& file : files) {
        if (file.path != path && file.path.starts_with(folder) &&
            summary.external.contains(file.path.substr(folder.size())) && engine::is_plain_path(file.path)) {
            network.weights.push_back(file);
        }
    }
    return network;
}

Result<engine::ModelManifest> recognize_model(const fs::path& directory, const std::string& id) {
    const auto files = list_files(directory);
    ModelDirectory reader(directory);
    if (const auto index = reader.read("model_index.json", engine::kManifestBytesMax)) {
        return engine::describe_diffusers(id, index->text(), files);
    }
    FG_TRY(path, engine::choose_network(paths_of(files)));
    FG_TRY(network, read_network(directory, path, files));
    FG_TRY(config, read_config(reader, "config.json"));
    FG_TRY(preprocessor, read_config(reader, "preprocessor_config.json"));
    network.config = std::move(config);
    network.preprocessor = std::move(preprocessor);
    return engine::describe_single(id, network);
}

// The same of one file, whatever else lies beside it.
Result<engine::ModelManifest> recognize_file(const fs::path& file, const std::string& id) {
    const fs::path directory = file.parent_path();
    FG_TRY(network, read_network(directory, file.filename().string(), list_files(directory)));
    return engine::describe_single(id, network);
}

std::error_code copy_or_link(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    fs::create_hard_link(fs::canonical(from, error), to, error);
    if (error) {
        error.clear();
        fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    }
    return error;
}

std::unexpected<Error> disk(const std::string& what, const std::error_code& error) {
    return fail(Errc::kIo, what + ": " + error.message());
}

Result<void> write_text(const fs::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    return file ? Result<void>{} : fail(Errc::kIo, "cannot write " + path.string());
}

}  // namespace

std::string file_state(const fs::path& path) {
    struct ::stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return {};
    }
    std::string out;
    for (const auto part :
         {static_cast<std::int64_t>(status.st_dev), static_cast<std::int64_t>(status.st_ino), status.st_size,
          status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec}) {
        out += std::to_string(part) + ".";
    }
    return out;
}

bool looks_like_model(const fs::path& directory) {
    std::error_code error;
    if (fs::exists(directory / "model_index.json", error)) {
        return true;
    }
    const auto network = engine::choose_network(paths_of(list_files(directory)));
    return network || network.error().code != Errc::kNotFound;
}

Result<engine::ModelManifest> describe_directory(const fs::path& directory, const std::string& id) {
    std::error_code error;
    if (!fs::exists(directory / "model.toml", error)) {
        return recognize_model(directory, id);
    }
    FG_TRY(manifest, read_manifest(directory));
    if (manifest.image.is_guess) {
        manifest.image.scale = engine::scale_of_name(manifest.file + " " + id);
    }
    return manifest;
}

Result<void> pin_files(const fs::path& directory, engine::ModelManifest& manifest) {
    ModelDirectory files(directory);
    for (auto& file : manifest.files) {
        if (file.sha256.empty()) {
            FG_TRY(bytes, files.read(file.path, engine::kModelFileBytesMax));
            file.bytes = static_cast<std::int64_t>(bytes.size());
            file.sha256 = crypto::hex(crypto::sha256(bytes.view()));
        }
    }
    return {};
}

Result<void> verify_files(const fs::path& directory, const engine::ModelManifest& manifest) {
    ModelDirectory files(directory);
    for (const auto& file : manifest.files) {
        FG_TRY(bytes, engine::read_model_file(manifest, file.path, files));
        (void)bytes;
    }
    return {};
}

Result<engine::ModelManifest> install_model(
    const fs::path& source, const fs::path& root, const std::string& id, bool keep
) {
    if (!engine::is_model_id(id)) {
        return fail(Errc::kInvalidArgument, "a model id is organisation/name", "id");
    }
    const fs::path place = root / id;
    std::error_code error;
    if (fs::exists(place, error)) {
        return fail(
            Errc::kInvalidArgument, place.string() + " exists; remove it first: framegrid model rm " + id,
            "id"
        );
    }
    const bool is_file = keep && fs::is_regular_file(source, error);
    const fs::path from = is_file ? source.parent_path() : source;
    FG_TRY(manifest, is_file ? recognize_file(source, id) : describe_directory(from, id));
    manifest.id = id;
    FG_CHECK(pin_files(from, manifest));
    FG_CHECK(verify_files(from, manifest));
    const fs::path growing = keep ? incomplete_directory(root, id) : from;
    if (keep) {
        fs::remove_all(growing, error);
        for (const auto& file : manifest.files) {
            if (const auto failed = copy_or_link(from / file.path, growing / file.path)) {
                return disk("cannot copy " + file.path, failed);
            }
        }
    }
    // An own manifest says more than is kept here: it stays as it is when only the id is the same.
    if (!fs::exists(growing / "model.toml", error)) {
        FG_CHECK(write_text(growing / "model.toml", engine::format_manifest(manifest)));
    }
    fs::create_directories(place.parent_path(), error);
    fs::rename(growing, place, error);
    if (error) {
        return disk("cannot put " + place.string() + " in place", error);
    }
    return manifest;
}

fs::path incomplete_directory(const fs::path& root, const std::string& id) {
    std::string name = id;
    std::ranges::replace(name, '/', '.');
    return root / ".incomplete" / name;
}

}  // namespace framegrid::infer_onnx
