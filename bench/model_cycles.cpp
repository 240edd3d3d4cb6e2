// Does loading, running and unloading models lose memory?
//   model_cycles MODELS_DIR [CYCLES]
// Two models, and memory for one of them: every job unloads the other's network. Prints the resident set
// after a tenth of the cycles and at the end; exit status 1 when it grew by over 1 %.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <framegrid/engine/no_transcoder.hpp>
#include <framegrid/engine/sr_pictures.hpp>
#include <framegrid/engine/work_runner.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>

namespace {

using namespace framegrid;

double resident_mb() {
    std::ifstream file("/proc/self/statm");
    double all = 0;
    double resident = 0;
    file >> all >> resident;
    return resident * 4096 / 1e6;
}

Result<double> run(const std::string& models, int cycles) {
    infer_onnx::ModelStoreSettings settings;
    settings.directories = {models};
    settings.memory_bytes = std::int64_t{300} << 20;  // either of the two
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    engine::NoTranscoder transcoder;
    media_ffmpeg::FfmpegMediaCodec codec;
    engine::WorkRunner runner(transcoder, codec, *store, &host::steady_now);
    const api::StopFlag stop{false};
    FG_TRY(png, codec.encode_image(engine::make_sr_picture(0, 1, 64, 64), api::ImageFormat::kPng, 100));
    const api::AiWork picture{
        "text-to-image", "framegrid/scenes", R"({"prompt":"a ring","num_inference_steps":1})"
    };
    double early = 0;
    for (int i = 1; i <= cycles; ++i) {
        api::Work draw{"", picture, {}, ""};
        FG_TRY(drawn, runner.run(draw, {stop}));
        api::Work enlarge{"", api::AiWork{"upscale", "framegrid/sr-4x", ""}, png, ""};
        FG_TRY(enlarged, runner.run(enlarge, {stop}));
        if (store->loaded().size() != 1 || drawn.artifacts.empty() || enlarged.artifacts.empty()) {
            return fail(Errc::kInternal, "both models are loaded: nothing was unloaded");
        }
        if (i == cycles / 10) {
            early = resident_mb();
        }
    }
    const double late = resident_mb();
    std::printf(
        "{\"bench\":\"model_cycles\",\"cycles\":%d,\"rss_mb_early\":%.1f,\"rss_mb_end\":%.1f,\"growth\":%.4f}"
        "\n",
        cycles, early, late, late / early - 1
    );
    return late / early - 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: model_cycles MODELS_DIR [CYCLES]\n");
        return 2;
    }
    const auto growth = run(argv[1], argc > 2 ? std::atoi(argv[2]) : 1000);
    if (!growth) {
        std::fprintf(stderr, "%s\n", growth.error().message.c_str());
        return 1;
    }
    return *growth <= 0.01 ? 0 : 1;
}
