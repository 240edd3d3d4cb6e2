// model.toml and the parameters of AI requests: never a crash, and what is accepted keeps its promises.
#include <cstddef>
#include <cstdint>

#include <framegrid/engine/manifest.hpp>
#include <framegrid/engine/parameters.hpp>
#include <framegrid/engine/tiling.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    const std::string_view text = as_text(BytesView{data, size});
    if (const auto manifest = engine::parse_manifest(text)) {
        FG_ASSERT(engine::is_model_id(manifest->id));
        FG_ASSERT(!manifest->files.empty() && manifest->memory_bytes > 0);
        for (const auto& file : manifest->files) {
            FG_ASSERT(file.path.find("..") != 0 && file.path.front() != '/' && file.sha256.size() == 64);
            FG_ASSERT(file.path.find("/.") == std::string::npos && file.path.find('\0') == std::string::npos);
        }
        const auto& image = manifest->image;
        const auto plan = engine::plan_tiles(100, 70, image.tile, image.overlap);
        FG_ASSERT(!plan.tiles.empty() && plan.tile_width() <= image.tile && plan.tile_height() <= image.tile);
    } else {
        FG_ASSERT(!manifest.error().message.empty());
    }
    if (const auto parameters = engine::parse_upscale_parameters(text)) {
        FG_ASSERT(parameters->num_inference_steps >= 1);
    }
    return 0;
}
