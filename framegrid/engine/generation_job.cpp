#include <cmath>
#include <memory>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/diffusion/pipeline.hpp>
#include <framegrid/engine/ai_job.hpp>

namespace framegrid::engine {

namespace {

constexpr int kStepsDefault = 30;
constexpr double kGuidanceDefault = 7.5;
constexpr int kFpsDefault = 7;  // what peers encode at when nobody says
constexpr int kPreviewSide = 256;
constexpr int kPreviewQuality = 75;
constexpr int kSideMin = 32;
constexpr int kSideStep = 8;

// What is kept with a loaded model. Pictures as input need one network more, which is not loaded without
// them.
struct LoadedPipelines {
    std::unique_ptr<diffusion::Pipeline> from_text;
    std::unique_ptr<diffusion::Pipeline> from_picture;
};

// The network, or null when the model has none of that name.
Result<api::TensorModel*> optional_network(ModelLease& lease, const std::string& name) {
    auto network = lease.network(name);
    if (!network && network.error().code == Errc::kNotFound) {
        return nullptr;
    }
    return network;
}

Result<std::unique_ptr<diffusion::Pipeline>> load_pipeline(
    ModelLease& lease, bool with_picture, std::int64_t rows_max
) {
    diffusion::PipelineFiles files;
    for (const auto& path : diffusion::pipeline_file_paths()) {
        auto file = lease.file(path);
        if (file) {
            files.emplace(path, std::move(*file));
        } else if (file.error().code != Errc::kNotFound) {
            return fail(std::move(file.error()));
        }
    }
    diffusion::Networks networks;
    const auto find = [&](const std::string& name, api::TensorModel*& into) -> Result<void> {
        FG_TRY(network, optional_network(lease, name));
        into = network;
        return {};
    };
    std::vector<std::string> names{"text_encoder", "text_encoder_2", "unet", "vae_decoder"};
    if (with_picture) {
        names.insert(names.end(), {"vae_encoder", "image_encoder"});
    }
    lease.expect_networks(names);
    FG_CHECK(find("text_encoder", networks.text_encoder));
    FG_CHECK(find("text_encoder_2", networks.text_encoder_2));
    FG_CHECK(find("unet", networks.unet));
    FG_CHECK(find("vae_decoder", networks.vae_decoder));
    if (with_picture) {
        FG_CHECK(find("vae_encoder", networks.vae_encoder));
        FG_CHECK(find("image_encoder", networks.image_encoder));
    }
    auto pipeline = diffusion::Pipeline::load(files, networks, {.rows_max = rows_max});
    if (!pipeline) {
        return fail(Error(std::move(pipeline.error())).with_context("model " + lease.manifest().id));
    }
    return pipeline;
}

Result<const diffusion::Pipeline*> pipeline_of(const AiJob& job, bool with_picture) {
    const std::scoped_lock lock(job.loading);
    ModelLease& lease = job.lease;
    using Kept = std::shared_ptr<LoadedPipelines>;
    if (!lease.memo().has_value()) {
        lease.memo() = std::make_shared<LoadedPipelines>();
    }
    const Kept kept = std::any_cast<Kept>(lease.memo());
    auto& slot = with_picture ? kept->from_picture : kept->from_text;
    if (!slot) {
        FG_TRY(pipeline, load_pipeline(lease, with_picture, job.settings.turns.rows_max));
        slot = std::move(pipeline);
    }
    return slot.get();
}

// Distilled models, which were trained to do without guidance (AI API section 2.1).
bool is_distilled(const std::string& model_id) {
    for (const std::string_view word : {"turbo", "Turbo", "Lightning", "lightning"}) {
        if (model_id.find(word) != std::string::npos) {
            return true;
        }
    }
    return false;
}

int to_step(double side) {
    return std::max(kSideMin, static_cast<int>(std::lround(side / kSideStep)) * kSideStep);
}

// The size to make pictures at for a wanted size: the same shape, within what the model is good at.
media::Size native_size(media::Size wanted, const ModelDefaults& defaults) {
    const double pixels = static_cast<double>(wanted.width) * wanted.height;
    double factor = 1;
    if (defaults.pixels_max > 0 && pixels > static_cast<double>(defaults.pixels_max)) {
        factor = std::sqrt(static_cast<double>(defaults.pixels_max) / pixels);
    }
    return {to_step(wanted.width * factor), to_step(wanted.height * factor)};
}

struct Sizes {
    media::Size made;
    media::Size wanted;  // zero: what is made
};

// `fallback`: when the client says nothing; zero: the model's own.
Sizes choose_sizes(const AiJob& job, media::Size fallback) {
    const ModelDefaults& defaults = job.lease.manifest().defaults;
    const auto side = [&](std::string_view name, int otherwise, int own) {
        const int given = static_cast<int>(job.parameters.integer(name).value_or(0));
        return given > 0 ? given : otherwise > 0 ? otherwise : own;
    };
    const media::Size wanted{
        side("width", fallback.width, defaults.width), side("height", fallback.height, defaults.height)
    };
    if (wanted.width == 0 || wanted.height == 0) {
        return {};
    }
    return {native_size(wanted, defaults), wanted};
}

diffusion::Request basic_request(const AiJob& job) {
    const ModelManifest& manifest = job.lease.manifest();
    const auto& parameters = job.parameters;
    diffusion::Request request;
    request.prompt = parameters.text("prompt");
    if (const auto negative = parameters.text("negative_prompt"); !negative.empty()) {
        request.negative_prompt = negative;
    }
    const int steps_default = manifest.defaults.steps > 0 ? manifest.defaults.steps : kStepsDefault;
    request.steps = static_cast<int>(parameters.integer("num_inference_steps").value_or(steps_default));
    const double guidance =
        manifest.defaults.guidance_scale >= 0 ? manifest.defaults.guidance_scale : kGuidanceDefault;
    request.guidance = parameters.number("guidance_scale").value_or(guidance);
    request.strength = parameters.number("strength").value_or(request.strength);
    if (is_distilled(manifest.id)) {
        request.guidance = 0;
        request.strength = std::max(request.strength, 1.0 / request.steps);
    }
    request.seed = static_cast<std::uint64_t>(seed_of(job));
    return request;
}

Result<api::RgbImage> read_mask(const AiJob& job) {
    const std::string url = job.parameters.text(job::kMaskParameter);
    const auto comma = url.find(";base64,");
    if (!url.starts_with("data:") || comma == std::string::npos) {
        return fail(
            Errc::kInvalidArgument, "the mask is not a base64 data URL", std::string(job::kMaskParameter)
        );
    }
    auto bytes = crypto::parse_base64(std::string_view(url).substr(comma + 8));
    if (!bytes) {
        return fail(Errc::kInvalidArgument, "the mask is not base64", std::string(job::kMaskParameter));
    }
    return job.codec.decode_image(Blob(std::move(*bytes)), job.settings.input_pixels_max);
}

using Generations = std::vector<std::unique_ptr<diffusion::Generation>>;

// Best effort: a preview that cannot be made is none.
Blob make_preview(const AiJob& job, const diffusion::Generation& generation, int left) {
    auto picture = job.seat.alone([&] { return generation.preview(); }, left);
    if (!picture) {
        return {};
    }
    const double factor = static_cast<double>(kPreviewSide) / std::max(picture->width, picture->height);
    if (factor < 1) {
        const auto side = [&](int length) { return std::max(1, static_cast<int>(length * factor)); };
        picture = job.codec.resize(*picture, {side(picture->width), side(picture->height)});
    }
    if (!picture) {
        return {};
    }
    return job.codec.encode_image(*picture, api::ImageFormat::kJpeg, kPreviewQuality).value_or(Blob());
}

void tell_progress(const AiJob& job, const diffusion::Generation& generation) {
    if (!job.progress) {
        return;
    }
    api::Progress progress;
    progress.done = generation.steps_done();
    progress.total = generation.steps_total();
    const bool has_preview =
        job.preview_steps > 0 && !generation.done() && progress.done % job.preview_steps == 0;
    if (has_preview) {
        progress.preview = make_preview(job, generation, progress.total - progress.done + 2);
    }
    job.progress(progress);
}

// One step of all of them.
Result<void> step(const AiJob& job, const diffusion::Pipeline& pipeline, Generations& generations) {
    std::vector<diffusion::StepInput> inputs;
    for (const auto& generation : generations) {
        inputs.push_back(generation->next());
    }
    std::vector<const diffusion::StepInput*> steps;
    for (const auto& input : inputs) {
        steps.push_back(&input);
    }
    const auto& first = *generations.front();
    const int left = first.steps_total() - first.steps_done() + 1;  // with decoding
    FG_TRY(predictions, job.seat.predict(pipeline, steps, left));
    for (std::size_t i = 0; i < generations.size(); ++i) {
        FG_CHECK(generations[i]->advance(predictions[i]));
    }
    return {};
}

// All of them to their end, step by step together. Their pictures one after the other.
Result<std::vector<std::vector<api::RgbImage>>> run_together(
    const AiJob& job, const diffusion::Pipeline& pipeline, Generations& generations
) {
    for (auto& generation : generations) {
        const int left = generation->request().steps + 2;
        FG_CHECK(job.seat.alone([&] { return generation->begin(); }, left));
    }
    while (!generations.front()->done()) {
        FG_CHECK(step(job, pipeline, generations));
        tell_progress(job, *generations.front());
    }
    std::vector<std::vector<api::RgbImage>> out;
    for (const auto& generation : generations) {
        FG_TRY(pictures, job.seat.alone([&] { return generation->decode(); }));
        out.push_back(std::move(pictures));
    }
    return out;
}

Result<api::RgbImage> fit(const AiJob& job, api::RgbImage image, media::Size wanted) {
    if (wanted == media::Size{} || (image.width == wanted.width && image.height == wanted.height)) {
        return image;
    }
    return job.codec.resize(image, wanted);
}

// Made as floats and as a picture, then the picture that was asked for.
std::int64_t pictures_memory(const Sizes& sizes, std::int64_t count) {
    const std::int64_t made = std::int64_t{sizes.made.width} * sizes.made.height;
    const std::int64_t wanted = std::int64_t{sizes.wanted.width} * sizes.wanted.height;
    return count * 3 * (made * 5 + wanted);
}

Result<void> check_output(const AiJob& job, media::Size size, std::int64_t pictures) {
    if (std::int64_t{size.width} * size.height * pictures > job.settings.output_pixels_max) {
        return fail(Errc::kTooLarge, "the result would have too many pixels", "width");
    }
    return {};
}

}  // namespace

Result<api::WorkOutput> run_image_generation(const job::PipelineSpec& spec, const AiJob& job) {
    const bool with_picture = !spec.files.empty();
    api::WorkOutput out;
    diffusion::Request request = basic_request(job);
    media::Size fallback{};
    if (with_picture) {
        FG_TRY(picture, input_picture(job, job.settings.input_pixels_max));
        out.decoded = pixels_of(picture);
        fallback = {picture.width, picture.height};
        request.image = std::move(picture);
    }
    if (spec.wants_mask) {
        FG_TRY(mask, read_mask(job));
        request.mask = std::move(mask);
    }
    const Sizes sizes = choose_sizes(job, fallback);
    const std::int64_t count = job.parameters.integer("num_images_per_prompt").value_or(1);
    FG_CHECK(check_output(job, sizes.wanted, count));
    request.width = sizes.made.width;
    request.height = sizes.made.height;
    FG_TRY(memory, job.memory.take(pictures_memory(sizes, count), job.stop));
    FG_TRY(pipeline, pipeline_of(job, with_picture));
    Generations generations;
    for (std::int64_t i = 0; i < count; ++i) {
        FG_TRY(generation, pipeline->start(request));
        generations.push_back(std::move(generation));
        ++request.seed;
    }
    FG_TRY(pictures, run_together(job, *pipeline, generations));
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        FG_TRY(image, fit(job, std::move(pictures[i].front()), sizes.wanted));
        FG_TRY(artifact, picture_artifact(job, image, seed_of(job) + static_cast<std::int64_t>(i)));
        out.artifacts.push_back(std::move(artifact));
    }
    out.ai = api::AiRun{{}, {}, generations.front()->steps_total(), 0};
    return out;
}

