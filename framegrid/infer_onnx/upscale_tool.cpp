// Upscales one picture and prints the time it took; for measuring by hand.
//   upscale_tool MODELS_DIR MODEL_ID WIDTHxHEIGHT [REPEATS] [THREADS]   a made picture
//   upscale_tool MODELS_DIR MODEL_ID IN.ppm OUT.ppm                     a file (binary PPM, 8 bits)
//   upscale_tool MODELS_DIR eval [SIDE]                                 PSNR against bicubic
#include <charconv>
#include <cstdio>
#include <fstream>

#include <framegrid/engine/sr_eval.hpp>
#include <framegrid/engine/sr_pictures.hpp>
#include <framegrid/engine/upscale.hpp>
#include <framegrid/infer_onnx/model_store.hpp>

namespace framegrid {
namespace {

constexpr std::int64_t kPixelsMax = std::int64_t{16} * 3840 * 2160;

int parse_int(std::string_view text, int fallback) {
    int value = fallback;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Result<api::RgbImage> read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int maximum = 0;
    api::RgbImage image;
    file >> magic >> image.width >> image.height >> maximum;
    file.get();
    if (!file || magic != "P6" || maximum != 255 || image.width < 1 || image.height < 1 ||
        image.width > 16384 || image.height > 16384) {
        return fail(Errc::kUnprocessable, path + " is not an 8-bit binary PPM");
    }
    image.pixels.resize(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
    file.read(
        reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size())
    );
    return file ? Result<api::RgbImage>(std::move(image))
                : fail(Errc::kUnprocessable, path + " is cut short");
}

// A made picture of any size: one 256 x 256 scene, repeated.
api::RgbImage make_picture(int width, int height) {
    const auto scene = engine::make_sr_picture(5, 1, 256, 256);
    api::RgbImage image{.width = width, .height = height, .pixels = {}};
    image.pixels.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const std::uint8_t* pixel =
                &scene.pixels[static_cast<std::size_t>((y % 256 * 256 + x % 256) * 3)];
            image.pixels.insert(image.pixels.end(), pixel, pixel + 3);
        }
    }
    return image;
}

Result<void> evaluate(engine::ModelSource& models, int side) {
    const api::StopFlag stop = false;
    FG_TRY(report, engine::evaluate_sr(models, {.side = side, .seeds = 2, .model_id = {}}, stop));
    for (const auto* rows : {&report.pictures, &report.rows}) {
        for (const auto& row : *rows) {
            std::printf(
                "%-18s %-11s %6.2f dB  bicubic %6.2f dB  %+.2f\n", row.model.c_str(), row.picture.c_str(),
                row.psnr_model, row.psnr_bicubic, row.delta()
            );
        }
    }
    return {};
}

Result<void> run(const std::vector<std::string>& args) {
    const auto arg = [&](std::size_t i) { return i < args.size() ? args[i] : std::string(); };
    infer_onnx::ModelStoreSettings settings{.directories = {arg(0)}};
    settings.onnx.threads = parse_int(arg(4), 0);
    FG_TRY(store, infer_onnx::ModelStore::open(std::move(settings)));
    if (arg(1) == "eval") {
        return evaluate(*store, parse_int(arg(2), 256));
    }
    FG_TRY(lease, store->acquire("upscale", arg(1)));
    const std::string source = arg(2);
    api::RgbImage image;
    int repeats = 1;
    if (source.ends_with(".ppm")) {
        FG_TRY(read, read_ppm(source));
        image = std::move(read);
    } else {
        image = make_picture(parse_int(source, 0), parse_int(source.substr(source.find('x') + 1), 0));
        repeats = parse_int(arg(3), 1);
    }
    api::RgbImage out;
    for (int i = 0; i < repeats; ++i) {
        out = {};
        const api::StopFlag stop = false;
        const auto start = std::chrono::steady_clock::now();
        FG_TRY(result, engine::upscale(lease->model(), lease->manifest().image, image, kPixelsMax, stop));
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
        out = std::move(result);
        std::printf(
            "%dx%d to %dx%d: %.1f ms\n", image.width, image.height, out.width, out.height, took.count()
        );
    }
    if (source.ends_with(".ppm")) {
        std::ofstream file(arg(3), std::ios::binary);
        file << "P6\n" << out.width << " " << out.height << "\n255\n";
        file.write(
            reinterpret_cast<const char*>(out.pixels.data()), static_cast<std::streamsize>(out.pixels.size())
        );
    }
    return {};
}

}  // namespace
}  // namespace framegrid

int main(int argc, char** argv) {
    const auto done = framegrid::run({argv + 1, argv + argc});
    if (!done) {
        std::fprintf(stderr, "upscale_tool: %s\n", done.error().message.c_str());
        return 1;
    }
    return 0;
}
