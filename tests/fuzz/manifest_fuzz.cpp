// model.toml, model_index.json, config.json, a hub's listing and the parameters of AI requests: never a
// crash, and what is accepted keeps its promises.
#include <cstddef>
#include <cstdint>

#include <framegrid/engine/hub_layout.hpp>
#include <framegrid/engine/manifest.hpp>
#include <framegrid/engine/tiling.hpp>
#include <framegrid/hub/listing.hpp>
#include <framegrid/job/pipelines.hpp>

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
        const auto again = engine::parse_manifest(engine::format_manifest(*manifest));
        FG_ASSERT(again && again->id == manifest->id && again->files.size() == manifest->files.size());
        FG_ASSERT(
            again->layout == manifest->layout &&
            engine::model_digest(*again) == engine::model_digest(*manifest)
        );
        const auto& image = manifest->image;
        const auto plan = engine::plan_tiles(100, 70, image);
        const auto [width, height] = image.fixed;
        FG_ASSERT(!plan.tiles.empty() && plan.tile.width <= (width > 0 ? width : image.tile));
        FG_ASSERT(plan.tile.height <= (height > 0 ? height : image.tile));
    } else {
        FG_ASSERT(!manifest.error().message.empty());
    }
    for (const auto& spec : job::pipelines()) {
        if (const auto parameters = job::Parameters::from_json(spec, text)) {
            FG_ASSERT(parameters->integer("num_inference_steps").value_or(1) >= 1);
            const auto again = job::Parameters::from_json(spec, parameters->to_json());
            FG_ASSERT(again && again->to_json() == parameters->to_json());
        }
    }
    const api::TensorInfo picture{"x", true, {1, 3, -1, -1}};
    const std::string config(text);
    if (const auto single =
            engine::describe_single("a/b", {{"x.onnx", 3}, {}, {picture}, {picture}, config, config})) {
        FG_ASSERT(single->image.scale >= 0 && single->image.scale <= engine::kImageScaleMax);
        FG_ASSERT(engine::has_room(single->image));
    }
    (void)engine::scale_of_name(text);
    (void)engine::choose_network({config, config + ".onnx"});
    (void)engine::describe_diffusers("a/b", text, {{"unet/model.onnx", 3}});
    if (const auto listing = hub::parse_listing(text)) {
        for (const auto& file : listing->files) {
            FG_ASSERT(
                engine::is_plain_path(file.path) && file.path.find("..") != 0 && file.path.front() != '/'
            );
        }
        (void)hub::choose_files(*listing);
    }
    return 0;
}
