#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {

namespace {

// A TOML basic string.
std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    }
    return out + "\"";
}

void append_defaults(std::string& out, const ModelDefaults& defaults) {
    std::string lines;
    const auto number = [&](std::string_view key, std::int64_t value) {
        if (value > 0) {
            lines.append(key).append(" = ").append(std::to_string(value)).append("\n");
        }
    };
    number("steps", defaults.steps);
    number("width", defaults.width);
    number("height", defaults.height);
    number("frames", defaults.frames);
    number("fps", defaults.fps);
    number("pixels_max", defaults.pixels_max);
    if (defaults.guidance_scale >= 0) {
        lines += "guidance_scale = " + std::to_string(defaults.guidance_scale) + "\n";
    }
    if (!lines.empty()) {
        out += "\n[defaults]\n" + lines;
    }
}

void append_image(std::string& out, const ImageSpec& image) {
    const auto number = [&](std::string_view key, int value) {
        out.append(key).append(" = ").append(std::to_string(value)).append("\n");
    };
    if (!image.is_guess) {
        number("scale", image.scale);
    }
    number("tile", image.tile);
    number("overlap", image.overlap);
    number("batch", image.batch);
    if (image.multiple > 1) {
        number("multiple", image.multiple);
    }
    if (image.value_max > 1) {
        number("value_max", image.value_max);
    }
    if (image.edges != Edges::kRepeat) {
        out += "edges = " + toml_string(kEdgesNames.at(static_cast<std::size_t>(image.edges))) + "\n";
    }
}

std::string tensor_text(const TensorSpec& tensor) {
    std::string shape;
    for (const auto& part : tensor.shape) {
        const bool is_number =
            part.find_first_not_of("0123456789") == std::string::npos && part.front() != '0';
        shape += (shape.empty() ? "" : ", ") + (is_number ? part : toml_string(part));
    }
    return "{ name = " + toml_string(tensor.name) + ", type = " + toml_string(tensor.type) + ", shape = [" +
           shape + "] }";
}

}  // namespace

std::string format_manifest(const ModelManifest& manifest) {
    std::string out;
    const auto text = [&](std::string_view key, std::string_view value) {
        out.append(key).append(" = ").append(toml_string(value)).append("\n");
    };
    const auto number = [&](std::string_view key, std::int64_t value) {
        out.append(key).append(" = ").append(std::to_string(value)).append("\n");
    };
    text("id", manifest.id);
    out += "pipelines = [";
    for (std::size_t i = 0; i < manifest.pipelines.size(); ++i) {
        out += (i == 0 ? "" : ", ") + toml_string(manifest.pipelines[i]);
    }
    out += "]\n";
    number("version", manifest.version);
    text("description", manifest.description);
    text("licence", manifest.licence);
    number("memory_bytes", manifest.memory_bytes);
    append_defaults(out, manifest.defaults);
    for (const auto& file : manifest.files) {
        out += "\n[[files]]\n";
        text("path", file.path);
        number("bytes", file.bytes);
        text("sha256", file.sha256);
    }
    if (manifest.layout != ModelLayout::kDiffusers) {
        out += "\n[network]\n";
        text("format", manifest.format);
        text("file", manifest.file);
    }
    if (manifest.layout == ModelLayout::kImage) {
        out += "input = " + tensor_text(manifest.input) + "\noutput = " + tensor_text(manifest.output) + "\n";
        out += "\n[image]\n";
        append_image(out, manifest.image);
    } else if (manifest.layout == ModelLayout::kInterpolation) {
        out += "\n[interpolation]\n";
        number("multiple", manifest.multiple);
    }
    return out;
}

}  // namespace framegrid::engine