Result<api::WorkOutput> run_video_generation(const job::PipelineSpec& spec, const AiJob& job) {
    const ModelDefaults& defaults = job.lease.manifest().defaults;
    const auto& parameters = job.parameters;
    api::WorkOutput out;
    diffusion::Request request = basic_request(job);
    media::Size fallback{};
    if (!spec.files.empty()) {
        FG_TRY(picture, input_picture(job, job.settings.input_pixels_max));
        out.decoded = pixels_of(picture);
        if (defaults.width == 0) {
            fallback = {};  // the model's own size, whatever the picture's
        } else {
            fallback = {picture.width, picture.height};
        }
        request.image = std::move(picture);
    }
    const Sizes sizes = choose_sizes(job, fallback);
    request.width = sizes.made.width;
    request.height = sizes.made.height;
    request.frames = parameters.integer("num_frames").value_or(defaults.frames);
    const int fps_default = defaults.fps > 0 ? defaults.fps : kFpsDefault;
    const int fps = static_cast<int>(parameters.integer("fps").value_or(fps_default));
    request.fps = fps;
    request.motion_bucket_id =
        static_cast<int>(parameters.integer("motion_bucket_id").value_or(request.motion_bucket_id));
    request.noise_aug_strength = parameters.number("noise_aug_strength").value_or(request.noise_aug_strength);
    FG_CHECK(check_output(job, sizes.wanted, std::max<std::int64_t>(1, request.frames)));
    const std::int64_t pixels = std::int64_t{sizes.wanted.width} * sizes.wanted.height;
    const std::int64_t bytes = pictures_memory(sizes, std::max<std::int64_t>(1, request.frames));
    FG_TRY(memory, job.memory.take(bytes + video_memory(0, pixels), job.stop));
    FG_TRY(pipeline, pipeline_of(job, !spec.files.empty()));
    if (pipeline->config().kind == diffusion::PipelineKind::kStableVideoDiffusion &&
        !parameters.number("guidance_scale")) {
        request.guidance = 3;  // its own default; 7.5 is for pictures
    }
    Generations generations;
    FG_TRY(generation, pipeline->start(std::move(request)));
    generations.push_back(std::move(generation));
    FG_TRY(clips, run_together(job, *pipeline, generations));
    std::vector<api::RgbImage> frames;
    for (auto& frame : clips.front()) {
        FG_TRY(image, fit(job, std::move(frame), sizes.wanted));
        frames.push_back(std::move(image));
    }
    const bool webm = parameters.text("output_format") == "webm";
    const auto format = webm ? api::VideoFormat::kWebm : api::VideoFormat::kMp4;
    FG_TRY(artifact, job.codec.encode_video(frames, fps, format, job.stop));
    artifact.seed = seed_of(job);
    out.artifacts.push_back(std::move(artifact));
    out.ai = api::AiRun{{}, {}, generations.front()->steps_total(), 0};
    return out;
}

}  // namespace framegrid::engine
