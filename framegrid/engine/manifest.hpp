// model.toml: what a model directory holds, and how its network is fed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/engine/planes.hpp>

namespace framegrid::engine {

// One file of a model directory.
struct ModelFile {
    std::string path;        // relative to the directory, '/' between parts, never leaves it
    std::int64_t bytes = 0;  // exact size; 0: not stated
    std::string sha256;      // 64 lower-case hex digits
};

// One tensor of the network. `shape` parts are numbers ("3") or free names ("n", "h*2").
struct TensorSpec {
    std::string name;
    std::string type;  // "float32"
    std::vector<std::string> shape;
};

// How a picture-to-picture network is used (pipeline "upscale").
struct ImageSpec {
    int scale = 1;     // output side / input side; 0: not known before the network ran
    int tile = 256;    // input pixels per side of a tile at most, context included
    int overlap = 8;   // context on each side of a tile; at least the network's receptive radius
    int batch = 4;     // tiles per inference
    int multiple = 1;  // sides of a tile must divide by it
    // kRepeat: context all around, beyond the picture too. Else tiles stay inside, and what a picture's sides
    // lack to divide by `multiple` is added below and to the right; with kMirror always something is.
    Edges edges = Edges::kRepeat;
    int value_max = 1;      // what white is: 1 or 255
    bool is_guess = false;  // scale and multiple are measured when the network is loaded
    media::Size fixed{};    // the only size of a tile that the network takes; 0: any
};

inline constexpr int kImageScaleMax = 8;
inline constexpr int kFixedSideMax = 4096;  // pixels of a network that takes one size only

// Whether a tile has pixels left beside its context, wherever it starts.
bool has_room(const ImageSpec& image);

// What a directory's networks are.
enum class ModelLayout : std::uint8_t {
    kImage,          // one network from picture to picture
    kDiffusers,      // a hub export: model_index.json, and a directory per network
    kInterpolation,  // one network from two pictures and a time to a picture
};

// What a job gets that does not say.
struct ModelDefaults {
    int steps = 0;               // 0: the pipeline's own
    double guidance_scale = -1;  // negative: the pipeline's own
    int width = 0;               // pixels; 0: the network's own
    int height = 0;
    int frames = 0;  // of a video
    int fps = 0;
    // Larger pictures are made at this many pixels and enlarged; 0: no limit.
    std::int64_t pixels_max = 0;
};

struct ModelManifest {
    std::string id;                      // "framegrid/sr-2x"
    std::vector<std::string> pipelines;  // what jobs it serves: "upscale"
    ModelLayout layout = ModelLayout::kImage;
    int version = 1;
    std::string description;
    std::string licence;            // SPDX expression
    std::int64_t memory_bytes = 0;  // what the loaded network needs, activations included
    std::vector<ModelFile> files;
    std::string format;  // "onnx"
    std::string file;    // the network's file, one of `files`; empty for kDiffusers
    TensorSpec input;    // kImage
    TensorSpec output;   // kImage
    ImageSpec image;     // kImage
    int multiple = 1;    // kInterpolation: sides must divide by it
    ModelDefaults defaults;

    bool serves(std::string_view pipeline) const;
};

inline constexpr std::size_t kManifestBytesMax = 64 * 1024;
inline constexpr std::int64_t kModelFileBytesMax = std::int64_t{16} << 30;

// Relative, without "..", hidden or empty parts, back-slashes, drive letters or control characters; at most
// 255 bytes. What a hub or a manifest may call a file inside a directory.
bool is_plain_path(std::string_view path);

// "org/name": two parts of letters, digits and "._-", neither starting with '.', at most 128 bytes.
bool is_model_id(std::string_view id);

// kInvalidArgument with the field at fault ("files[0].sha256"); kTooLarge over kManifestBytesMax. Unknown
// keys are ignored, so that an older node can read a newer manifest.
Result<ModelManifest> parse_manifest(std::string_view toml);

// The manifest as TOML, which parse_manifest() reads again.
std::string format_manifest(const ModelManifest& manifest);

// Port: the files of one model directory.
class FileReader {
  public:
    virtual ~FileReader() = default;
    // The whole file. kNotFound: there is none; kTooLarge: over `bytes_max`; kIo.
    virtual Result<Blob> read(const std::string& path, std::int64_t bytes_max) = 0;
};

// One file's bytes, with size and SHA-256 checked against the manifest. kUnprocessable when they differ,
// kNotFound when the manifest does not list it.
Result<Blob> read_model_file(const ModelManifest& manifest, std::string_view path, FileReader& files);

// SHA-256 over the files' names and digests, hex: what tells two states of a model apart.
std::string model_digest(const ModelManifest& manifest);

}  // namespace framegrid::engine
