#include <framegrid/engine/sr_eval.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/resample.hpp>
#include <framegrid/engine/sr_pictures.hpp>
#include <framegrid/engine/upscale.hpp>

namespace framegrid::engine {
namespace {

constexpr std::string_view kPipeline = "upscale";
constexpr int kSideMax = 4096;

Result<SrRow> evaluate_kind(
    ModelLease& lease, int kind, const SrEvalSettings& settings, const api::StopFlag& stop
) {
    const ImageSpec& spec = lease.manifest().image;
    SrRow row{
        .model = lease.manifest().id, .picture = std::string(sr_picture_name(kind)), .scale = spec.scale
    };
    for (int seed = 0; seed < settings.seeds; ++seed) {
        const auto truth =
            make_sr_picture(kind, static_cast<std::uint64_t>(seed), settings.side, settings.side);
        const auto small = shrink_bicubic(truth, spec.scale);
        const std::int64_t pixels_max = std::int64_t{settings.side} * settings.side;
        FG_TRY(enlarged, upscale(lease.model(), spec, small, pixels_max, stop));
        row.psnr_model += psnr_rgb(enlarged, truth, spec.scale) / settings.seeds;
        row.psnr_bicubic += psnr_rgb(enlarge_bicubic(small, spec.scale), truth, spec.scale) / settings.seeds;
    }
    return row;
}

}  // namespace

Result<SrReport> evaluate_sr(ModelSource& models, const SrEvalSettings& settings, const api::StopFlag& stop) {
    if (settings.side < 32 || settings.side > kSideMax || settings.side % 8 != 0) {
        return fail(Errc::kInvalidArgument, "side must be a multiple of 8 from 32 to 4096", "side");
    }
    if (settings.seeds < 1 || settings.seeds > 1000) {
        return fail(Errc::kInvalidArgument, "seeds must be 1 to 1000", "seeds");
    }
    SrReport report;
    for (const auto& manifest : models.manifests()) {
        const bool wanted = settings.model_id.empty() || settings.model_id == manifest.id;
        if (!wanted || !manifest.serves(kPipeline)) {
            continue;
        }
        FG_TRY(lease, models.acquire(std::string(kPipeline), manifest.id));
        const int scale = lease->manifest().image.scale;
        if (settings.side % scale != 0) {
            return fail(
                Errc::kInvalidArgument, "side is not a multiple of the scale of " + manifest.id, "side"
            );
        }
        SrRow mean{.model = manifest.id, .picture = "mean", .scale = scale};
        for (int kind = 0; kind < kSrPictureKinds; ++kind) {
            FG_TRY(row, evaluate_kind(*lease, kind, settings, stop));
            mean.psnr_model += row.psnr_model / kSrPictureKinds;
            mean.psnr_bicubic += row.psnr_bicubic / kSrPictureKinds;
            report.pictures.push_back(std::move(row));
        }
        report.rows.push_back(std::move(mean));
    }
    if (report.rows.empty()) {
        const std::string what = settings.model_id.empty()
                                     ? "no upscale model"
                                     : "no upscale model " + printable(settings.model_id);
        return fail(Errc::kNotFound, what + " is installed", "model_id");
    }
    return report;
}

}  // namespace framegrid::engine
